"""Debian packages: what is missing is installed, and no service starts by being installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.console import Progress
from scripts.shell import attempt, run
from scripts.state import Made

SYSTEMD = Path("/run/systemd/system")
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = "#!/bin/sh\n# ProdBreaker's, for the time of one installation: nothing starts by being installed.\nexit 101\n"
# Packages whose service of the same name would start at the next boot, though only the program is wanted here.
_WITH_SERVICE = frozenset(("docker-registry", "nginx", "prometheus", "redis-server"))


def missing(packages: Sequence[str]) -> list[str]:
    """Those that are not installed, in the order given."""
    done = attempt("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages, timeout=30)
    installed = {line.split()[0] for line in done.stdout.decode().splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def ensure(packages: Sequence[str], made: Made, progress: Progress) -> None:
    """Install what is missing. Raises Refusal when apt cannot."""
    wanted = missing(packages)
    if not wanted:
        return
    progress.change(f"installing {' '.join(wanted)}")
    with _no_service_starts():
        options = ("-o", "DPkg::Lock::Timeout=300")
        run("apt-get", *options, "update", "-q", timeout=300)
        run("apt-get", *options, "install", "-y", "-q", "--no-install-recommends", *wanted, timeout=900)
    if SYSTEMD.is_dir():
        for package in _WITH_SERVICE & set(wanted):
            run("systemctl", "disable", "--quiet", package, timeout=60)
    made.packages.extend(wanted)
    made.save()


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian asks policy-rc.d before it starts a service; a policy of the host's own stays in force."""
    ours = not _POLICY.exists() or _POLICY.read_text() == _POLICY_TEXT  # a killed run may have left it
    if ours:
        _POLICY.write_text(_POLICY_TEXT)
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink()
