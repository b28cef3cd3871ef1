"""What `make up` made, in `.state/up.json`: whatever is not in it was there before and stays."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.console import Refusal
from scripts.processes import Daemon
from scripts.shell import STATE

STATE_FILE = STATE / "up.json"


@dataclass
class Made:
    """Everything that `make down` may take away."""

    packages: list[str] = field(default_factory=list)
    engine: Daemon | None = None
    engine_unit: bool = False  # started through systemd
    daemon_json: bool = False  # /etc/docker/daemon.json, which names the mirror
    swarm: str | None = None  # the cluster's id
    registry: Daemon | None = None
    registry_port: int | None = None
    images: list[str] = field(default_factory=list)
    bases_built: bool = False  # the base images came from Debian's packages, not from a registry
    secrets: list[str] = field(default_factory=list)  # ids
    stacks: list[str] = field(default_factory=list)
    path: Path = STATE_FILE

    def save(self) -> None:
        """Write the file whole or not at all; called after each thing made, so that a kill forgets at most the last one."""
        record = {name: value for name, value in asdict(self).items() if name != "path"}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(record, indent=2) + "\n")
        fresh.replace(self.path)

    @property
    def engine_is_ours(self) -> bool:
        return self.engine is not None or self.engine_unit


def load(path: Path = STATE_FILE) -> Made:
    """Read the record; an absent file means that nothing was made. Raises Refusal when it cannot be understood."""
    try:
        record = json.loads(path.read_text())
        for name in ("engine", "registry"):
            record[name] = Daemon(**record[name]) if record.get(name) else None
        return Made(**record, path=path)
    except FileNotFoundError:
        return Made(path=path)
    except (ValueError, TypeError, AttributeError) as error:
        raise Refusal(
            f"{path} is damaged ({error}): it says what make up made; repair it, or remove it to keep everything."
        ) from error
