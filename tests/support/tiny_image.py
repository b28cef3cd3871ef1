"""An image of a megabyte that starts at once and stops at once, made from Debian's busybox-static."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from functools import cache
from pathlib import Path

# Process 1 has no default signal handlers: without the trap every stop would take the whole grace period.
HOLD_SCRIPT = """#!/bin/sh
trap 'exit 0' TERM INT
while :; do sleep 3600 & wait $!; done
"""
HOLD = "/bin/hold"


class MissingBusyboxError(Exception):
    """The host has no static busybox to make images of."""


@cache
def tiny_root() -> bytes:
    """A tar with busybox, a link for each of its applets and the HOLD script. Raises MissingBusyboxError."""
    found = shutil.which("busybox")
    if found is None:
        raise MissingBusyboxError("busybox is not installed: apt-get install busybox-static")
    applets = subprocess.run([found, "--list"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "run", "var"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        _add(tar, "bin/busybox", Path(found).read_bytes(), mode=0o755)
        _add(tar, HOLD.lstrip("/"), HOLD_SCRIPT.encode(), mode=0o755)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", mode=0o644)
        for applet in sorted({*applets} - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
