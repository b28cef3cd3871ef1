"""A Swarm of three managers on one machine: an engine per network namespace, all on one switch."""

from __future__ import annotations

from tests.support import processes
from tests.support.engine import START_SECONDS, EngineError, PrivateEngine, next_number
from tests.support.namespace import Switch, SwitchedNamespace
from tests.support.unixhttp import ApiError

_ADDRESSES = ("10.213.0.1", "10.213.0.2", "10.213.0.3")  # the switch reaches no host, so nobody else can have them


class ThreeNodes:
    """`start` it; the first engine makes the Swarm. `destroy` leaves nothing behind."""

    def __init__(self) -> None:
        self._switch = Switch(next_number())
        self._cables: dict[PrivateEngine, SwitchedNamespace] = {}
        self.engines = [self._engine(address) for address in _ADDRESSES]

    def start(self) -> None:
        """Raises EngineError."""
        self._switch.create()
        for engine in self.engines:
            engine.start()
        if not processes.wait_until(self.is_whole, seconds=START_SECONDS):
            raise EngineError("three managers did not come together")

    def destroy(self) -> None:
        """Engines die as in a crash: leaving a Swarm of three in order would take elections."""
        for engine in self.engines:
            engine.kill()
        for engine in self.engines:
            engine.destroy()
        self._switch.delete()

    def is_whole(self) -> bool:
        """Whether every manager reaches the others and has a leader."""
        return all(self._reachable(engine) == len(self.engines) for engine in self.engines)

    def raft_leader(self) -> PrivateEngine:
        """The engine whose manager leads the managers; every write of the Swarm goes through it."""
        nodes = self.engines[0].api("GET", "/nodes")
        address = next(node["ManagerStatus"]["Addr"] for node in nodes if node["ManagerStatus"].get("Leader"))
        return next(engine for engine in self.engines if engine.address == address.partition(":")[0])

    def cut(self, engine: PrivateEngine) -> None:
        """Pull the cable of a node; processes on this machine still reach its engine's socket."""
        self._cables[engine].cut()

    def mend(self, engine: PrivateEngine) -> None:
        self._cables[engine].mend()

    def _engine(self, address: str) -> PrivateEngine:
        made: list[SwitchedNamespace] = []

        def plugged_in(number: int) -> SwitchedNamespace:
            made.append(SwitchedNamespace(number, self._switch, address))
            return made[0]

        engine = PrivateEngine(namespace=plugged_in, enter_swarm=self._joined if self._cables else lambda: ("init",))
        self._cables[engine] = made[0]
        return engine

    def _joined(self) -> tuple[str, ...]:
        token = self.engines[0].docker("swarm", "join-token", "--quiet", "manager").strip()
        return ("join", "--token", token, f"{_ADDRESSES[0]}:2377")

    @staticmethod
    def _reachable(engine: PrivateEngine) -> int:
        try:
            nodes = engine.api("GET", "/nodes")
        except (OSError, ApiError):
            return 0
        return sum(node["ManagerStatus"]["Reachability"] == "reachable" and node["Status"]["State"] == "ready" for node in nodes)
