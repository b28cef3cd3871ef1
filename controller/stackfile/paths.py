"""Paths in a stack file: all of them are relative to the folder of the first file."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

_WINDOWS_ABSOLUTE = re.compile(r"[a-zA-Z]:[\\/]|[\\/]{2}[^\\/.][^\\/]*[\\/][^\\/.][^\\/]*[\\/]")  # a drive, or a server's share


@dataclass(frozen=True, slots=True)
class Folders:
    """Where relative paths start and what `~` stands for."""

    base: str  # absolute
    home: str  # empty where the environment names none

    def absolute(self, path: str) -> str:
        return path if path.startswith("/") else clean(f"{self.base}/{path}")

    def on_host(self, path: str) -> str:
        """Resolve the source of a bind mount; absolute Windows paths stay as they are, for a Windows node."""
        if path.startswith("~") and self.home:
            path = self.home + path[1:]
        return path if _WINDOWS_ABSOLUTE.match(path) else self.absolute(path)


def clean(path: str) -> str:
    """Normalise an absolute path; unlike POSIX, and like Go, two leading slashes mean the same as one."""
    return posixpath.normpath("/" + path.lstrip("/"))
