"""YAML is read as docker's client reads it, which is not how PyYAML does."""

from __future__ import annotations

import pytest

from controller.stackfile.scalars import resolve, to_text
from tests.unit.stackfile.memory import container, load, problem, problems, service, warnings

# What docker's client 28.2.2 makes of a plain label value.
AS_TEXT = {
    "0440": "288",
    "0o17": "15",
    "-0o7": "-7",
    "0b11": "3",
    "-0b11": "-3",
    "0x1F": "31",
    "0x_1": "1",
    "1_000": "1000",
    "+5": "5",
    "-0": "0",
    "08": "8",
    "18446744073709551615": "18446744073709551615",
    "12345678901234567890123": "1.2345678901234568e+22",
    "1.10": "1.1",
    "20.0": "20",
    "1.": "1",
    ".5": "0.5",
    "-.5": "-0.5",
    "+.5": "0.5",
    "1_0.5": "10.5",
    "1e3": "1000",
    "0.0": "0",
    "-0.0": "-0",
    "123456.5": "123456.5",
    "999999.5": "999999.5",
    "100000.0": "100000",
    "1000000.0": "1e+06",
    "1234567.5": "1.2345675e+06",
    "-1000000.0": "-1e+06",
    "1.5e300": "1.5e+300",
    "0.0001": "0.0001",
    "0.00001234": "1.234e-05",
    "1e-7": "1e-07",
    "1e400": "1e400",
    "2024-01-01": "2024-01-01 00:00:00 +0000 UTC",
    "2001-1-1": "2001-01-01 00:00:00 +0000 UTC",
    "2001-01-01 10:00:00": "2001-01-01 10:00:00 +0000 UTC",
    "2001-12-14t21:59:43.10-05:00": "2001-12-14 21:59:43.1 -0500 -0500",
    "2001-01-01T10:00:00+00:00": "2001-01-01 10:00:00 +0000 UTC",
    "2001-01-01T10:00:00Z": "2001-01-01 10:00:00 +0000 UTC",
    "2001-01-01T10:00:00": "2001-01-01T10:00:00",
    "2001-01-01 10:00:00Z": "2001-01-01 10:00:00Z",
    "2001-01-01 10:00": "2001-01-01 10:00",
    "2001-13-01": "2001-13-01",
    "yes": "yes",
    "on": "on",
    "n": "n",
    "22:22": "22:22",
    "0o": "0o",
    "0x": "0x",
    "0b12": "0b12",
    "1__0": "10",
    "_1": "_1",
    "._5": "._5",
    ".e5": ".e5",
    "-": "-",
    "+": "+",
    "1e": "1e",
    "~": "",
    "null": "",
    '"0440"': "0440",
    "'~'": "~",
    "!!str 5": "5",
    '!!int "5"': "5",
    "!!float 5": "5",
    "! 5": "5",
    "!mine 5": "5",
    '!mine "5"': "5",
    "!!binary aGk=": "hi",
    '!!timestamp "2001-01-01"': "2001-01-01 00:00:00 +0000 UTC",
    "!!unheard 5": "5",
}


@pytest.mark.parametrize(("written", "text"), AS_TEXT.items())
def test_a_scalar_becomes_the_text_that_go_prints(written: str, text: str) -> None:
    labels = container(f"labels: {{a: {written} }}")["Labels"] if written != "-" else container("labels: {a: -}")["Labels"]
    assert labels["a"] == text


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_only_true_and_false_are_booleans(word: str) -> None:
    assert container(f"tty: {word}")["TTY"] is True
    assert problem(f"services: {{a: {{image: x, labels: {{a: {word}}}}}}}").path == "services.a.labels.a"


@pytest.mark.parametrize(("written", "text"), [(".inf", "inf"), ("-.Inf", "-inf"), (".NAN", "nan")])
def test_infinities_are_numbers(written: str, text: str) -> None:
    assert str(resolve(written)) == text


def test_numbers_stay_integers_beyond_a_float() -> None:
    assert to_text(resolve("9007199254740993")) == "9007199254740993"


def test_explicit_keys_win_over_merged_ones_wherever_they_stand() -> None:
    stack = load("x-a: &a {hostname: merged, user: u}\nservices: {a: {hostname: own, <<: *a, image: x}}")
    spec = stack.services["a"].body["TaskTemplate"]["ContainerSpec"]
    assert (spec["Hostname"], spec["User"]) == ("own", "u")


def test_of_several_merged_mappings_the_first_wins() -> None:
    text = "x-a: &a {user: first}\nx-b: &b {user: second, hostname: h}\nservices: {a: {<<: [*a, *b], image: x}}"
    spec = load(text).services["a"].body["TaskTemplate"]["ContainerSpec"]
    assert (spec["User"], spec["Hostname"]) == ("first", "h")


def test_a_merged_mapping_may_merge_another() -> None:
    text = "x-a: &a {user: u}\nx-b: &b {<<: *a, hostname: h}\nservices: {a: {<<: *b, image: x}}"
    spec = load(text).services["a"].body["TaskTemplate"]["ContainerSpec"]
    assert (spec["User"], spec["Hostname"]) == ("u", "h")


def test_a_fault_in_a_merged_mapping_is_located_there() -> None:
    found = problem("x-a: &a\n  tty: 5\nservices: {a: {<<: *a, image: x}}")
    assert (found.line, found.column, found.path) == (2, 8, "services.a.tty")


def test_of_several_faulty_merges_the_one_that_counts_is_located() -> None:
    found = problem("x-a: &a\n  tty: 5\nx-b: &b\n  tty: 6\nservices: {a: {<<: [*a, *b], image: x}}")
    assert found.line == 2


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert problem('services: {a: {image: x, "<<": {tty: true}}}').path == "services.a.<<"


def test_an_alias_is_a_copy_that_is_interpolated_once() -> None:
    stack = load("x-a: &a {A: $$B}\nservices: {a: {image: x, environment: *a}, b: {image: x, environment: *a}}")
    assert [s.body["TaskTemplate"]["ContainerSpec"]["Env"] for s in stack.services.values()] == [["A=$B"], ["A=$B"]]


def test_an_anchor_may_be_given_again() -> None:
    spec = load("x-a: &a one\nx-b: &a two\nservices: {a: {image: x, user: *a}}").services["a"].body
    assert spec["TaskTemplate"]["ContainerSpec"]["User"] == "two"


def test_a_file_may_begin_with_a_bom_and_end_lines_as_windows_does() -> None:
    assert load(b"\xef\xbb\xbfservices:\r\n  a: {image: x}\r\n").services["a"].name == "s_a"


def test_utf16_is_read() -> None:
    assert load("services: {a: {image: x, user: ü}}".encode("utf-16")).services.keys() == {"a"}


def test_only_the_first_document_is_read() -> None:
    stack = load("services: {a: {image: x}}\n---\n]broken[")
    assert list(stack.services) == ["a"]
    assert warnings("services: {}\n---\nservices: {}\n") == [": only the first YAML document is read"]


def test_what_follows_the_first_document_may_be_no_yaml_at_all() -> None:
    assert warnings("services: {}\n...\n%YAML nonsense\n") == [": only the first YAML document is read"]


def test_places_are_found_beside_keys_that_no_path_leads_to() -> None:
    found = problems("services:\n  ? [a]\n  : {image: x}\n  b: {image: x, tty: 5}")
    assert [(fault.line, fault.path) for fault in found] == [(1, "services"), (4, "services.b.tty")]


def test_places_are_found_beside_a_merge_of_what_is_no_mapping() -> None:
    found = problems("services:\n  a: {<<: 5, image: x}\n  b: {<<: [5, {tty: 5}], image: $}")
    assert [(fault.line, fault.column, fault.path) for fault in found] == [
        (2, 3, "services.a"),
        (3, 3, "services.b"),
        (3, 33, "services.b.image"),
    ]


def test_explicit_document_marks_are_fine() -> None:
    assert warnings("%YAML 1.1\n---\nservices: {}\n...\n") == []


def test_faults_of_aliased_text_are_told_once() -> None:
    text = "x-a: &a {A: '${'}\nservices: {a: {image: x, environment: *a}, b: {image: x, environment: *a}}"
    assert len(problems(text)) == 1


def test_entries_that_may_be_empty() -> None:
    text = "services: {a: {image: x, deploy: , networks: {n: }, volumes: ['vol:/a']}}\nnetworks: {n: }\nvolumes: {vol: }\n"
    assert load(text).networks.keys() == {"s_n"}


def test_nothing_is_needed() -> None:
    assert load("{}").services == {}


def test_long_values_are_cut_in_messages() -> None:
    found = problem(f"services: {{a: {{image: x, user: '${'1' * 5000}'}}}}")
    assert len(problem(f"services: {{a: {{image: '{'x ' * 5000}'}}}}").reason) < 400
    assert len(str(found)) < 400


def test_scalars_of_every_service_field_keep_their_type() -> None:
    body = service("ports: [{target: 80.0}], deploy: {replicas: 2.0}, healthcheck: {retries: 1.7}")
    assert body["EndpointSpec"]["Ports"] == [{"TargetPort": 80}]
    assert body["Mode"] == {"Replicated": {"Replicas": 2}}
    assert body["TaskTemplate"]["ContainerSpec"]["Healthcheck"] == {"Retries": 1}
