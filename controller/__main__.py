"""The `prodbreaker` command."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from controller.cli import run_command


def main() -> None:
    """Run the command line of this process and exit with its code."""
    # Commands build large trees once and end: to look for cycles in them every 700 objects takes a quarter of their time.
    gc.set_threshold(100_000, 20, 20)
    code = run_command(sys.argv[1:])
    with contextlib.suppress(BrokenPipeError):  # whoever read our output has gone; there is nobody to tell
        sys.stdout.flush()
    os._exit(code)  # everything is closed and written; to free each object of those trees would take a tenth of a second


if __name__ == "__main__":
    main()
