"""A network namespace with one cable to the host's."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

PREFIX = "pbt"  # of every namespace and interface that tests make, followed by the owner's process id
_SUBNETS = [f"10.213.{high}.{low}" for high in range(256) for low in range(0, 256, 4)]


class CommandError(Exception):
    """A system command failed; carries what it said."""


def system(*command: str, check: bool = True) -> str:
    """Run a command of the host, return its output. Raises CommandError."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        raise CommandError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class NetworkNamespace:
    """Named PREFIX-PID-NUMBER. The host reaches the inside under `address`; the inside reaches the host and no further."""

    def __init__(self, number: int) -> None:
        self.name = f"{PREFIX}-{os.getpid()}-{number}"
        # An interface's name has at most 15 characters.
        self._outside, self._inside = f"{PREFIX}{os.getpid()}h{number}", f"{PREFIX}{os.getpid()}n{number}"
        self.address = ""
        self.host_address = ""

    @property
    def path(self) -> Path:
        return Path("/var/run/netns") / self.name

    def create(self) -> None:
        """Without a default route: looking up a registry outside then fails at once instead of after its time-out."""
        network = _free_subnet()
        self.host_address, self.address = _plus(network, 1), _plus(network, 2)
        system("ip", "netns", "add", self.name)
        system("ip", "link", "add", self._outside, "type", "veth", "peer", "name", self._inside, "netns", self.name)
        system("ip", "addr", "add", f"{self.host_address}/30", "dev", self._outside)
        system("ip", "link", "set", self._outside, "up")
        system(*self.enter("ip", "link", "set", "lo", "up"))
        system(*self.enter("ip", "addr", "add", f"{self.address}/30", "dev", self._inside))
        system(*self.enter("ip", "link", "set", self._inside, "up"))

    def enter(self, *command: str) -> Sequence[str]:
        """`nsenter`, because `ip netns exec` remounts /sys and hides the control groups."""
        return ("nsenter", f"--net={self.path}", *command)

    def delete(self) -> None:
        system("ip", "link", "delete", self._outside, check=False)
        system("ip", "netns", "delete", self.name, check=False)


class Switch:
    """A namespace that holds a bridge and nothing else: what is plugged in reaches what else is, and no host."""

    def __init__(self, number: int) -> None:
        self.name = f"{PREFIX}-{os.getpid()}-{number}"

    def create(self) -> None:
        system("ip", "netns", "add", self.name)
        self._command("ip", "link", "add", "switch", "type", "bridge")
        self._command("ip", "link", "set", "switch", "up")

    def plug_in(self, interface: str, inside: str, namespace: str) -> None:
        """Lay a cable from this switch's `interface` to another namespace's `inside`."""
        end = ("type", "veth", "peer", "name", inside, "netns", namespace)
        system("ip", "link", "add", interface, "netns", self.name, *end)
        self._command("ip", "link", "set", interface, "master", "switch", "up")

    def cut(self, interface: str) -> None:
        self._command("ip", "link", "set", interface, "down")

    def mend(self, interface: str) -> None:
        self._command("ip", "link", "set", interface, "up")

    def delete(self) -> None:
        system("ip", "netns", "delete", self.name, check=False)

    def _command(self, *command: str) -> None:
        system("nsenter", f"--net=/var/run/netns/{self.name}", *command)


class SwitchedNamespace(NetworkNamespace):
    """One with its cable to a switch in place of the host's."""

    def __init__(self, number: int, switch: Switch, address: str) -> None:
        super().__init__(number)
        self._switch = switch
        self.address = address

    def create(self) -> None:
        system("ip", "netns", "add", self.name)
        self._switch.plug_in(self._outside, self._inside, self.name)
        system(*self.enter("ip", "link", "set", "lo", "up"))
        system(*self.enter("ip", "addr", "add", f"{self.address}/24", "dev", self._inside))
        system(*self.enter("ip", "link", "set", self._inside, "up"))

    def cut(self) -> None:
        self._switch.cut(self._outside)

    def mend(self) -> None:
        self._switch.mend(self._outside)

    def delete(self) -> None:
        system("ip", "netns", "delete", self.name, check=False)


def remove_orphans() -> None:
    """Delete the namespaces whose test run was killed before it could."""
    for name in re.findall(rf"^{PREFIX}-\d+-\d+", system("ip", "netns", "list"), re.MULTILINE):
        owner, number = name.split("-")[1:]
        if not Path(f"/proc/{owner}").exists():
            system("ip", "link", "delete", f"{PREFIX}{owner}h{number}", check=False)
            system("ip", "netns", "delete", name, check=False)


def _free_subnet() -> str:
    taken = {entry["local"] for link in json.loads(system("ip", "-j", "addr")) for entry in link.get("addr_info", ())}
    return next(subnet for subnet in _SUBNETS if _plus(subnet, 1) not in taken)


def _plus(network: str, offset: int) -> str:
    start, _, last = network.rpartition(".")
    return f"{start}.{int(last) + offset}"
