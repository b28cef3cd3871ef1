"""What pre-flight calls impossible never comes up in the simulated Swarm, whatever the nodes, the services and the edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from controller.core.preflight import impossible
from controller.engine.observer import assemble
from controller.engine.ports import EngineFacts
from controller.model.observation import Snapshot
from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator.engine import Simulator
from controller.simulator.placement import meets_constraints
from controller.simulator.records import Mode, TaskState
from tests.support.specs import body

KINDS = (ObjectKind.NETWORK, ObjectKind.CONFIG, ObjectKind.SECRET, ObjectKind.NODE)
FACTS = EngineFacts(api_version=(1, 47), engine_version="", node_id="", is_manager=True, cluster_id="")
TEN_MINUTES = 600.0

CONSTRAINTS = st.lists(
    st.sampled_from(
        [
            "node.role == manager",
            "node.role != manager",
            "node.labels.disk == SSD",
            "node.labels.disk != ssd",
            "node.hostname == node2",
            "node.hostname != node1",
            "node.platform.arch == x86_64",
            "node.labels.Disk == ssd",
            "node.nothing == 1",
        ]
    ),
    max_size=2,
)
PORTS = st.lists(st.sampled_from([8080, 8081]), max_size=2, unique=True)


@dataclass(frozen=True)
class Shape:
    """What of a service bears on where its tasks go."""

    mode: Mapping[str, Any]
    constraints: tuple[str, ...] = ()
    most: int = 0
    ports: tuple[int, ...] = ()
    memory: int = 0  # GiB, of the 8 that a node has
    order: str = "stop-first"

    def body(self, key: str, image: str) -> dict[str, Any]:
        ports = [{"PublishMode": "host", "PublishedPort": p, "TargetPort": p, "Protocol": "tcp"} for p in self.ports]
        placement = {"Constraints": list(self.constraints), "MaxReplicas": self.most}
        reserved = {"Reservations": {"MemoryBytes": self.memory << 30}} if self.memory else {}
        return body(
            key,
            image,
            Mode=self.mode,
            task={"Placement": placement, "Resources": reserved},
            EndpointSpec={"Ports": ports},
            UpdateConfig={"Parallelism": 1, "Order": self.order},
        )


REPLICATED = st.integers(0, 4).map(lambda count: {"Replicated": {"Replicas": count}})
GLOBAL: st.SearchStrategy[dict[str, Any]] = st.just({"Global": {}})


def shapes(modes: st.SearchStrategy[Any]) -> st.SearchStrategy[Shape]:
    return st.builds(
        Shape,
        modes,
        CONSTRAINTS.map(tuple),
        st.sampled_from([0, 0, 1, 2]),
        PORTS.map(tuple),
        st.sampled_from([0, 0, 3, 5, 9]),
        st.sampled_from(["stop-first", "start-first"]),
    )


NODES = st.lists(
    st.tuples(st.sampled_from([{}, {"disk": "ssd"}, {"disk": "hdd"}]), st.sampled_from(["active", "active", "pause", "drain"])),
    max_size=3,
)


def snapshot(sim: Simulator, *, with_tasks: bool) -> Snapshot:
    seen = assemble(FACTS, sim.list_objects(ObjectKind.SERVICE), {kind: sim.list_objects(kind) for kind in KINDS})
    if not with_tasks:
        return seen
    tasks: dict[str, list[Json]] = {item["ID"]: [] for item in seen.services.values()}
    for task in sim.list_objects(ObjectKind.TASK):
        tasks[task["ServiceID"]].append(task)
    return replace(seen, tasks=tasks)


def is_complete(sim: Simulator, name: str) -> bool:
    """All tasks that the spec asks for run, and are made from it."""
    service = sim.service(name)
    current = [task for task in sim.running(name) if task.spec_version == service.spec_version or task.spec == service.template]
    if service.mode is Mode.REPLICATED:
        return len(current) >= service.replicas
    places = [node for node in sim.store.nodes.rows.values() if node.is_schedulable and meets_constraints(service.template, node)]
    return {node.id for node in places} <= {task.node_id for task in current}


@settings(deadline=None)
@given(
    nodes=NODES,
    other=st.none() | shapes(REPLICATED | GLOBAL),
    pair=st.one_of(*(st.tuples(st.none() | shapes(mode), shapes(mode)) for mode in (REPLICATED, GLOBAL))),
    with_tasks=st.booleans(),
    seconds=st.sampled_from([0.0, 0.3, 30.0]),
)
@example(  # two services want the same port of the one node
    nodes=[],
    other=Shape({"Replicated": {"Replicas": 1}}, ports=(8080,)),
    pair=(None, Shape({"Replicated": {"Replicas": 1}}, ports=(8080,))),
    with_tasks=False,
    seconds=30.0,
)
@example(  # the old tasks hold every place
    nodes=[({}, "active")],
    other=None,
    pair=(Shape({"Replicated": {"Replicas": 2}}, most=1), Shape({"Replicated": {"Replicas": 2}}, most=1, order="start-first")),
    with_tasks=False,
    seconds=30.0,
)
@example(
    nodes=[({}, "active")],
    other=None,
    pair=(Shape({"Global": {}}, ports=(8081,)), Shape({"Global": {}}, ports=(8081,), order="start-first")),
    with_tasks=True,
    seconds=30.0,
)
def test_what_is_called_impossible_never_has_all_its_replicas(
    nodes: list[tuple[dict[str, str], str]],
    other: Shape | None,
    pair: tuple[Shape | None, Shape],
    with_tasks: bool,
    seconds: float,
) -> None:
    before, wanted = pair
    sim = Simulator()
    for labels, _ in nodes:
        sim.add_node(labels=labels)
    for key, shape in (("other", other), ("web", before)):
        if shape is not None:
            sim.create(ObjectKind.SERVICE, shape.body(key, "nginx:1"))
    sim.advance(seconds)
    for number, (_, availability) in enumerate(nodes, start=2):
        sim.set_availability(f"node{number}", availability)
    sim.advance(seconds)
    seen, asked = snapshot(sim, with_tasks=with_tasks), wanted.body("web", "nginx:2")
    live = seen.services.get("shop_web")

    told = impossible(asked, live, seen)

    event(told.partition(":")[0] or "possible")
    if not told:
        return
    if live is None:
        sim.create(ObjectKind.SERVICE, asked)
    else:
        sim.update(ObjectKind.SERVICE, "shop_web", live["Version"]["Index"], asked)
    for _ in range(int(TEN_MINUTES)):
        sim.advance(1.0)
        assert not is_complete(sim, "shop_web"), told
    assert any(task.desired is TaskState.RUNNING for task in sim.tasks("shop_web")), "nothing was even asked for"
