"""What the schema lets through, and what it costs: a command pays for what it uses of it, and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unit.stackfile.memory import service

_FRESH = """
import sys
import controller.cli.plan, controller.stackfile.load
from controller.stackfile import policy, schema
from controller.stackfile.shapes import Section

sections = [section for module in (policy, schema) for section in vars(module).values() if isinstance(section, Section)]
compiled = lambda: sum("validator" in vars(section) for section in sections)
print(len(sections), compiled())
for section in sections:
    section.validator.validate_python({})
print(len(sections), compiled())
print(*sorted({"pydantic", "annotated_types"} & sys.modules.keys()))
"""


def test_planning_compiles_each_section_once_it_is_met_and_never_imports_pydantic() -> None:
    done = subprocess.run([sys.executable, "-c", _FRESH], check=True, capture_output=True, text=True, timeout=60)

    at_first, then, imported = done.stdout.splitlines()
    assert (at_first, then) == ("7 0", "7 7")
    assert imported == "", "importing pydantic costs more than checking a thousand services"


@pytest.mark.parametrize(
    "fields",
    [
        "build: {context: ., %s}",
        "configs: [{source: k, %s}]",
        "secrets: [{source: k, %s}]",
        "volumes: [{type: volume, source: v, target: /a, volume: {nocopy: true, %s}}]",
        "volumes: [{type: bind, source: /b, target: /a, bind: {propagation: shared, %s}}]",
        "volumes: [{type: tmpfs, target: /a, tmpfs: {size: 5, %s}}]",
    ],
)
def test_keys_that_docker_lets_through_unknown_change_nothing(fields: str) -> None:
    rest = "configs: {k: {external: true}}\nsecrets: {k: {external: true}}\nvolumes: {v: }"
    assert service(fields % "unknown: [1]", rest=rest) == service(fields % "", rest=rest)
