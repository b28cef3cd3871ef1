"""What holds for every service that can be declared (quality.md: fixpoint, determinism, permutation, A to B to A)."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from controller.core.diff import difference
from controller.core.images import Resolve
from controller.core.planner import Options, make_plan
from controller.core.values import SECOND, Context
from controller.model.observation import Knowledge, Snapshot
from controller.model.plan import Action, Restart, Verb
from controller.model.policy import ServicePolicy
from controller.model.spec import DesiredService, Json
from controller.simulator.defaults import complete_service
from controller.stackfile.policy import IGNORABLE_FIELDS
from tests.support.specs import API, body, live_network, snapshot, stack

NETWORKS = [live_network("front"), live_network("back")]
IDS = {item["Name"]: item["Id"] for item in NETWORKS}
CONTEXT = Context({ident: name for name, ident in IDS.items()}, {}, API)
NEVER = Options(resolve=Resolve.NEVER)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

WORDS = st.text("abxyz0-", min_size=1, max_size=3)
VALUES = st.text("ab =:,/ä", max_size=4)
LABELS = st.dictionaries(WORDS, VALUES, max_size=3)
DURATIONS = st.sampled_from([0, 1_000_000, SECOND, 5 * SECOND, 10 * SECOND])
COUNTS = st.integers(0, 3)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping in which any of the fields may be absent."""
    return st.fixed_dictionaries({}, optional=fields)


def listed(items: st.SearchStrategy[Any], **more: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=3, **more)


def by(key: str, items: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return listed(items, unique_by=lambda item: item[key])


UPDATES = some(
    Parallelism=COUNTS, Delay=DURATIONS, Monitor=DURATIONS, MaxFailureRatio=st.floats(0, 1),
    FailureAction=st.sampled_from(["", "pause", "continue", "rollback"]),
    Order=st.sampled_from(["", "stop-first", "start-first"]),
)  # fmt: skip
MODES = st.one_of(
    some(Replicas=COUNTS).map(lambda inner: {"Replicated": inner}),
    st.just({"Global": {}}),
    st.just({"GlobalJob": {}}),
    COUNTS.map(lambda count: {"ReplicatedJob": {"MaxConcurrent": count, "TotalCompletions": count}}),
    st.just({"ReplicatedJob": {}}),
)
PORTS = some(
    Protocol=st.sampled_from(["tcp", "udp", "sctp"]), PublishedPort=st.integers(0, 2), PublishMode=st.sampled_from(["", "host"])
).flatmap(lambda port: st.integers(80, 82).map(lambda target: {**port, "TargetPort": target}))
MOUNTS = st.one_of(
    st.fixed_dictionaries(
        {"Type": st.just("volume"), "Target": WORDS, "VolumeOptions": some(NoCopy=st.booleans(), Subpath=WORDS, Labels=LABELS)},
        optional={"Source": WORDS, "ReadOnly": st.booleans(), "Consistency": st.just("cached")},
    ),
    st.fixed_dictionaries(
        {"Type": st.sampled_from(["bind", ""]), "Source": WORDS, "Target": WORDS},
        optional={"BindOptions": some(Propagation=st.sampled_from(["", "rslave"]))},
    ),
    st.fixed_dictionaries({"Type": st.just("tmpfs"), "Target": WORDS}, optional={"TmpfsOptions": some(SizeBytes=COUNTS)}),
)
REFERENCES = st.builds(
    lambda name, target, mode: (name, target, mode), st.sampled_from(["s1", "s2"]), WORDS, st.sampled_from([0, 0o400, 0o444])
)


def references(word: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    def made(found: tuple[str, str, int]) -> dict[str, Any]:
        name, target, mode = found
        file = {"Name": target, "UID": "0", "GID": "0", "Mode": mode}
        return {"File": file, f"{word}ID": f"real-{name}", f"{word}Name": name}

    return listed(REFERENCES, unique_by=lambda found: found[1]).map(lambda items: [made(item) for item in items])


CONTAINERS = some(
    Env=listed(st.builds(lambda name, value: name if value is None else f"{name}={value}", WORDS, st.none() | VALUES)),
    Labels=LABELS, Command=listed(VALUES), Args=listed(VALUES), Hostname=WORDS, Dir=WORDS, User=WORDS, StopSignal=WORDS,
    TTY=st.booleans(), OpenStdin=st.booleans(), ReadOnly=st.booleans(), Init=st.none() | st.booleans(),
    Isolation=st.sampled_from(["", "default", "process"]), StopGracePeriod=st.none() | DURATIONS, Hosts=listed(VALUES),
    CapabilityAdd=listed(WORDS), CapabilityDrop=listed(WORDS), Sysctls=LABELS,
    Ulimits=by("Name", st.fixed_dictionaries({"Name": WORDS, "Soft": COUNTS, "Hard": COUNTS})),
    Healthcheck=some(
        Test=listed(VALUES), Interval=DURATIONS, Timeout=DURATIONS, StartPeriod=DURATIONS, StartInterval=DURATIONS, Retries=COUNTS
    ),
    Mounts=by("Target", MOUNTS), Secrets=references("Secret"), Configs=references("Config"),
    DNSConfig=some(Nameservers=listed(WORDS), Search=listed(WORDS)),
    Privileges=st.just({"CredentialSpec": None, "SELinuxContext": None}),
)  # fmt: skip
GENERIC = st.builds(lambda kind, value: {"DiscreteResourceSpec": {"Kind": kind, "Value": value}}, WORDS, st.integers(1, 3))
TASKS = some(
    Resources=some(
        Limits=some(NanoCPUs=COUNTS, MemoryBytes=COUNTS, Pids=COUNTS),
        Reservations=some(NanoCPUs=COUNTS, MemoryBytes=COUNTS, GenericResources=listed(GENERIC)),
    ),
    RestartPolicy=some(
        Condition=st.sampled_from(["", "any", "none", "on-failure"]), Delay=DURATIONS, MaxAttempts=COUNTS, Window=DURATIONS
    ),
    Placement=some(
        Constraints=listed(st.sampled_from(["node.role==manager", "node.labels.a != b", "node.labels.a==c"]), unique=True),
        Preferences=listed(WORDS.map(lambda word: {"Spread": {"SpreadDescriptor": word}})),
        MaxReplicas=COUNTS,
    ),
    Networks=by(
        "Target",
        st.fixed_dictionaries({"Target": st.sampled_from(sorted(IDS))}, optional={"Aliases": listed(WORDS), "DriverOpts": LABELS}
        ),
    ),
    LogDriver=st.fixed_dictionaries({"Name": WORDS}, optional={"Options": LABELS}),
)  # fmt: skip
SPECS = st.builds(
    lambda labels, container, task, rest: body(labels=labels, container=container, task=task, **rest),
    LABELS, CONTAINERS, TASKS,
    some(Mode=MODES, UpdateConfig=UPDATES, RollbackConfig=UPDATES,
         EndpointSpec=some(Mode=st.sampled_from(["", "vip", "dnsrr"]), Ports=listed(PORTS))),
)  # fmt: skip
IGNORED = st.lists(
    st.sampled_from([*sorted(IGNORABLE_FIELDS - {"image"}), "environment.a", "labels.a", "sysctls.a", "deploy.labels.a"]),
    max_size=3,
)


def daemon(spec: Json, *, version: int = 10) -> Json:
    """The service as the engine shows it after it was sent the spec."""
    stored = complete_service(spec, lambda name: IDS.get(name, name), api=API)
    return {"ID": "web", "Version": {"Index": version}, "Spec": stored}


def plan(spec: Json, live: Json | None, *, ignore: tuple[str, ...] = ()) -> tuple[Action, ...]:
    desired = stack(DesiredService("web", "shop_web", spec, policy=ServicePolicy(ignore=ignore)))
    return make_plan(desired, world(live), Knowledge(), NEVER).actions


def world(live: Json | None) -> Snapshot:
    return snapshot(*([live] if live else []), networks=NETWORKS)


def mode_of(spec: Json) -> str:
    return str(next(iter(spec.get("Mode") or {"Replicated": None})))


@given(SPECS)
@PROPERTY
def test_a_spec_does_not_differ_from_itself(spec: Json) -> None:
    assert not difference(spec, spec, CONTEXT).changes


@given(SPECS)
@PROPERTY
def test_what_the_daemon_makes_of_a_spec_is_no_difference(spec: Json) -> None:
    found = difference(spec, daemon(spec)["Spec"], CONTEXT)

    assert found.changes == ()
    assert found.restart is Restart.NONE


@given(SPECS)
@PROPERTY
def test_a_created_service_needs_nothing_more(spec: Json) -> None:
    (action,) = plan(spec, None)

    assert action.verb is Verb.CREATE
    assert plan(spec, daemon(action.body)) == ()


@given(SPECS, SPECS, IGNORED)
@PROPERTY
def test_an_update_reaches_what_is_declared_in_one_write(old: Json, new: Json, ignored: list[str]) -> None:
    assume(mode_of(old) == mode_of(new))
    ignore = tuple(ignored)
    live = daemon(old)

    for action in plan(new, live, ignore=ignore):
        assert action.version == 10
        assert plan(new, daemon(action.body), ignore=ignore) == ()
        assert not difference(action.body, daemon(action.body)["Spec"], CONTEXT).changes


@given(SPECS, SPECS)
@PROPERTY
def test_there_and_back_again_is_the_first_state(first: Json, second: Json) -> None:
    assume(mode_of(first) == mode_of(second))
    live = daemon(plan(first, None)[0].body)
    for spec in (second, first):
        live = next((daemon(action.body) for action in plan(spec, live)), live)

    assert plan(first, live) == ()
    assert not difference(first, live["Spec"], CONTEXT).changes


@given(SPECS, SPECS)
@PROPERTY
def test_planning_is_deterministic(old: Json, new: Json) -> None:
    assert plan(new, daemon(old)) == plan(new, daemon(old))


@given(SPECS, st.randoms(use_true_random=False))
@PROPERTY
def test_the_order_of_sets_and_mappings_makes_no_plan(spec: Json, random: Any) -> None:
    seen = daemon(spec)
    container = seen["Spec"]["TaskTemplate"]["ContainerSpec"]
    names = [entry.partition("=")[0] for entry in container.get("Env", ())]
    assume(len(set(names)) == len(names))  # of two values of one variable the later counts
    for owner, key in (
        (container, "Env"), (container, "Mounts"), (container, "Secrets"), (container, "Configs"), (container, "CapabilityAdd"),
        (container, "Ulimits"), (seen["Spec"]["TaskTemplate"], "Networks"), (seen["Spec"].get("EndpointSpec", {}), "Ports"),
        (seen["Spec"]["TaskTemplate"].get("Placement", {}), "Constraints"),
    ):  # fmt: skip
        if owner.get(key):
            owner[key] = random.sample(owner[key], len(owner[key]))
    for owner, key in ((seen["Spec"], "Labels"), (container, "Labels"), (container, "Sysctls")):
        if owner.get(key):
            owner[key] = dict(random.sample(list(owner[key].items()), len(owner[key])))

    assert plan(spec, seen) == ()


@given(SPECS, SPECS)
@PROPERTY
def test_what_is_equal_is_sent_back_to_the_letter(old: Json, new: Json) -> None:
    assume(mode_of(old) == mode_of(new))
    live = daemon(old)
    template, written = live["Spec"]["TaskTemplate"], [action.body["TaskTemplate"] for action in plan(new, live)]

    found = difference(new, live["Spec"], CONTEXT)
    for part in written:
        equal = {"ContainerSpec", "Resources", "RestartPolicy", "Networks", "LogDriver"} - {
            section.value[-1] for section in found.sections
        }
        assert {key: part.get(key) for key in equal} == {key: template.get(key) for key in equal}
        assert part["ForceUpdate"] == template["ForceUpdate"]
