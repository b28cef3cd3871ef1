"""Stack files mean here what they mean to docker: the corpus holds what docker's own client sent for each.

The corpus lies beside the checkout and is no part of it; without it these tests skip.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from controller.errors import ManifestError
from controller.model.spec import DesiredStack
from controller.stackfile import load_stack

CORPUS = Path(__file__).parents[3] / "shared" / "parity"
HOME = "/home/somebody"
CASES = sorted(case.parent for case in CORPUS.glob("*/case.json"))
TAKEN = [case for case in CASES if (case / "expected.json").exists()]
REFUSED = [case for case in CASES if (case / "error.txt").exists()]

# Where the refused cases are wrong: the path of the key and the text of its line.
FAULTS = {
    "docker__cli__cli-compose-loader-full-example": ("configs.config4", "config4:"),
    "gianarb__orbiter__contrib-swarm-stack": ("services.micro.deploy.resources.restart_policy", "restart_policy:"),
    "jembi__platform__data-mapper-logstash-docker-compose": ("services.data-mapper-logstash.configs[", "source:"),
    "kimdre__doco-cd__internal-secretprovider-openbao-testdata-openbao.compose": ("services.vault.depends_on", "depends_on:"),
    "probe__interpolation": ("services.c.image", "c: {image:"),
    "vfarcic__docker-flow-stacks__docker-registry-cert-aws-auth": ("volumes.registry.driver_opts", "driver_opts:"),
    "vfarcic__docker-flow-stacks__docker-registry-rexray-external": ("volumes.registry.driver", "driver:"),
}

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not CASES, reason=f"the corpus of real stack files is not at {CORPUS}"),
]


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _load(folder: Path) -> DesiredStack:
    case = json.loads((folder / "case.json").read_text())
    return load_stack(
        [str(folder / file) for file in case["files"]],
        stack=case["stack"],
        environment={**case["env"], "HOME": HOME},
        read_file=_read,
        working_directory=str(folder),
        home=HOME,
    )


def _bodies(stack: DesiredStack) -> dict[str, Any]:
    sections = {name: getattr(stack, name) for name in ("networks", "configs", "secrets")}
    return {
        **{name: {key: item.body for key, item in items.items() if not item.external} for name, items in sections.items()},
        "services": {service.name: service.body for service in stack.services.values()},
    }


def _comparable(value: Any) -> Any:
    """Without what is null or empty, and with the order that docker leaves to chance settled."""
    if isinstance(value, dict):
        pruned = {key: _comparable(item) for key, item in value.items()}
        pruned = {key: item for key, item in pruned.items() if item not in (None, [], {})}
        if "Ports" in pruned:
            pruned["Ports"].sort(key=lambda port: json.dumps(port, sort_keys=True))
        for name in ("Secrets", "Configs"):
            if name in pruned:
                pruned[name].sort(key=lambda entry: json.dumps(entry, sort_keys=True))
        return pruned
    return [_comparable(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("folder", TAKEN, ids=lambda folder: folder.name)
def test_a_file_that_docker_takes_gives_the_bodies_that_docker_sends(folder: Path) -> None:
    text = json.dumps(_bodies(_load(folder)))
    ours = json.loads(text.replace(str(folder), "@DIR@").replace(str(CORPUS), "@CORPUS@").replace(HOME, "@HOME@"))
    recorded = (folder / "expected.json").read_text()
    # A path out of the case's folder was recorded where the corpus lay then.
    expected = json.loads(re.sub(r'"/[^"@]*/parity/', '"@CORPUS@/', recorded))
    assert _comparable(ours) == _comparable(expected)


@pytest.mark.parametrize("folder", REFUSED, ids=lambda folder: folder.name)
def test_a_file_that_docker_refuses_is_refused_with_file_line_and_path(folder: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        _load(folder)
    path, key = FAULTS[folder.name]
    found = [problem for problem in caught.value.problems if problem.path.startswith(path)]
    assert found, caught.value
    line = Path(found[0].file).read_text().splitlines()[found[0].line - 1]
    assert key in line, (found[0], line)


def test_the_corpus_is_whole() -> None:
    assert (len(TAKEN), len(REFUSED)) == (82, 7)
