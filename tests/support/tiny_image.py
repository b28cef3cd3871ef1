"""Images of a megabyte that start at once and stop at once, made from Debian's busybox-static; and one with Debian's nginx."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

# Process 1 has no default signal handlers: without the trap every stop would take the whole grace period.
HOLD_SCRIPT = """#!/bin/sh
trap 'exit 0' TERM INT
while :; do sleep 3600 & wait $!; done
"""
HOLD = "/bin/hold"

# nginx with a page on port 8000 that says $VERSION, and what is wrong with it: $FAULT, for the late ones $AFTER seconds from the
# start. A file /behaviour, such as a config or a mount, is read after the environment.
SERVE_SCRIPT = """#!/bin/sh
trap 'exit 0' TERM INT
[ -f /behaviour ] && . /behaviour
[ "$FAULT" = crash ] && { echo "cannot start" >&2; exit 3; }
[ "$FAULT" = errors ] && status=500
[ "$FAULT" = unhealthy ] || : > /run/well
mkdir -p /var/lib/nginx /var/log/nginx
cat > /tmp/nginx.conf << END
user root;
pid /tmp/nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    server {
        listen 8000;
        location / { default_type text/plain; return ${status:-200} "$VERSION\\n"; }
    }
}
END
nginx -c /tmp/nginx.conf || exit 2
if [ -n "$AFTER" ]; then sleep "$AFTER" & wait $!; fi
[ "$FAULT" = late-crash ] && exit 4
[ "$FAULT" = late-unhealthy ] && rm /run/well
while :; do sleep 3600 & wait $!; done
"""
SERVE = "/bin/serve"
IS_WELL = ("CMD", "test", "-e", "/run/well")  # its health check


class MissingProgramError(Exception):
    """The host lacks what an image is to be made of; one sentence."""


@cache
def tiny_root() -> bytes:
    """A tar with busybox, a link for each of its applets and the HOLD script. Raises MissingProgramError."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add_busybox(tar)
    return buffer.getvalue()


@cache
def nginx_root() -> bytes:
    """The same with the host's nginx, the libraries that it needs, and the SERVE script. Raises MissingProgramError."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise MissingProgramError("nginx is not installed: apt-get install nginx")
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add_busybox(tar)
        for path in (program, *re.findall(r"(/\S+) \(0x", listed)):
            _add(tar, path.lstrip("/"), Path(path).read_bytes(), mode=0o755)
        _add(tar, SERVE.lstrip("/"), SERVE_SCRIPT.encode(), mode=0o755)
    return buffer.getvalue()


def add_busybox(tar: tarfile.TarFile, *, users: Mapping[str, int] = MappingProxyType({"root": 0, "nobody": 65534})) -> None:
    """busybox with a link for each applet, and the users. Raises MissingProgramError."""
    found = shutil.which("busybox")
    if found is None:
        raise MissingProgramError("busybox is not installed: apt-get install busybox-static")
    applets = subprocess.run([found, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "run", "var"):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
        tar.addfile(entry)
    _add(tar, "bin/busybox", Path(found).read_bytes(), mode=0o755)
    _add(tar, HOLD.lstrip("/"), HOLD_SCRIPT.encode(), mode=0o755)
    _add(tar, "etc/passwd", "".join(f"{name}:x:{id}:{id}::/:/bin/sh\n" for name, id in users.items()).encode(), mode=0o644)
    _add(tar, "etc/group", "".join(f"{name}:x:{id}:\n" for name, id in users.items()).encode(), mode=0o644)
    for applet in sorted({*applets} - {"busybox"}):
        link = tarfile.TarInfo(f"bin/{applet}")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
