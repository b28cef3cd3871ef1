"""`prodbreaker resume`."""

from __future__ import annotations

import argparse

from controller.cli.pausing import configure_target, set_target


def configure(parser: argparse.ArgumentParser) -> None:
    configure_target(parser)


def run(args: argparse.Namespace) -> int:
    return set_target(args, paused=False)
