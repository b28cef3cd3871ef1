"""The documents say what the code does: commands, settings, metrics, links and make targets."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.adapters.metrics import Metrics
from controller.cli import COMMANDS, EXIT_ERROR, run_command
from controller.model.plan import Reason
from controller.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _page(name: str) -> str:
    return (ROOT / name).read_text()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def option_rows(command: str) -> list[str]:
    """A table row for each argument of a command; docs/cli.md holds them as they are."""
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"controller.cli.{command}").configure(parser)
    return [f"| {_cell(_written(action))} | {_cell(action.help or '')} |" for action in parser._actions]


def _written(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(action.choices) if action.choices else "")
    names = action.option_strings or [""]
    return ", ".join(f"`{' '.join(filter(None, (name, str(value) if action.nargs != 0 else '')))}`" for name in names)


def setting_rows() -> list[str]:
    """A table row for each setting; docs/configuration.md holds them as they are."""
    return [
        f"| `PRODBREAKER_{name.upper()}` | {_default(field.default)} | {_cell(' '.join((field.description or '').split()))} |"
        for name, field in Settings.model_fields.items()
    ]


def _default(value: object) -> str:
    if value is None or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _rows_of(text: str) -> list[str]:
    """The rows of the first table of a text, without its head."""
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return table[0].splitlines()[2:] if table else []


def _section(page: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no section {heading!r}"
    return found[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_stands_in_its_section_with_its_help(command: str) -> None:
    rows = _rows_of(_section(_page("docs/cli.md"), command))

    assert rows == option_rows(command), "\n".join(["docs/cli.md should say:", *option_rows(command)])


def test_the_commands_page_has_no_section_for_a_command_that_is_not_there() -> None:
    headings = re.findall(r"^## ([a-z]+)$", _page("docs/cli.md"), re.MULTILINE)

    assert headings == list(COMMANDS)


def test_the_readme_shows_every_command() -> None:
    listed = re.findall(r"^\| `prodbreaker ([a-z]+)", _page("README.md"), re.MULTILINE)

    assert listed == list(COMMANDS)


def test_every_setting_stands_in_the_configuration_page_with_its_default() -> None:
    rows = [row for row in _page("docs/configuration.md").splitlines() if row.startswith("| `PRODBREAKER_")]

    assert rows == setting_rows(), "\n".join(["docs/configuration.md should say:", *setting_rows()])


def test_every_reason_of_a_plan_is_explained_to_operators() -> None:
    page = _page("docs/controller.md")

    missing = [reason.value for reason in Reason if f"`{reason.value}`" not in page]

    assert missing == []


def test_every_event_of_the_log_is_explained_to_operators() -> None:
    sources = [path.read_text() for path in ROOT.glob("controller/**/*.py")]
    events = {event for source in sources for event in re.findall(r'\blog\.[a-z]+\((?:level, )?"([^"]+)"', source)}
    page = _page("docs/controller.md")

    assert events
    assert [event for event in sorted(events) if f"`{event}`" not in page] == []


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    registered = {
        f"{family.name}_total" if family.type == "counter" else f"{family.name}_info" if family.type == "info" else family.name
        for family in Metrics().registry.collect()
        if family.name.startswith("prodbreaker_")
    }

    assert set(re.findall(r"^\| `(prodbreaker_\w+)`", _page("docs/metrics.md"), re.MULTILINE)) == registered


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert [target for target in _relative_links(page) if not _leads_somewhere(page, target)] == []


def _relative_links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_CODE.sub("", page.read_text())):
        if not re.match(r"[a-z]+:", target):
            yield target


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    found = page.parent / name if name else page
    return found.exists() and (not anchor or anchor in map(_anchor, _HEADING.findall(found.read_text())))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_named_is_one(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", _page("Makefile"), re.MULTILINE))
    code = "\n".join(_CODE.findall(page.read_text()))

    assert set(re.findall(r"(?:^|[`\n] *(?:\$ )?)make ([a-z]+)", code)) <= targets


def test_the_readme_shows_the_two_commands() -> None:
    code = "\n".join(_CODE.findall(_page("README.md")))

    assert {"make up", "make test"} <= set(re.findall(r"make [a-z]+", code))


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["plan", "--nothing"], ["apply", "--timeout", "soon"]])
def test_a_wrong_command_line_ends_with_the_code_of_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(arguments)

    assert ended.value.code == EXIT_ERROR
    assert capsys.readouterr().err.count("\n") == 1
