"""Each key has a version that it came with; a file that names an older one must not use it."""

from __future__ import annotations

import pytest

from controller.stackfile.versions import _SINCE, NEWEST
from tests.unit.stackfile.memory import load, problems

# A value for each key that has an age, with what must stand around it.
SAMPLES = {
    "secrets": "secrets: {k: {external: true}}",
    "configs": "configs: {k: {external: true}}",
    "services.*.secrets": "services: {a: {image: x, secrets: []}}",
    "services.*.configs": "services: {a: {image: x, configs: []}}",
    "services.*.credential_spec": "services: {a: {image: x, credential_spec: {file: a}}}",
    "services.*.credential_spec.config": "services: {a: {image: x, credential_spec: {config: k}}}\nconfigs: {k: {file: f}}",
    "services.*.isolation": "services: {a: {image: x, isolation: default}}",
    "services.*.init": "services: {a: {image: x, init: true}}",
    "services.*.cgroupns_mode": "services: {a: {image: x, cgroupns_mode: host}}",
    "services.*.oom_score_adj": "services: {a: {image: x, oom_score_adj: 1}}",
    "services.*.build.cache_from": "services: {a: {image: x, build: {cache_from: []}}}",
    "services.*.build.labels": "services: {a: {image: x, build: {labels: {}}}}",
    "services.*.build.network": "services: {a: {image: x, build: {network: n}}}",
    "services.*.build.target": "services: {a: {image: x, build: {target: t}}}",
    "services.*.build.shm_size": "services: {a: {image: x, build: {shm_size: 1}}}",
    "services.*.healthcheck.start_period": "services: {a: {image: x, healthcheck: {start_period: 1s}}}",
    "services.*.healthcheck.start_interval": "services: {a: {image: x, healthcheck: {start_interval: 1s}}}",
    "services.*.networks.*.driver_opts": "services: {a: {image: x, networks: {default: {driver_opts: {}}}}}",
    "services.*.volumes.*.tmpfs": "services: {a: {image: x, volumes: [{type: tmpfs, target: /a, tmpfs: {}}]}}",
    "services.*.ports.*.target": "services: {a: {image: x, ports: [{target: 80}]}}",
    "services.*.volumes.*.type": "services: {a: {image: x, volumes: [{type: volume, target: /a}]}}",
    "services.*.build.extra_hosts": "services: {a: {image: x, build: {extra_hosts: []}}}",
    "services.*.deploy.endpoint_mode": "services: {a: {image: x, deploy: {endpoint_mode: vip}}}",
    "services.*.deploy.rollback_config": "services: {a: {image: x, deploy: {rollback_config: {}}}}",
    "services.*.deploy.update_config.order": "services: {a: {image: x, deploy: {update_config: {order: stop-first}}}}",
    "services.*.deploy.placement.preferences": "services: {a: {image: x, deploy: {placement: {preferences: []}}}}",
    "services.*.deploy.placement.max_replicas_per_node": (
        "services: {a: {image: x, deploy: {placement: {max_replicas_per_node: 1}}}}"
    ),
    "services.*.deploy.resources.limits.pids": "services: {a: {image: x, deploy: {resources: {limits: {pids: 1}}}}}",
    "services.*.deploy.resources.reservations.generic_resources": (
        "services: {a: {image: x, deploy: {resources: {reservations: {generic_resources: []}}}}}"
    ),
    "networks.*.name": "networks: {n: {name: n}}",
    "networks.*.attachable": "networks: {n: {attachable: true}}",
    "volumes.*.name": "volumes: {n: {name: n}}",
    "secrets.*.name": "secrets: {k: {external: true, name: n}}",
    "secrets.*.driver": "secrets: {k: {driver: d}}",
    "secrets.*.driver_opts": "secrets: {k: {driver_opts: {}, external: true}}",
    "secrets.*.template_driver": "secrets: {k: {template_driver: t, external: true}}",
    "configs.*.name": "configs: {k: {external: true, name: n}}",
    "configs.*.template_driver": "configs: {k: {template_driver: t, external: true}}",
}


def test_every_key_with_an_age_has_a_sample() -> None:
    assert SAMPLES.keys() == _SINCE.keys()


@pytest.mark.parametrize(("path", "minor"), _SINCE.items())
def test_a_key_is_taken_from_its_version_on_and_refused_before(path: str, minor: int) -> None:
    files = {"f": "x"}
    load(f'version: "3.{minor}"\n{SAMPLES[path]}', files=files)
    reasons = [found.reason for found in problems(f'version: "3.{minor - 1}"\n{SAMPLES[path]}', files=files)]
    assert f"came with version 3.{minor}; this file says 3.{minor - 1}" in reasons


@pytest.mark.parametrize("minor", range(NEWEST + 1))
def test_every_version_is_read(minor: int) -> None:
    assert load(f'version: "3.{minor}"\nservices: {{a: {{image: x}}}}').services.keys() == {"a"}


@pytest.mark.parametrize("head", ["", 'version: "3"\n'])
def test_no_version_and_3_mean_the_newest(head: str) -> None:
    assert load(f"{head}services: {{a: {{image: x, oom_score_adj: 5}}}}").services.keys() == {"a"}


@pytest.mark.parametrize(
    "services", ["{a: {image: x, init: {'': 1}}}", "[{'': 1}]", "{'': {image: x}}", "{a: {secrets: {'': 1}}}"]
)
def test_an_empty_name_is_no_version(services: str) -> None:
    assert problems(f'version: "3.8"\nservices: {services}')


def test_a_key_of_an_item_has_an_age_too() -> None:
    (found,) = problems('version: "3.1"\nservices:\n  a: {image: x, ports: ["1:1", {target: 80}]}')
    assert (found.line, found.column, found.path) == (3, 33, "services.a.ports[1].target")


def test_files_must_agree_on_the_version() -> None:
    (found,) = problems('version: "3.8"\n', 'version: "3.9"\n')
    assert (found.file, found.line, found.path) == ("2.yml", 1, "version")
    assert found.reason == "is 3.9, but the first file's is 3.8"
