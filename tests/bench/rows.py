"""One function per promise of the benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tests.bench import application, promise, rollbacks
from tests.bench.promise import Measurement
from tests.bench.scene import MANY, PRODBREAKER, STACK, CommandFailedError, Scene
from tests.bench.stats import interleaved
from tests.support import processes
from tests.support.events import EventTimes
from tests.support.proxy import Proxy
from tests.support.unixhttp import ApiError

REPLICAS = 3
OFTEN = "x-prodbreaker: {budget: {actions: 1000, per: 1s}}"  # what is broken again and again must not be held
HEALS_A_PAIR = 3  # a start of containers varies more than a command
SETTLE_SECONDS = 0.4  # between two disturbances, so that each is met at rest
MEMORY_SECONDS = 45.0  # more than one resync


def plan_unchanged(scene: Scene) -> Measurement:
    """1,000 services that are as declared: `plan` beside `docker stack deploy`, which writes every one of them again."""
    file = scene.many_services()
    theirs = _deploy(file)
    ours = [*_prodbreaker("plan", file), "--detailed-exitcode"]
    scene.run(theirs)
    pairs = interleaved(2 * scene.pairs, lambda: scene.timed(ours), lambda: scene.timed(theirs))
    text = f"plan of {MANY} unchanged services ≤ 0.25 of docker stack deploy"
    counts = {
        "prodbreaker plan": scene.requests_of(lambda host: scene.run(ours, host=host)),
        "docker stack deploy": scene.requests_of(lambda host: scene.run(theirs, host=host)),
    }
    return Measurement((promise.median_ratio("plan", text, pairs, 0.25),), _samples(pairs), counts)


def create_many(scene: Scene) -> Measurement:
    """1,000 services without tasks in an empty Swarm: `apply` beside `docker stack deploy`."""
    file = scene.many_services()
    theirs, ours = _deploy(file), [*_prodbreaker("apply", file), "--detach"]  # both end once everything is written

    def create(command: list[str]) -> float:
        scene.clean()
        scene.many_services()
        seconds = scene.timed(command)
        made = len(scene.engine.api("GET", "/services"))
        if made != MANY:
            raise CommandFailedError(f"{command[1]} made {made} services")
        return seconds

    pairs = interleaved(scene.pairs, lambda: create(ours), lambda: create(theirs))
    text = f"creating {MANY} services without tasks ≤ 0.8 of docker stack deploy"
    return Measurement((promise.median_ratio("create", text, pairs, 0.8),), _samples(pairs), {})


def heal(scene: Scene) -> Measurement:
    """From `docker service rm` to every replica running again, beside `docker service create` of the same service."""
    reference = scene.engine.push_tiny_image("bench/heal")
    pinned = scene.engine.docker("image", "inspect", "--format", "{{index .RepoDigests 0}}", reference).strip()
    service = f"{{image: '{pinned}', deploy: {{replicas: {REPLICAS}}}, {OFTEN}}}"
    (scene.manifests / "heal.yml").write_text(
        f"version: '3.8'\nservices: {{web: {service}}}\nnetworks: {{default: {{name: heal}}}}\n"
    )
    create = ["service", "create", "--quiet", "--detach", "--no-resolve-image", "--network", "heal", "--name", "twin"]
    create += ["--replicas", str(REPLICAS), pinned]
    controller = scene.controller()
    controller.start()
    try:
        _until_running(scene, "heal_web", after=0.0)

        def ours() -> float:
            return _disturbed(scene, "heal_web", lambda: scene.engine.docker("service", "rm", "heal_web"))

        def theirs() -> float:
            seconds = _disturbed(scene, "twin", lambda: scene.engine.docker(*create))
            scene.engine.docker("service", "rm", "twin")
            return seconds

        pairs = interleaved(scene.pairs * HEALS_A_PAIR, ours, theirs)
    finally:
        controller.kill()
    text = "heal after docker service rm ≤ {} of docker service create"
    findings = (
        promise.median_ratio("heal", text.format("1.10 (median)"), pairs, 1.10),
        promise.p95_ratio("heal", text.format("1.25 (p95)"), pairs, 1.25),
    )
    return Measurement(findings, _samples(pairs), {})


def react(scene: Scene) -> Measurement:
    """From the moment that `service rm` is sent to the controller's first write, beside a bare reader of the event stream."""
    services = 10
    image = scene.engine.push_tiny_image("bench/react")
    body = "".join(f"  s{number}: {{image: '{image}', deploy: {{replicas: 0}}, {OFTEN}}}\n" for number in range(services))
    (scene.manifests / "react.yml").write_text(f"version: '3.8'\nservices:\n{body}")
    proxy = Proxy(scene.engine.socket, scene.engine.folder / "react.sock")
    proxy.start()
    controller = scene.controller(proxy.host)
    events = EventTimes(scene.engine.socket, "remove")
    ours, theirs = [], []
    try:
        controller.start()
        assert processes.wait_until(lambda: len(scene.engine.api("GET", "/services")) == services, seconds=30)
        events.start()
        for number in range(scene.pairs * 10):
            time.sleep(SETTLE_SECONDS)
            proxy.clear()
            events.clear()
            begin = time.monotonic()
            scene.engine.api("DELETE", f"/services/react_s{number % services}")
            assert processes.wait_until(lambda: bool(proxy.writes()), seconds=60, pause=0.01), "no corrective call"
            ours.append(proxy.writes()[0].at - begin)
            theirs.append(events.first() - begin)
    finally:
        events.stop()
        controller.kill()
        proxy.stop()
    text = "service rm to the first corrective call ≤ 0.25 s (p99)"
    finding = promise.seconds("react", text, ours, theirs, 0.25, tail=True)
    return Measurement((finding,), {"ours": ours, "bare reader": theirs}, {})


def version(scene: Scene) -> Measurement:
    """A command that needs nothing answers at once."""
    pairs = interleaved(
        max(scene.pairs, 20), lambda: scene.timed([PRODBREAKER, "--version"]), lambda: scene.timed(["docker", "--version"])
    )
    text = "prodbreaker --version ≤ 0.3 s"
    finding = promise.seconds("version", text, [ours for ours, _ in pairs], [theirs for _, theirs in pairs], 0.3, tail=False)
    return Measurement((finding,), _samples(pairs), {})


def memory(scene: Scene) -> Measurement:
    """The controller's greatest resident memory while it keeps 1,000 services through more than one resync."""
    file = scene.many_services()
    scene.run(_deploy(file))
    controller = scene.controller()
    controller.start()
    values = []
    try:
        end = time.monotonic() + MEMORY_SECONDS
        while time.monotonic() < end:
            values.append(controller.resident_mebibytes())
            time.sleep(0.2)
    finally:
        controller.kill()
    text = f"memory of run at {MANY} services ≤ 96 MiB"
    return Measurement((promise.mebibytes("memory", text, values, 96.0),), {"ours": values}, {})


ROWS: dict[str, Callable[[Scene], Measurement]] = {
    "version": version,
    "plan": plan_unchanged,
    "create": create_many,
    "memory": memory,
    "react": react,
    "heal": heal,
    "rollback-crash": rollbacks.crash,
    "rollback-unhealthy": rollbacks.unhealthy,
    "rollback-image": rollbacks.image,
    "rollback-late": rollbacks.late,
    "rollback-stuck": rollbacks.stuck,
    "rollback-errors": rollbacks.errors,
    "import": application.import_rows,
    "redirect": application.redirect,
    "nginx": application.balancer,
    "load": application.visitors,
}


def _deploy(file: Path) -> list[str]:
    return ["docker", "stack", "deploy", "--detach", "--resolve-image", "never", "-c", str(file), STACK]


def _prodbreaker(command: str, file: Path) -> list[str]:
    return [PRODBREAKER, command, "-c", str(file), "--stack", STACK, "--resolve-image", "never"]


def _samples(pairs: promise.Pairs) -> dict[str, list[float]]:
    return {"ours": [ours for ours, _ in pairs], "theirs": [theirs for _, theirs in pairs]}


def _disturbed(scene: Scene, service: str, act: Callable[[], object]) -> float:
    """Seconds from just before `act` to the moment at which the last replica made after it says that it runs."""
    _until_at_rest(scene)
    begin = time.time()  # the engine's own stamps are of this clock, and far finer than looking again and again
    act()
    return _until_running(scene, service, after=begin) - begin


def _until_running(scene: Scene, service: str, *, after: float) -> float:
    stamps: list[float] = []

    def all_run() -> bool:
        stamps[:] = [stamp for task in _tasks(scene, service) if (stamp := _running_since(task)) > after]
        return len(stamps) == REPLICAS

    if not processes.wait_until(all_run, seconds=60, pause=0.05):
        raise CommandFailedError(f"{service} does not run")
    return max(stamps)


def _until_at_rest(scene: Scene) -> None:
    """The last sample's containers are gone and nothing is starting."""
    assert processes.wait_until(lambda: len(scene.engine.api("GET", "/containers/json?all=1")) <= REPLICAS, seconds=60)
    time.sleep(SETTLE_SECONDS)


def _tasks(scene: Scene, service: str) -> list[dict[str, dict[str, str]]]:
    try:
        found: list[dict[str, dict[str, str]]] = scene.engine.api(
            "GET", f"/tasks?filters=%7B%22service%22%3A%5B%22{service}%22%5D%7D"
        )
    except ApiError as error:
        if error.status != 404:  # the service is not there at the moment
            raise
        return []
    return found


def _running_since(task: dict[str, dict[str, str]]) -> float:
    status = task["Status"]
    if status["State"] != "running":
        return 0.0
    whole, _, fraction = status["Timestamp"].rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
