"""The short form of ports: `[ip:]published:target[/protocol]`, each part a number or a range."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

_PROTOCOLS = frozenset(("tcp", "udp", "sctp"))
_RANGE = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")
_MAX_PORT = 65535

Port = dict[str, Any]  # target, published, protocol, mode: the long form


def expand_port(text: str) -> tuple[list[Port], str | None]:
    """Turn one short form into long forms, and name the address that Swarm ignores, if one is given.

    Raises ValueError with the reason.
    """
    address, published, rest = _split(text)
    target, *protocols = rest.split("/")
    protocol = (protocols[0] if protocols else "").lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"{protocol!r} is not a protocol; it is tcp, udp or sctp")
    if address is not None:
        _check_address(address)
    targets = _parse_range(target, "container")
    if not published:
        return [_port(number, None, protocol) for number in _sorted_as_text(targets)], address
    sources = _parse_range(published, "published")
    if len(targets) == 1:
        return [_port(targets[0], source, protocol) for source in sources], address
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} published ports do not fit {len(targets)} container ports")
    pairs = dict(zip(targets, sources, strict=True))
    return [_port(number, pairs[number], protocol) for number in _sorted_as_text(targets)], address


def _split(text: str) -> tuple[str | None, str, str]:
    rest, colon, target = text.rpartition(":")
    if not colon:
        return None, "", target
    address, colon, published = rest.rpartition(":")
    if not colon:
        return None, published, target
    return (address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address), published, target


def _check_address(address: str) -> None:
    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ValueError(f"{address!r} is not an IP address") from None


def _parse_range(text: str, kind: str) -> range:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a {kind} port" if text else f"the {kind} port is missing")
    first, last = int(match[1]), int(match[2] or match[1])
    if last > _MAX_PORT or first > last:
        raise ValueError(f"{text!r} is not a {kind} port between 0 and {_MAX_PORT}")
    return range(first, last + 1)


def _sorted_as_text(targets: range) -> list[int]:
    return sorted(targets, key=str)  # the client sorts the ports of one entry as text


def _port(target: int, published: int | None, protocol: str) -> Port:
    port: Port = {"target": target, "protocol": protocol, "mode": "ingress"}
    if published:
        port["published"] = published
    return port
