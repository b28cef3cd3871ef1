"""Before an edit is written: is there a place for it at all?

Swarm takes any spec and then waits, without a deadline, for a node that may never come. What is certain to wait is refused here,
and nothing is touched; whatever is in doubt is possible. Certain means: with the nodes that are ready and active now, not
all replicas can run, however the others' tasks are moved. When no node at all is ready and active, the fault is not the spec's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.core import placement
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Reason, Restart, Verb
from controller.model.spec import Json

_UNSETTLED = frozenset({"updating", "paused", "rollback_started", "rollback_paused"})  # tasks of two specs side by side
_HOLDING = frozenset({"assigned", "accepted", "preparing", "ready", "starting", "running"})
_MAX_REPLICAS = "deploy.placement.max_replicas_per_node"


def objection(action: Action, snapshot: Snapshot) -> str:
    """Why this edit of a service cannot work; empty when it may, and for every action that is no edit or places no task."""
    grows = any(change.field == "deploy.replicas" for change in action.changes)
    if (action.kind, action.verb, action.reason) != (ObjectKind.SERVICE, Verb.UPDATE, Reason.EDITED):
        return ""
    if action.restart is Restart.NONE and not grows:
        return ""
    live = snapshot.services.get(action.name)
    return impossible(action.body, live, snapshot, replaces_tasks=action.restart is Restart.ROLLING)


def impossible(body: Json, live: Json | None, snapshot: Snapshot, *, replaces_tasks: bool = True) -> str:
    """The field and the number that stand against a spec, or the empty text when it is possible.

    `live` is the service that it updates, `replaces_tasks` says whether that gives every task a successor.
    """
    nodes = [node for node in snapshot.nodes if placement.is_available(node)]
    wanted = _Wanted.of(body)
    if not nodes or not wanted.replicas:
        return ""
    task = body.get("TaskTemplate") or {}
    chosen = [node for node in nodes if _meets(task, node)]
    if not chosen:  # a global service on no node is complete
        return "" if wanted.is_global else _unmet_constraints(task, nodes)
    fitting, fault = _fitting(task, chosen)
    if fault:
        return fault
    limits = _Limits.of(body)
    fault = _taken_ports(body, fitting, wanted, snapshot) or ("" if wanted.is_global else _shortage(limits, fitting, wanted))
    if fault or live is None or not replaces_tasks or (body.get("UpdateConfig") or {}).get("Order") != "start-first":
        return fault
    return _no_second_place(limits, live, fitting, wanted, snapshot)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How many tasks must run side by side; of global services and jobs it is enough that one can."""

    replicas: int
    is_global: bool = False

    @classmethod
    def of(cls, spec: Json) -> _Wanted:
        mode = spec.get("Mode") or {}
        if mode.get("Global") is not None or mode.get("GlobalJob") is not None:
            return cls(1, is_global=True)
        if mode.get("ReplicatedJob") is not None:
            return cls(min(1, mode["ReplicatedJob"].get("TotalCompletions", 1)))
        replicas = (mode.get("Replicated") or {}).get("Replicas")
        return cls(1 if replicas is None else replicas)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What bounds the number of a service's tasks on one node."""

    most: int  # 0: no bound
    ports: frozenset[tuple[int, str]]
    reservations: tuple[placement.Reservation, ...]

    @classmethod
    def of(cls, spec: Json) -> _Limits:
        task = spec.get("TaskTemplate") or {}
        most = (task.get("Placement") or {}).get("MaxReplicas", 0)
        return cls(most, placement.host_ports(spec), placement.reservations(task))

    def rooms(self) -> Sequence[tuple[str, Callable[[Json], int | None]]]:
        """By field, how many tasks a node can hold at most; None: as many as one likes."""
        rooms: list[tuple[str, Callable[[Json], int | None]]] = []
        if self.most:
            rooms.append((_MAX_REPLICAS, lambda node: self.most))
        if self.ports:
            rooms.append((f"ports ({_told(self.ports)} of the host)", lambda node: 1))
        return rooms + [(item.field, item.room) for item in self.reservations]

    def room(self, node: Json) -> int | None:
        bounds = [bound for bound in (room(node) for _, room in self.rooms()) if bound is not None]
        return min(bounds, default=None)

    def admits_one_more(self, node: Json, others: int, old: _Limits) -> bool:
        """Whether a task can join `others` of the `old` spec on this node."""
        if (self.most and others >= self.most) or (others and self.ports & old.ports):
            return False
        held = {(item.field, item.kind): item.asked * others for item in old.reservations}
        stocks = [(item, item.stock(node)) for item in self.reservations]
        return all(has is None or has - held.get((item.field, item.kind), 0) >= item.asked for item, has in stocks)


def _meets(task: Json, node: Json) -> bool:
    return all(item.is_met_by(node) for item in placement.constraints(task.get("Placement") or {}))


def _unmet_constraints(task: Json, nodes: Sequence[Json]) -> str:
    constraints = placement.constraints(task.get("Placement") or {})
    single = next((item for item in constraints if not any(item.is_met_by(node) for node in nodes)), None)
    what = str(single) if single else f"all of {', '.join(map(str, constraints))}"
    return f"deploy.placement.constraints: no ready node meets {what} ({_count(len(nodes), 'node')} looked at)"


def _fitting(task: Json, nodes: Sequence[Json]) -> tuple[Sequence[Json], str]:
    """The nodes that could take one task each if they were empty, or why none can."""
    platforms = (task.get("Placement") or {}).get("Platforms") or ()
    kept = [node for node in nodes if placement.runs_on(platforms, node)]
    if not kept:
        built = ", ".join(f"{item.get('OS', '')}/{item.get('Architecture', '')}" for item in platforms)
        return (), f"image: is built for {built}, and none of {_count(len(nodes), 'fitting node')} runs that"
    for field, kind, name in placement.plugins(task):
        nodes, kept = kept, [node for node in kept if placement.has_plugin(kind, name, node)]
        if not kept:
            return (), f"{field}: none of {_count(len(nodes), 'fitting node')} has the plugin {name}"
    for item in placement.reservations(task):
        stocks = [(node, item.stock(node)) for node in kept]
        kept = [node for node, has in stocks if has is None or has >= item.asked]
        if not kept:
            most = max(has for _, has in stocks if has is not None)
            asked, has = item.told(item.asked), item.told(most)
            return (), f"{item.field}: {asked} asked for, the most that one of {_count(len(stocks), 'fitting node')} has is {has}"
    return kept, ""


def _taken_ports(body: Json, fitting: Sequence[Json], wanted: _Wanted, snapshot: Snapshot) -> str:
    """Ports of the host that other services hold: a port serves one task a node, so who holds it on k nodes leaves the rest."""
    others = [item for name, item in snapshot.services.items() if name != body.get("Name") and not _is_unsettled(item)]
    for port in sorted(placement.host_ports(body)):
        holders = [item for item in others if port in placement.host_ports(item["Spec"])]
        places = [_places(item, snapshot) for item in holders]
        known = {node for place in places if place is not None for node in place}
        unseen = sum(_running(item) for item, place in zip(holders, places, strict=True) if place is None)
        free = min(sum(node["ID"] not in known for node in fitting), len(snapshot.nodes) - len(known) - unseen)
        if free < wanted.replicas:
            names = ", ".join(item["Spec"]["Name"] for item in holders)
            held = f" besides {names}" if holders else ""
            nodes = _count(len(fitting), "fitting node")
            return (
                f"ports: {_told([port])} of the host is free on {max(free, 0)} of {nodes}{held}, for {wanted.replicas} replicas"
            )
    return ""


def _shortage(limits: _Limits, fitting: Sequence[Json], wanted: _Wanted) -> str:
    """Whether the nodes, were they empty, could hold all replicas at once."""
    rooms = limits.rooms()
    for fields, room in [*rooms, (", ".join(field for field, _ in rooms), limits.room)]:
        total = sum(wanted.replicas if bound is None else bound for bound in map(room, fitting))
        if total < wanted.replicas:
            nodes = _count(len(fitting), "fitting node")
            return f"{fields}: {nodes} can hold {total} of {wanted.replicas} replicas"
    return ""


def _no_second_place(limits: _Limits, live: Json, fitting: Sequence[Json], wanted: _Wanted, snapshot: Snapshot) -> str:
    """start-first: the new task needs a place while the old one has its own, or both wait for each other for ever."""
    old = _Limits.of(live["Spec"])
    taken = _occupied(live, old, snapshot)
    if taken is None or _is_unsettled(live) or _Wanted.of(live["Spec"]).replicas > wanted.replicas:
        return ""
    admits = [limits.admits_one_more(node, taken.get(node["ID"], 0), old) for node in fitting]
    if wanted.is_global:  # a node's new task must join that node's old one
        stuck = [not admitted and taken.get(node["ID"], 0) > 0 for node, admitted in zip(fitting, admits, strict=True)]
    else:
        stuck = [not any(admits)]
    if not any(stuck):
        return ""
    causes = [
        _MAX_REPLICAS if limits.most else "",
        _told(limits.ports & old.ports),
        "reservations" if limits.reservations else "",
    ]
    bound = ", ".join(filter(None, causes))
    return (
        f"deploy.update_config.order: start-first needs a second place beside the old task, and "
        f"{_count(len(fitting), 'fitting node')} {'has' if len(fitting) == 1 else 'have'} none ({bound})"
    )


def _occupied(live: Json, limits: _Limits, snapshot: Snapshot) -> Mapping[str, int] | None:
    """Tasks of a service by node; None where that cannot be told.

    Without a list of tasks it can when as many run as all nodes together, those that are away included, can hold.
    """
    tasks = _tasks(live, snapshot)
    if tasks is not None:
        places = [task.get("NodeID", "") for task in tasks]
        return {node: places.count(node) for node in places}
    rooms = {node["ID"]: limits.room(node) for node in snapshot.nodes}
    bounded = {node: room for node, room in rooms.items() if room is not None}
    return bounded if len(bounded) == len(rooms) and _running(live) >= sum(bounded.values()) else None


def _places(live: Json, snapshot: Snapshot) -> Iterable[str] | None:
    tasks = _tasks(live, snapshot)
    return None if tasks is None else {task.get("NodeID", "") for task in tasks}


def _tasks(live: Json, snapshot: Snapshot) -> Sequence[Json] | None:
    """The service's tasks that hold a place and are to stay; None where nobody asked for them."""
    listed = (snapshot.tasks or {}).get(live["ID"])
    if listed is None:
        return None
    return [
        task
        for task in listed
        if (task.get("Status") or {}).get("State") in _HOLDING and task.get("DesiredState") == "running" and task.get("NodeID")
    ]


def _running(live: Json) -> int:
    """How many tasks run for certain: Swarm's count has those that are stopping too."""
    counts: Mapping[str, int] = live.get("ServiceStatus") or {}
    return min(counts.get("RunningTasks", 0), counts.get("DesiredTasks", 0))


def _is_unsettled(live: Json) -> bool:
    return (live.get("UpdateStatus") or {}).get("State") in _UNSETTLED


def _told(ports: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{number}/{protocol}" for number, protocol in sorted(ports))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
