"""The `prodbreaker` command."""

from __future__ import annotations

import gc
import sys

from controller.cli import run_command


def main() -> None:
    """Run the command line of this process and exit with its code."""
    # Commands build large trees once and end: to look for cycles in them every 700 objects takes a quarter of their time.
    gc.set_threshold(100_000, 20, 20)
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
