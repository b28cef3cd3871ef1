"""Planted secrets never come out; what is no secret stays readable."""

from __future__ import annotations

import time
from typing import Any

import pytest

from controller.core.diff import difference
from controller.core.masking import MASKED, masked_text, printable
from tests.support.specs import CONTEXT, body

CANARY = "S3CR3T-7f3a"

_PLANTED: dict[str, dict[str, Any]] = {
    "in an environment value": {"container": {"Env": [f"LOG_LEVEL={CANARY}"]}},
    "in a variable without a telling name": {"container": {"Env": [f"X={CANARY}", f"Y=a {CANARY}"]}},
    "in a URL's user part": {"container": {"Args": [f"--db=postgres://user:{CANARY}@db/shop"]}},
    "in a URL's user part, not escaped": {"container": {"Args": [f"redis://:p/@ss@{CANARY}@cache:6379/0"]}},
    "in a URL in a label": {"labels": {"upstream": f"https://user:{CANARY}@host/"}},
    "under a label's telling name": {"labels": {"traefik.http.middlewares.auth.basicauth.users": f"admin:{CANARY}"}},
    "under a container label's telling name": {"container": {"Labels": {"api_key": CANARY}}},
    "in a log option": {"task": {"LogDriver": {"Name": "splunk", "Options": {"splunk-token": CANARY}}}},
    "in a log address": {"task": {"LogDriver": {"Name": "x", "Options": {"address": f"tcp://u:{CANARY}@log:1"}}}},
    "as a flag's value": {"container": {"Args": [f"--password={CANARY}"]}},
    "as a flag's next word": {"container": {"Args": ["server", "--requirepass", CANARY, "--port", "80"]}},
    "as a flag's next word with spaces": {"container": {"Command": ["server", "--token", f"correct horse {CANARY}"]}},
    "in a shell's line": {"container": {"Args": ["sh", "-c", f"PGPASSWORD='two words {CANARY}' psql"]}},
    "in a health check's header": {
        "container": {"Healthcheck": {"Test": ["CMD-SHELL", f"curl -H 'Authorization: Bearer {CANARY}' localhost"]}}
    },
    "in JSON on a command line": {"container": {"Args": [f'{{"user": "a", "password": "{CANARY}"}}']}},
    "in a volume's driver options": {
        "container": {
            "Mounts": [
                {
                    "Type": "volume",
                    "Target": "/v",
                    "VolumeOptions": {"DriverConfig": {"Options": {"o": f"username=u,password={CANARY}", "token": CANARY}}},
                }
            ]
        }
    },
    "in a network attachment's options": {"task": {"Networks": [{"Target": "n", "DriverOpts": {"password": CANARY}}]}},
    "in an API field that nobody knows": {"container": {"Unknown": [{"Password": CANARY}], "Other": {"Auth": {"Token": CANARY}}}},
    "in a credential spec": {"container": {"Privileges": {"CredentialSpec": {"File": f"file://{CANARY}"}}}},
}


@pytest.mark.parametrize("parts", _PLANTED.values(), ids=_PLANTED.keys())
def test_a_planted_secret_is_shown_neither_as_old_nor_as_new_value(parts: dict[str, Any]) -> None:
    changes = [*difference(body(**parts), body(), CONTEXT).changes, *difference(body(), body(**parts), CONTEXT).changes]

    assert changes
    assert CANARY not in repr(changes)
    assert MASKED in repr(changes)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("deploy.update_config.delay", 90_000_000_000, "90s"),
        ("deploy.restart_policy.window", 120_000_000_000, "2m"),
        ("healthcheck.interval", 3_600_000_000_000, "1h"),
        ("healthcheck.timeout", 1_500_000_000, "1500ms"),
        ("stop_grace_period", 0, "0s"),
        ("stop_grace_period", 1_001, "1001ns"),
        ("deploy.resources.limits.memory", 64 << 20, "64MiB"),
        ("deploy.resources.limits.memory", 1000, "1000B"),
        ("deploy.resources.limits.memory", 0, "0B"),
        ("deploy.resources.limits.cpus", 250_000_000, "0.25"),
        ("deploy.replicas", 3, "3"),
        ("read_only", True, "true"),
        ("init", False, "false"),
        ("image", "nginx:1.27", "nginx:1.27"),
        ("ports.80/tcp", ((0, "ingress"), (8080, "host")), "any (ingress), 8080 (host)"),
        ("networks.back", (("db", "web"), ()), "attached as db, web"),
        ("networks.back", ((), (("mtu", "9000"),)), "attached as itself with mtu=9000"),
        ("volumes./data", ("volume", "shop_data", True, {}), "volume shop_data read-only"),
        ("volumes./t", ("tmpfs", "", False, {"TmpfsOptions": {"SizeBytes": 5}}), "tmpfs (anonymous) TmpfsOptions(SizeBytes=5)"),
        ("configs./etc/x", ("shop_x-12345678", "0", "0", 0o444), "shop_x-12345678 (0:0 0444)"),
        ("configs.(runtime)", ("shop_cred",), "shop_cred"),
        ("command", ("redis-server", "--appendonly", "yes"), "redis-server --appendonly yes"),
        ("deploy.placement.constraints", ["node.role==manager"], "node.role==manager"),
        ("ContainerSpec.X", {"A": 1, "B": {"C": 2}}, "A=1, B(C=2)"),
    ],
)
def test_what_is_no_secret_is_shown_in_the_words_of_a_stack_file(field: str, value: Any, expected: str) -> None:
    assert printable(field, value) == expected


@pytest.mark.parametrize("key", ["healthcheck.interval", "limits.memory", "limits.cpus", "a.delay", "a.window"])
def test_a_label_that_is_called_like_a_quantity_is_shown_as_it_is(key: str) -> None:
    assert printable(f"deploy.labels.{key}", "10s") == "10s"


def test_text_without_secrets_stays_as_it_is() -> None:
    text = "server --listen 0.0.0.0:80 http://host/path?x=1 me@example.org: fine"

    assert masked_text(text) == text


@pytest.mark.parametrize("text", ["a" * 200_000, "pass" * 50_000, "://" * 50_000, "pass" + " " * 100_000, "a@" * 50_000])
def test_a_long_text_is_masked_in_no_time(text: str) -> None:
    started = time.perf_counter()
    masked_text(text)
    printable("command", (text, text))

    assert time.perf_counter() - started < 5.0
