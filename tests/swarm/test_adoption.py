"""A stack that docker's own client deployed is taken over as it is: nothing to plan, nothing to write, nothing to restart.

The node is drained, so nothing starts and nothing is pulled; what counts is how Swarm tells a declaration back.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.core.planner import Options, make_plan
from controller.model.observation import Knowledge
from controller.model.plan import Reason
from controller.model.spec import DesiredStack
from controller.stackfile.load import load_stack
from tests.support.corpus import CORPUS, Case, cases
from tests.support.engine import PrivateEngine
from tests.support.observed import snapshot_of
from tests.support.one_pass import pass_over
from tests.support.proxy import Proxy
from tests.support.sweep import remove_everything

pytestmark = [pytest.mark.swarm, pytest.mark.parity]

TAKEN_BY_THE_CLIENT = [case for case in cases() if not case.is_refused]

# What the engine refuses of what docker's client sends, and why. The second is refused by every engine without that plugin.
REFUSED_BY_THE_ENGINE = {
    "group__probe-merge": "key 'a' is invalid",
    "probe__configs-secrets": 'plugin "vault" not found',
    "probe__mounts": 'invalid MountType: "cluster"',
}
API_OF_THAT_ENGINE = "1.41"


@pytest.fixture(scope="module")
def proxy(drained_engine: PrivateEngine) -> Iterator[Proxy]:
    made = Proxy(drained_engine.socket, drained_engine.folder / "adoption.sock")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def engine(drained_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    yield drained_engine
    remove_everything(drained_engine)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real stack files is not beside the checkout")
def test_the_corpus_is_whole() -> None:
    assert len(TAKEN_BY_THE_CLIENT) == 82
    assert REFUSED_BY_THE_ENGINE.keys() <= {case.name for case in TAKEN_BY_THE_CLIENT}


@pytest.mark.parametrize("case", TAKEN_BY_THE_CLIENT, ids=lambda case: case.name)
async def test_what_docker_deployed_is_adopted_without_a_write(case: Case, engine: PrivateEngine, proxy: Proxy) -> None:
    _create_externals(case, engine)
    refusal = _deploy(case, engine)
    if refusal:
        assert case.name in REFUSED_BY_THE_ENGINE, refusal
        assert REFUSED_BY_THE_ENGINE[case.name] in refusal
        return
    if engine.api("GET", "/version")["ApiVersion"] == API_OF_THAT_ENGINE:
        assert case.name not in REFUSED_BY_THE_ENGINE

    desired = _desired(case, engine)
    before = _specs(engine)
    plan = make_plan(desired, snapshot_of(engine), Knowledge(), Options())
    assert plan.actions == ()
    assert {notice.reason for notice in plan.notices} <= {Reason.UNKNOWN_CONTENT}

    proxy.clear()
    await pass_over(desired, {**engine.client_environment(), "DOCKER_HOST": proxy.host})
    assert [str(call) for call in proxy.writes()] == []
    assert proxy.calls, "the pass did not look at all"
    assert _specs(engine) == before


def _create_externals(case: Case, engine: PrivateEngine) -> None:
    externals = case.externals()
    for name in externals["networks"] - {"host", "bridge", "none"}:
        engine.api("POST", "/networks/create", {"Name": name, "Driver": "overlay", "Attachable": True})
    for kind in ("configs", "secrets"):
        for name in externals[kind]:
            engine.api("POST", f"/{kind}/create", {"Name": name, "Data": "eA=="})


def _deploy(case: Case, engine: PrivateEngine) -> str:
    """What docker said when it failed, empty if it did not."""
    files = [word for file in case.files for word in ("--compose-file", str(file))]
    done = subprocess.run(
        ["docker", "stack", "deploy", "--detach", "--resolve-image", "never", *files, case.stack],
        env=_environment(case, engine),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stderr if done.returncode else ""


def _desired(case: Case, engine: PrivateEngine) -> DesiredStack:
    environment = _environment(case, engine)
    return load_stack(
        [str(file) for file in case.files],
        stack=case.stack,
        environment=environment,
        read_file=lambda path: Path(path).read_bytes(),
        working_directory=str(case.folder),
        home=environment["HOME"],
    )


def _specs(engine: PrivateEngine) -> dict[str, object]:
    """Versions say nothing: Swarm's own allocator raises them too."""
    return {entry["ID"]: entry["Spec"] for entry in engine.api("GET", "/services")}


def _environment(case: Case, engine: PrivateEngine) -> dict[str, str]:
    return {**engine.client_environment(), **case.env}
