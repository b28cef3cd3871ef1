"""The rows about bad updates: how soon the old version is back, beside Swarm's own `failure_action: rollback`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from tests.bench import promise
from tests.bench.patients import UPDATE, WEB, Fault, Patient, Setting, kept, twin
from tests.bench.promise import Measurement
from tests.bench.scene import CommandFailedError, Scene
from tests.bench.stats import interleaved
from tests.support.prometheus import PrometheusServer, ScrapeTarget
from tests.support.tiny_image import IS_WELL
from tests.support.trial import POLICY, Trial

MOST = 1.1  # of Swarm's own time
NOBODY = "127.0.0.1:5000/bench/nobody:1"
CHECK = {"test": list(IS_WELL), "interval": "1s", "timeout": "2s", "retries": 1}
TOGETHER: Mapping[str, Any] = {**UPDATE, "parallelism": 2, "delay": "0s"}
SCRAPE_SECONDS = 1.0
ERRORS = 'rate(failed_requests_total{host="web"}[3s]) > 1'
UPDATED_SECONDS = 8.0  # both replicas, one after the other
SHARE = 0.5  # of the pairs: one takes half a minute and hardly varies
MORE = 3.0  # one of images takes a second, half of which is a container's start: that varies
FEWER = 0.3  # samples of a bound in seconds: nothing is compared


def crash(scene: Scene) -> Measurement:
    return _beside_swarm(scene, "rollback-crash", "that crashes at its start", Setting("1s"), Fault({"FAULT": "crash"}))


def unhealthy(scene: Scene) -> Measurement:
    setting, fault = Setting("1s", healthcheck=CHECK), Fault({"FAULT": "unhealthy"})
    return _beside_swarm(scene, "rollback-unhealthy", "that is never healthy", setting, fault)


def image(scene: Scene) -> Measurement:
    what = "whose image cannot be pulled"
    return _beside_swarm(scene, "rollback-image", what, Setting("1s"), Fault(image=NOBODY), share=MORE)


def late(scene: Scene) -> Measurement:
    """What is well until Swarm calls its update complete.

    Most of it is the engine's: it stops what is unhealthy only two seconds later, for its overlay networks to hear of it.
    """
    after, interval, retries = 4.0, 1.0, 2
    setting = Setting("8s", healthcheck={**CHECK, "interval": f"{interval:g}s", "retries": retries}, update=TOGETHER)
    fault, bound = Fault({"FAULT": "late-unhealthy", "AFTER": f"{after:g}"}), interval * retries + 2

    def sample(patient: Patient) -> float:
        written = patient.edit(fault)
        back, events = patient.written_back(written), patient.events(written)
        starts = [event.at for event in events if (event.kind, event.action) == ("container", "start")]
        return back - (starts[0] + after)

    text = f"unhealthy after monitor: fault to write back ≤ interval x retries + 2 s = {bound:g} s"
    return _where_swarm_waits(scene, ("rollback-late", text), setting, fault, sample, bound=bound, quiet=after)


def stuck(scene: Scene) -> Measurement:
    """What starts for ever: its health check fails, and may do so a thousand times."""
    deadline = 5.0
    setting = Setting("1s", deadline=f"{deadline:g}s", healthcheck={**CHECK, "retries": 1000}, update=TOGETHER)
    fault, bound = Fault({"FAULT": "unhealthy"}), deadline + 1

    def sample(patient: Patient) -> float:
        written = patient.edit(fault)
        return patient.written_back(written) - written

    text = f"stuck in starting: update to write back ≤ progress deadline + 1 s = {bound:g} s"
    return _where_swarm_waits(scene, ("rollback-stuck", text), setting, fault, sample, bound=bound)


def errors(scene: Scene) -> Measurement:
    """What runs and answers 500, told by a condition in Prometheus; clients ask through nginx 50 times a second."""
    bound = 2 * SCRAPE_SECONDS + 1
    with ExitStack() as cleanup:
        target = cleanup.enter_context(ScrapeTarget())
        folder = scene.folder / "prometheus"
        folder.mkdir(exist_ok=True)
        prometheus = PrometheusServer(folder, [target.address], interval=SCRAPE_SECONDS)
        cleanup.callback(prometheus.kill)
        prometheus.start()
        environment = {"PRODBREAKER_RESOLVE_IMAGE": "never", "PRODBREAKER_PROMETHEUS": prometheus.url}
        trial = Trial(scene.engine, scene.folder / "trial", environment=environment, counts=target.values)
        cleanup.callback(trial.close)
        policy = {"rollback": {**POLICY["rollback"], "conditions": [{"query": ERRORS}]}, "budget": {"actions": 1000, "per": "1s"}}
        trial.open({"web": {**trial.page("good"), "x-prodbreaker": policy}})
        original = scene.engine.api("GET", f"/services/{WEB}")["Spec"]
        never = _never(scene, original, Fault({"FAULT": "errors"}), seconds=UPDATED_SECONDS + 2 * bound)
        ours = [_until_errors_end(trial, f"bad-{number}", policy) for number in range(_part(scene, FEWER))]
    text = f"answers 500: first failed request to write back ≤ 2 scrapes + 1 s = {bound:g} s"
    finding = promise.seconds("rollback-errors", text, ours, [], bound, tail=True)
    return Measurement((replace(finding, theirs=never),), {"ours": ours}, {})


def _until_errors_end(trial: Trial, version: str, policy: Mapping[str, Any]) -> float:
    """From the first request that failed to the write that goes back, both by the clock of this process."""
    trial.proxy.clear()
    begin = time.monotonic()
    trial.declare({"web": {**trial.page(version, FAULT="errors"), "x-prodbreaker": policy}})
    trial.wait(lambda: len(_updates(trial)) == 2 and trial.sight().states("web")[-1] == "quarantined", "the way back")
    trial.wait(lambda: trial.sight().is_complete("web") and trial.pages("web") == {"good"}, "the good pages")
    return _updates(trial)[1] - trial.failed("web", begin)[0].at


def _updates(trial: Trial) -> list[float]:
    """When the controller wrote the service; what was refused, because Swarm had just written it too, does not count."""
    return [call.at for call, text in trial.calls() if text == f"update {WEB}"]


def _beside_swarm(scene: Scene, row: str, what: str, setting: Setting, fault: Fault, *, share: float = SHARE) -> Measurement:
    count = _part(scene, share)
    with kept(scene, setting) as ours, twin(scene, ours.service()["Spec"]) as theirs:
        pairs = interleaved(count, lambda: ours.seconds_to_serve(fault), lambda: theirs.seconds_to_serve(fault))
    text = f"update {what}: old version back ≤ {MOST} of Swarm's own rollback"
    samples = {"ours": [own for own, _ in pairs], "theirs": [other for _, other in pairs]}
    return Measurement((promise.median_ratio(row, text, pairs, MOST),), samples, {})


def _where_swarm_waits(
    scene: Scene,
    row: tuple[str, str],
    setting: Setting,
    fault: Fault,
    sample: Callable[[Patient], float],
    *,
    bound: float,
    quiet: float = 0.0,
) -> Measurement:
    """`row` is its name and promise; the fault shows `quiet` seconds after the start."""
    with kept(scene, setting) as patient:
        never = _never(scene, patient.service()["Spec"], fault, seconds=quiet + 2 * bound)
        ours = [sample(patient) for _ in range(_part(scene, FEWER))]
    finding = promise.seconds(*row, ours, [], bound, tail=True)
    return Measurement((replace(finding, theirs=never),), {"ours": ours}, {})


def _never(scene: Scene, original: Mapping[str, Any], fault: Fault, *, seconds: float) -> str:
    """What Swarm itself, told to roll back, makes of the fault. Raises CommandFailedError where it does go back."""
    with twin(scene, original) as patient:
        patient.edit(fault)
        time.sleep(seconds)
        state = (patient.service().get("UpdateStatus") or {}).get("State")
        if not patient.is_still_bad():
            raise CommandFailedError(f"Swarm went back by itself: {state}")
    return f"never ({state} after {seconds:g} s)"


def _part(scene: Scene, share: float) -> int:
    return max(1, round(scene.pairs * share))
