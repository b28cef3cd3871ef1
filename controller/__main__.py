"""The `prodbreaker` command."""

from __future__ import annotations

import sys

from controller.cli import run_command


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
