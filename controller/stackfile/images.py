"""Image references: whether docker would take one, and the form in which its client sends it."""

from __future__ import annotations

import re

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?")
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_MAX_NAME = 255
_HUB = "docker.io"


def familiar(image: str) -> str:
    """The reference as docker's client sends it: Docker Hub's host left out, `:latest` where there is no tag or digest.

    Raises ValueError with the reason when it is no reference.
    """
    if _IDENTIFIER.fullmatch(image):
        raise ValueError("is an image's identifier, not its name")
    rest, at, digest = image.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError(f"{image!r} has no valid digest after the @")
    name, tag = _split_tag(rest)
    if tag is not None and not _TAG.fullmatch(tag):
        raise ValueError(f"{image!r} has no valid tag after the colon")
    domain, path = _split_domain(name)
    if path != path.lower():
        raise ValueError(f"{image!r} must be lower case")
    if len(f"{domain}/{path}") > _MAX_NAME or not _DOMAIN.fullmatch(domain) or not _PATH.fullmatch(path):
        raise ValueError(f"{image!r} is not an image reference")
    if domain == _HUB:
        short = path.removeprefix("library/")
        known = path if "/" in short else short
    else:
        known = f"{domain}/{path}"
    tag = tag or (None if at else "latest")
    return known + (f":{tag}" if tag else "") + (f"@{digest}" if at else "")


def _split_tag(text: str) -> tuple[str, str | None]:
    name, colon, tag = text.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (text, None)


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or (not re.search(r"[.:]", first) and first != "localhost" and first == first.lower()):
        domain, path = _HUB, name
    else:
        domain, path = (_HUB if first == "index.docker.io" else first), rest
    return domain, f"library/{path}" if domain == _HUB and "/" not in path else path
