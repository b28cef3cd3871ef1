"""The short form of volumes: `[source:]target[:options]`, read without knowing the platform that it is for."""

from __future__ import annotations

from typing import Any

_PROPAGATIONS = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))

Volume = dict[str, Any]  # type, source, target, read_only, bind, volume: the long form


def expand_volume(text: str) -> Volume:
    """Turn a short form into the long one; raises ValueError with the reason.

    Docker reads a single letter before a colon as a Windows drive, even where a volume has that name.
    """
    if not text:
        raise ValueError("is empty")
    if len(text) <= 2:
        return {"type": "volume", "target": text}
    sections = _split(text)
    if "" in sections:
        raise ValueError(f"{text!r} has an empty part between its colons")
    if len(sections) > 3:
        raise ValueError(f"{text!r} has too many colons")
    if len(sections) == 1:
        return {"type": "volume", "target": sections[0]}
    source, target = sections[:2]
    volume: Volume = {"type": "bind" if is_path(source) else "volume", "source": source, "target": target}
    for option in sections[2].split(",") if len(sections) == 3 else ():
        _apply(option, volume)
    return volume


def _split(text: str) -> list[str]:
    sections = [""]
    for char in text:
        if char == ":" and not (len(sections[-1]) == 1 and sections[-1].isalpha()):
            sections.append("")
        else:
            sections[-1] += char
    return sections


def _apply(option: str, volume: Volume) -> None:
    if option in ("ro", "rw"):
        volume["read_only"] = option == "ro"
    elif option == "nocopy":
        volume["volume"] = {"nocopy": True}
    elif option in _PROPAGATIONS:
        volume["bind"] = {"propagation": option}
    # Other options, such as SELinux's z, are dropped as docker drops them.


def is_path(source: str) -> bool:
    """Tell a path on the host from the name of a volume."""
    return source[0] in "./~" or (len(source) > 1 and (source.startswith("\\\\") or (source[0].isalpha() and source[1] == ":")))


def is_drive(text: str) -> bool:
    """Whether a one-letter volume name was probably meant, such as `v:/data`."""
    return len(text) > 2 and text[0].isalpha() and text[1:3] == ":/"
