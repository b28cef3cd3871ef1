"""What the tests need on a host: programs that they start themselves, on ports and in namespaces of their own."""

from __future__ import annotations

import os
import shutil
import sys

from scripts import host, packages, python_env
from scripts.console import Progress, guarded
from scripts.shell import environment
from scripts.state import load

PACKAGES = (
    "busybox-static", "curl", "debian-archive-keyring", "debootstrap", "docker-registry", "iproute2", "iptables", "nginx",
    "postgresql", "prometheus", "redis-server", "util-linux", "wrk",
)  # fmt: skip


def main() -> int:
    """Provision, then become the command given as arguments, as root: the tests make network namespaces and start engines."""
    arguments = [word for word in sys.argv[1:] if word != host.ELEVATED]
    progress = Progress(2)
    host.check()
    if host.ELEVATED not in sys.argv:
        with progress.step("Python environment"):
            python_env.ensure(progress)
        host.elevate("scripts.provision_tests", *arguments)
    else:
        progress.skip()
    with progress.step("Programs that the tests start"):
        wanted = list(PACKAGES)
        if shutil.which("dockerd", path=environment()["PATH"]) is None:
            wanted.append("docker.io")  # one that is there stays, whoever made it
        packages.ensure(wanted, load(), progress)
    if arguments:
        os.execvp(arguments[0], arguments)  # noqa: S606 - no shell on purpose
    return 0


if __name__ == "__main__":
    sys.exit(guarded("make test", main))
