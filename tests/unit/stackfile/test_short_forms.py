"""Short forms become long ones: ports, volumes, commands, durations, sizes, lists and mappings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.stackfile.ports import expand_port
from controller.stackfile.units import parse_cpus, parse_duration, parse_size
from controller.stackfile.volumes import expand_volume
from controller.stackfile.words import split_words
from tests.unit.stackfile.memory import container, service


def _ports(text: str) -> list[tuple[int | None, int, str]]:
    return [(port.get("published"), port["target"], port["protocol"]) for port in expand_port(text)[0]]


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [(None, 80, "tcp")]),
        ("8080:80", [(8080, 80, "tcp")]),
        ("53:53/udp", [(53, 53, "udp")]),
        ("53:53/UDP", [(53, 53, "udp")]),
        ("53:53/", [(53, 53, "tcp")]),
        ("53/tcp/udp", [(None, 53, "tcp")]),
        ("9:9/sctp", [(9, 9, "sctp")]),
        ("0:80", [(None, 80, "tcp")]),
        ("80:0", [(80, 0, "tcp")]),
        ("8080-8081:80-81", [(8080, 80, "tcp"), (8081, 81, "tcp")]),
        ("8080-8082:80", [(8080, 80, "tcp"), (8081, 80, "tcp"), (8082, 80, "tcp")]),
        ("9-10", [(None, 10, "tcp"), (None, 9, "tcp")]),
        ("99-101:99-101", [(100, 100, "tcp"), (101, 101, "tcp"), (99, 99, "tcp")]),
        ("127.0.0.1:92:92", [(92, 92, "tcp")]),
        ("127.0.0.1::92", [(None, 92, "tcp")]),
        ("[::1]:93:93", [(93, 93, "tcp")]),
        ("::1:93:93", [(93, 93, "tcp")]),
        (":80:80", [(80, 80, "tcp")]),
    ],
)
def test_a_short_port(text: str, ports: list[tuple[int | None, int, str]]) -> None:
    assert _ports(text) == ports


def test_short_ports_publish_through_the_mesh_and_long_ones_say_what_they_say() -> None:
    endpoint = service("ports: [80, '81:81', {target: 82}, {target: 83, published: 83, protocol: udp, mode: host}]")[
        "EndpointSpec"
    ]
    assert endpoint["Ports"] == [
        {"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress"},
        {"TargetPort": 82},
        {"Protocol": "tcp", "TargetPort": 81, "PublishedPort": 81, "PublishMode": "ingress"},
        {"Protocol": "udp", "TargetPort": 83, "PublishedPort": 83, "PublishMode": "host"},
    ]


@given(first=st.integers(1, 65000), count=st.integers(1, 500), offset=st.integers(0, 35))
def test_ranges_are_paired_one_by_one(first: int, count: int, offset: int) -> None:
    last = first + count - 1
    pairs = {(port["published"], port["target"]) for port in expand_port(f"{first}-{last}:{first + offset}-{last + offset}")[0]}
    assert pairs == {(number, number + offset) for number in range(first, last + 1)}


@given(st.text("0123456789:-/.[]tcpudp"))
def test_any_other_port_is_refused_in_words(text: str) -> None:
    try:
        ports, _ = expand_port(text)
    except ValueError:
        return
    assert all(0 <= port["target"] <= 65535 for port in ports)


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("/data", {"type": "volume", "target": "/data"}),
        ("ab", {"type": "volume", "target": "ab"}),
        ("::", {"type": "volume", "target": "::"}),
        ("data:/d", {"type": "volume", "source": "data", "target": "/d"}),
        ("data:/d:ro", {"type": "volume", "source": "data", "target": "/d", "read_only": True}),
        ("data:/d:rw", {"type": "volume", "source": "data", "target": "/d", "read_only": False}),
        ("data:/d:nocopy,z", {"type": "volume", "source": "data", "target": "/d", "volume": {"nocopy": True}}),
        ("/a:/d:Z,cached", {"type": "bind", "source": "/a", "target": "/d"}),
        (
            "./a:/d:ro,rslave",
            {"type": "bind", "source": "./a", "target": "/d", "read_only": True, "bind": {"propagation": "rslave"}},
        ),
        ("~/a:/d", {"type": "bind", "source": "~/a", "target": "/d"}),
        (r"C:\a:C:\d", {"type": "bind", "source": r"C:\a", "target": r"C:\d"}),
        (r"\\.\pipe\x:/d", {"type": "bind", "source": r"\\.\pipe\x", "target": "/d"}),
        ("v:/data", {"type": "volume", "target": "v:/data"}),
        ("/aa:c:/d", {"type": "bind", "source": "/aa", "target": "c:/d"}),
        ("a::/b", {"type": "bind", "source": "a:", "target": "/b"}),
    ],
)
def test_a_short_volume(text: str, volume: dict[str, Any]) -> None:
    assert expand_volume(text) == volume


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("   ", []),
        ("a b\tc\nd", ["a", "b", "c", "d"]),
        ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
        ("a''b\"\"", ["ab"]),
        ("''", [""]),
        (r"a\ b", ["a b"]),
        (r'"a\"b\x"', ['a"bx']),
        (r"'a\'", ["a\\"]),
        ("a # comment\nb", ["a", "b"]),
        ("# only", []),
        ("a#b", ["a#b"]),
        ("$HOME *", ["$HOME", "*"]),
    ],
)
def test_a_command_is_split_into_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("text", ["'a", '"a', "a\\", '"\\'])
def test_an_unfinished_command_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"closed|backslash"):
        split_words(text)


@given(st.lists(st.text(min_size=1)))
def test_quoted_words_come_back(words: list[str]) -> None:
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    assert split_words(quoted) == words


def test_a_command_as_text_and_as_a_list() -> None:
    spec = container("command: 'a \"b c\"', entrypoint: ['']")
    assert (spec["Args"], spec["Command"]) == (["a", "b c"], [""])
    assert "Args" not in container("command: ''")
    assert "Command" not in container("entrypoint: []")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("10s", 10_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1h1ms1us1µs1μs1ns", 3_600_001_003_001),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("5.s", 5_000_000_000),
        ("-2s", -2_000_000_000),
        ("0.000000001s", 1),
        ("2562047h", 9_223_369_200_000_000_000),
    ],
)
def test_a_duration(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "-", "5", "s", ".s", "1d", "1 s", "1s ", "s5", "2562048h", "\u0661s"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5", 5),
        ("5b", 5),
        ("1k", 1024),
        ("1 Kb", 1024),
        ("1KiB", 1024),
        ("512M", 512 * 1024**2),
        ("1.5gb", 3 * 512 * 1024**2),
        ("1t", 1024**4),
        ("1p", 1024**5),
        ("0.3k", 307),
        (".5k", 512),
        ("+1", 1),
    ],
)
def test_a_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1  k", "1kk", "99999999p"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size|larger"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "nano"),
    [("0.5", 500_000_000), ("2", 2_000_000_000), ("1/2", 500_000_000), ("1e-9", 1), ("", 0), (".25", 250_000_000), ("1.", 10**9)],
)
def test_a_number_of_cpus(text: str, nano: int) -> None:
    assert parse_cpus(text) == nano


@pytest.mark.parametrize("text", ["x", "1/0", "1/3", "0.0000000001", "1e999", "1//2", "0x10"])
def test_no_number_of_cpus(text: str) -> None:
    with pytest.raises(ValueError, match=r"number of CPUs|billionth"):
        parse_cpus(text)


def test_hosts_are_listed_as_the_api_wants_them() -> None:
    listed = container("extra_hosts: ['b:1.2.3.4', 'a=[::1]', 'no separator', 'h:host-gateway']")
    mapped = container("extra_hosts: {b: 1.2.3.4, a: '[::1]', gone: }")
    assert listed["Hosts"] == ["1.2.3.4 b", "::1 a", "host-gateway h"]
    assert mapped["Hosts"] == ["::1 a", "1.2.3.4 b"]


def test_labels_as_a_list_and_as_a_mapping() -> None:
    assert container("labels: [a=1, b, 'c=x=y']")["Labels"] == {"a": "1", "b": "", "c": "x=y", "com.docker.stack.namespace": "s"}
    assert container("labels: {a: 1, b: }")["Labels"] == {"a": "1", "b": "", "com.docker.stack.namespace": "s"}


def test_texts_that_may_be_lists() -> None:
    assert container("dns: 1.1.1.1, dns_search: [a, b]")["DNSConfig"] == {"Nameservers": ["1.1.1.1"], "Search": ["a", "b"]}
    assert "DNSConfig" not in container("dns: []")


def test_bind_sources_are_made_absolute() -> None:
    fields = "volumes: ['./a:/1', '../b:/2', '~/c:/3', '/d/../d:/4', {type: bind, source: e, target: /5}, 'C:\\f:/6']"
    sources = [mount["Source"] for mount in container(fields)["Mounts"]]
    assert sources == ["/srv/stack/a", "/srv/b", "/home/me/c", "/d/../d", "/srv/stack/e", "C:\\f"]


def test_without_a_home_a_tilde_is_a_folder() -> None:
    assert container("volumes: ['~/c:/3']", home="")["Mounts"][0]["Source"] == "/srv/stack/~/c"


def test_shares_of_windows_stay_as_they_are() -> None:
    fields = r"volumes: [{type: bind, source: '\\host\share\x', target: /1}, {type: bind, source: '\\.\pipe', target: /2}]"
    assert [mount["Source"] for mount in container(fields)["Mounts"]] == [r"\\host\share\x", r"/srv/stack/\\.\pipe"]
