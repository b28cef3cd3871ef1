"""Which targets a short URL may have."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from app.domain.errors import Code, FieldError
from app.domain.values import text

LONGEST_URL = 2048

# RFC 3986's authority, with a host; letters of any language, because browsers take them. A backslash counts as a slash
# in browsers, so it may not stand in the authority.
_LABEL = r"(?!-)[\w-]{1,63}(?<!-)"
_URL = re.compile(
    rf"https?://(?:[^\s/?#@\\\[\]]*@)?(?:(?P<name>{_LABEL}(?:\.{_LABEL})*)\.?|\[(?P<v6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?#][^\s\x00-\x1f\x7f]*)?",
    re.IGNORECASE,
)


def target_url(field: str, value: object) -> str:
    """An absolute http or https URL with a host: at most 2048 characters, no spaces or control characters; kept as written."""
    url = text(field, value, longest=LONGEST_URL)
    found = _URL.fullmatch(url)
    if found is None:
        raise FieldError(field, Code.FORMAT if url else Code.EMPTY, "must be an absolute http or https URL with a host")
    name, v6, port = found.group("name", "v6", "port")
    if port is not None and int(port) > 65535:
        raise FieldError(field, Code.RANGE, "must have a port of at most 65535")
    try:
        if v6 is not None:
            IPv6Address(v6)
        elif name[-1].isdigit() and name.rpartition(".")[2].isdigit():
            IPv4Address(name)  # a host whose last label is a number is an IPv4 address or nothing (WHATWG URL, host parsing)
    except AddressValueError:
        raise FieldError(field, Code.FORMAT, "must have a valid IP address as its host") from None
    return url
