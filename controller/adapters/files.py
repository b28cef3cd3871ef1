"""Reading the files of a stack: bounded, regular files only, and the process's own environment and folder.

Everything else about stack files is pure and lives in controller.stackfile.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Mapping, Sequence

from controller.model.spec import DesiredStack
from controller.stackfile import load_stack

MAX_BYTES = 1024 * 1024  # of any file; a secret's and a config's own bounds lie below and are checked where they are converted


def load_files(files: Sequence[str], *, stack: str, environment: Mapping[str, str] | None = None) -> DesiredStack:
    """Read stack files from the disk, `-` from standard input; the environment is the process's unless one is given.

    Raises ManifestError with every located problem.
    """
    variables = dict(os.environ if environment is None else environment)
    return load_stack(
        files,
        stack=stack,
        environment=variables,
        read_file=read_file,
        working_directory=os.getcwd(),  # noqa: PTH109 - stack files speak in POSIX text, not in Path
        home=variables.get("HOME", ""),
    )


def read_file(path: str) -> bytes:
    """Read a whole regular file, or standard input for `-`; raises OSError, also for what is too large or never ends."""
    if path == "-":
        if sys.stdin is None:
            raise OSError(errno.EBADF, "standard input is closed", path)
        return _bounded(sys.stdin.buffer.read(MAX_BYTES + 1), path)
    # Without O_NONBLOCK the opening of a fifo would wait for a writer that may never come.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _bounded(file.read(MAX_BYTES + 1), path)
    finally:
        os.close(descriptor)


def _bounded(data: bytes, path: str) -> bytes:
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MAX_BYTES // 1024} KiB", path)
    return data
