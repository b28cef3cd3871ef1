"""Networks, configs and secrets: what a deployment creates, under which names, and how services refer to them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from controller.stackfile.dependencies import find_cycles
from controller.stackfile.images import familiar
from tests.unit.stackfile.memory import container, load, problem, problems, refusal, service


def _network(definition: str) -> Any:
    stack = load(f"services: {{a: {{image: x, networks: [n]}}}}\nnetworks: {{n: {definition}}}", stack="st")
    (network,) = stack.networks.values()
    return network


def test_a_network_of_its_own() -> None:
    network = _network("")
    assert (network.name, network.external) == ("st_n", False)
    assert network.body == {
        "Name": "st_n",
        "Labels": {"com.docker.stack.namespace": "st"},
        "Driver": "overlay",
        "Options": None,
        "Internal": False,
        "Attachable": False,
        "IPAM": None,
        "Scope": "",
        "Ingress": False,
        "ConfigOnly": False,
        "ConfigFrom": None,
    }


@pytest.mark.parametrize(
    ("definition", "fields"),
    [
        ("{name: own, labels: [a=b]}", {"Name": "own", "Labels": {"a": "b", "com.docker.stack.namespace": "st"}}),
        ("{driver: d, driver_opts: {mtu: 1400, encrypted: ''}}", {"Driver": "d", "Options": {"mtu": "1400", "encrypted": ""}}),
        ("{internal: true, attachable: true}", {"Internal": True, "Attachable": True}),
        ("{ipam: {}}", {"IPAM": None}),
        ("{ipam: {driver: d}}", {"IPAM": {"Driver": "d", "Options": None, "Config": []}}),
        (
            "{ipam: {config: [{subnet: 10.0.0.0/8}, {}]}}",
            {"IPAM": {"Driver": "", "Options": None, "Config": [{"Subnet": "10.0.0.0/8"}, {}]}},
        ),
        ("{external: false}", {"Name": "st_n"}),
        ("{x-a: 1}", {"Name": "st_n"}),
    ],
)
def test_definitions_of_a_network(definition: str, fields: Any) -> None:
    assert _network(definition).body.items() >= fields.items()


@pytest.mark.parametrize(
    ("definition", "name"),
    [("{external: true}", "n"), ("{external: true, name: r}", "r"), ("{external: {name: r}}", "r"), ("{external: {}}", "n")],
)
def test_an_external_network_is_named_and_not_created(definition: str, name: str) -> None:
    network = _network(definition)
    assert (network.name, network.external, network.body) == (name, True, {})


def test_only_networks_that_services_use_are_wanted() -> None:
    stack = load("services: {a: {image: x}, b: {image: x, networks: {n: }}}\nnetworks: {n: , unused: {driver: d}}")
    assert stack.networks.keys() == {"s_default", "s_n"}


def test_the_default_network_may_be_declared() -> None:
    assert load("services: {a: {image: x}}\nnetworks: {default: {name: d}}").networks.keys() == {"d"}


def test_attachments_are_sorted_and_end_with_the_services_name() -> None:
    networks = "networks: {z: , a: {name: middle}, h: {external: true, name: host}, c: {external: true, name: 'container:x'}}"
    fields = "networks: {z: {aliases: [q], driver_opts: {o: 1}}, a: , h: , c: , default: }"
    assert service(fields, rest=networks)["TaskTemplate"]["Networks"] == [
        {"Target": "container:x"},
        {"Target": "host"},
        {"Target": "middle", "Aliases": ["a"]},
        {"Target": "s_default", "Aliases": ["a"]},
        {"Target": "s_z", "Aliases": ["q", "a"], "DriverOpts": {"o": "1"}},
    ]


CONTENTS = """
  file: {file: ./f, labels: {a: b}, template_driver: golang}
  named: {file: /abs/f, name: fixed}
  ext: {external: true}
  old: {external: {name: legacy}}
"""


@pytest.mark.parametrize("section", ["configs", "secrets"])
def test_contents_are_read_and_encoded(section: str) -> None:
    stack = load(f"{section}:{CONTENTS}", files={"f": b"\x00data", "/abs/f": b"other"}, stack="st")
    contents = getattr(stack, section)
    assert {name: (content.external, content.content) for name, content in contents.items()} == {
        "st_file": (False, b"\x00data"),
        "fixed": (False, b"other"),
        "ext": (True, b""),
        "legacy": (True, b""),
    }
    assert contents["st_file"].body == {
        "Name": "st_file",
        "Labels": {"a": "b", "com.docker.stack.namespace": "st"},
        "Data": base64.b64encode(b"\x00data").decode(),
        "Templating": {"Name": "golang"},
    }
    assert contents["ext"].body == {}
    assert stack.files == ("/srv/stack/1.yml", "/srv/stack/f", "/abs/f")


def test_a_secret_of_a_driver_has_no_data() -> None:
    stack = load("secrets: {k: {driver: v, driver_opts: {a: 1}}, l: {driver: w}}")
    assert stack.secrets["s_k"].body["Driver"] == {"Name": "v", "Options": {"a": "1"}}
    assert stack.secrets["s_l"].body == {"Name": "s_l", "Labels": {"com.docker.stack.namespace": "s"}, "Driver": {"Name": "w"}}


@pytest.mark.parametrize(("section", "most"), [("configs", 1000 * 1024 - 1), ("secrets", 500 * 1024 - 1)])
def test_contents_have_a_size(section: str, most: int) -> None:
    text = f"{section}: {{c: {{file: f}}}}"
    assert len(getattr(load(text, files={"f": b"x" * most}), section)["s_c"].content) == most
    assert problem(text, files={"f": b"x" * (most + 1)}).reason.endswith(f"Swarm takes {most} at most")
    assert "is empty" in problem(text, files={"f": b""}).reason


@pytest.mark.parametrize(("section", "kind"), [("configs", "Config"), ("secrets", "Secret")])
def test_references(section: str, kind: str) -> None:
    fields = (
        f"{section}: [old, {{source: file, target: z, uid: '1', gid: '2', mode: 0440}}, {{source: file, target: a, mode: 0}}]"
    )
    entries = container(fields, rest=f"{section}:{CONTENTS}", files={"f": b"x", "/abs/f": b"x"})[f"{kind}s"]
    assert [(entry[f"{kind}ID"], entry[f"{kind}Name"], entry["File"]) for entry in entries] == [
        ("id:legacy", "legacy", {"Name": "old", "UID": "0", "GID": "0", "Mode": 0o444}),
        ("id:s_file", "s_file", {"Name": "a", "UID": "0", "GID": "0", "Mode": 0}),
        ("id:s_file", "s_file", {"Name": "z", "UID": "1", "GID": "2", "Mode": 0o440}),
    ]


def test_a_credential_config_with_a_name_of_its_own_is_not_found_by_docker() -> None:
    path, reason = refusal("credential_spec: {config: c}", rest="configs: {c: {file: f, name: n}}", files={"f": "x"})
    assert path == "credential_spec.config"
    assert "only without a name of its own" in reason


@pytest.mark.parametrize(
    "mount",
    [
        "{type: volume, target: /a, tmpfs: {}}",
        "{type: bind, source: /b, target: /a, volume: {}}",
        "{type: tmpfs, source: b, target: /a}",
        "{type: tmpfs, target: /a, bind: {}}",
        "{type: npipe, target: /a}",
        "{type: npipe, source: b, target: /a, tmpfs: {}}",
        "{type: cluster, target: /a}",
        "{type: cluster, source: gone, target: /a}",
        "{type: cluster, source: v, target: /a, bind: {}}",
        "{type: image, source: v, target: /a}",
    ],
)
def test_mounts_that_contradict_themselves(mount: str) -> None:
    assert refusal(f"volumes: [{mount}]", rest="volumes: {v: }")[0] == "volumes[0]"


@pytest.mark.parametrize(
    ("image", "sent"),
    [
        ("nginx", "nginx:latest"),
        ("nginx:1.25", "nginx:1.25"),
        ("docker.io/library/nginx", "nginx:latest"),
        ("index.docker.io/library/nginx:1", "nginx:1"),
        ("library/nginx", "nginx:latest"),
        ("docker.io/nginx", "nginx:latest"),
        ("me/app", "me/app:latest"),
        ("docker.io/me/app:1", "me/app:1"),
        ("library/a/b", "library/a/b:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("reg.example.com/a/b-c__d.e:Tag_1", "reg.example.com/a/b-c__d.e:Tag_1"),
        ("Host/app", "Host/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        (f"a@sha256:{'0' * 64}", f"a@sha256:{'0' * 64}"),
        (f"a:1@sha256:{'0' * 64}", f"a:1@sha256:{'0' * 64}"),
        ("0" * 63, "0" * 63 + ":latest"),
    ],
)
def test_images_are_sent_in_familiar_form(image: str, sent: str) -> None:
    assert familiar(image) == sent


@pytest.mark.parametrize(
    "image",
    [
        "",
        ":1",
        "a:",
        "a//b",
        "/a",
        "a/",
        "A",
        "a/B",
        "a b",
        "-a",
        "a-",
        "a__.b",
        "a:b/c:d:e",
        "a@",
        "a@sha256:0",
        "a:b@md5:0",
        "0" * 64,
        "a" * 256,
        "https://a/b",
        "a:" + "b" * 129,
    ],
)
def test_what_is_no_image(image: str) -> None:
    with pytest.raises(ValueError, match=r"image|digest|tag|lower case|identifier"):
        familiar(image)


def test_names_of_stacks_count_for_services_too() -> None:
    assert problem("services: {a: {image: x}}", stack="a b").reason.startswith("the service's name a b_a")
    assert problem("services: {a: {image: x}}", stack="s" * 62).reason.endswith("longer than 63 characters")
    assert load("services: {a: {image: x}}", stack="s" * 61).services["a"].name == "s" * 61 + "_a"


def test_a_stack_needs_a_name_and_files() -> None:
    assert problem("services: {}", stack=" ").reason == "the stack has no name"
    assert problem().reason == "no stack file is given"


def test_cycles_are_found_once_each() -> None:
    graph = {"a": ["b"], "b": ["c", "d"], "c": ["a"], "d": ["d"], "e": ["a", "f"], "f": []}
    assert find_cycles(graph) == [["a", "b", "c", "a"], ["d", "d"]]


def test_no_more_than_a_hundred_cycles_are_told() -> None:
    assert len(find_cycles({str(number): [str(number)] for number in range(1000)})) == 100


def test_long_chains_are_no_cycle() -> None:
    assert find_cycles({str(number): [str(number + 1)] for number in range(5000)} | {"5000": []}) == []


def test_what_depends_on_a_broken_service_is_not_at_fault() -> None:
    found = problems("services: {a: {image: x, tty: 5}, b: {image: x, depends_on: [a], networks: [n]}}\nnetworks: {n: 5}")
    assert [fault.path for fault in found] == ["services.a.tty", "networks.n"]


def test_a_broken_config_is_known_but_not_read() -> None:
    found = problems("services: {a: {image: x, configs: [c]}}\nconfigs: {c: {file: gone, labels: 5}}")
    assert [fault.path for fault in found] == ["configs.c.labels"]
