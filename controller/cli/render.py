"""`prodbreaker render`: print what docker's client would send."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

import yaml

from controller.adapters.files import load_files
from controller.cli import EXIT_DONE
from controller.model.spec import DesiredContent, DesiredStack, Json


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--compose-file",
        action="append",
        required=True,
        metavar="FILE",
        help="a stack file; several are merged as docker does, - is standard input",
    )
    parser.add_argument("--stack", required=True, metavar="NAME", help="the stack's name")
    parser.add_argument(
        "-o", "--output", choices=("json", "text"), default="json", help="JSON, or with text YAML (default: json)"
    )
    parser.add_argument("--show-secrets", action="store_true", help="print the data of secrets, in base64, instead of its size")


def run(args: argparse.Namespace) -> int:
    """Print the bodies of the create calls; warnings go to standard error."""
    stack = load_files(args.compose_file, stack=args.stack)
    for warning in stack.warnings:
        print(warning, file=sys.stderr)
    rendered = render(stack, show_secrets=args.show_secrets)
    if args.output == "json":
        print(json.dumps(rendered, indent=2))
    else:
        print(yaml.safe_dump(rendered, sort_keys=False, allow_unicode=True), end="")
    return EXIT_DONE


def render(stack: DesiredStack, *, show_secrets: bool) -> dict[str, dict[str, Any]]:
    """The bodies of what a deployment creates, by real name; external objects are not created and left out."""
    secrets = _contents(stack.secrets)
    if not show_secrets:
        secrets = {name: _masked(body, stack.secrets[name]) for name, body in secrets.items()}
    return {
        "networks": {name: dict(network.body) for name, network in stack.networks.items() if not network.external},
        "secrets": secrets,
        "configs": _contents(stack.configs),
        "services": {service.name: dict(service.body) for service in stack.services.values()},
    }


def _contents(contents: Mapping[str, DesiredContent]) -> dict[str, Any]:
    return {name: dict(content.body) for name, content in contents.items() if not content.external}


def _masked(body: Json, secret: DesiredContent) -> dict[str, Any]:
    return {**body, "Data": f"({len(secret.content)} bytes, masked)"} if secret.content else dict(body)
