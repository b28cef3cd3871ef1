"""`prodbreaker incidents`: what went wrong, what was done about it, and how long it took."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from controller.cli import EXIT_DONE
from controller.cli.common import aligned, plain
from controller.cli.remote import DEFAULT_URL, ask, controller_url
from controller.errors import ProdBreakerError
from controller.model.forms import incident_form
from controller.model.incident import IncidentState

MOST = 2_000  # the controller keeps no more
_UNENDED = (IncidentState.OPEN, IncidentState.HELD)
_HEADS = ("ID", "SERVICE", "KIND", "STATE", "OPENED", "DETECT", "ACT", "RECOVER", "")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="show ID", help="the timeline of one incident (default: list them)")
    parser.add_argument("--all", action="store_true", help="also those that have ended")
    parser.add_argument("--service", metavar="NAME", help="only those of one service, by its real name (shop_web)")
    parser.add_argument(
        "--controller", metavar="URL", help=f"the running controller (default: PRODBREAKER_URL, else {DEFAULT_URL})"
    )
    parser.add_argument(
        "--journal", type=Path, metavar="FILE", help="read a journal instead, also that of a controller which does not run"
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(args: argparse.Namespace) -> int:
    if args.journal and args.controller:
        raise ProdBreakerError("give either --controller or --journal")
    number = _number(args.words)
    if number is None:
        found = _listed(args)
        lines = _table(found) if found else ["no incidents" if args.all else "no incident is open"]
    else:
        found = _one(args, number)
        lines = list(_timeline(found))
    print(json.dumps(found, indent=2) if args.output == "json" else "\n".join(lines))
    return EXIT_DONE


def _number(words: Sequence[str]) -> int | None:
    """Of the incident to show; None for the list."""
    if not words:
        return None
    if len(words) == 2 and words[0] == "show" and words[1].isascii() and words[1].isdecimal():
        return int(words[1])
    raise ProdBreakerError(f"{' '.join(words)!r} is not `show ID`, with an ID of the list")


def _listed(args: argparse.Namespace) -> Any:
    states = tuple(IncidentState) if args.all else _UNENDED
    if args.journal:
        from controller.adapters.journal.reader import read_incidents

        found = read_incidents(args.journal, limit=MOST, service=args.service, states=states)
        return [incident_form(incident) for incident in found]
    query: dict[str, str | int] = {"state": ",".join(states), "limit": MOST}
    if args.service:
        query["service"] = args.service
    return ask(controller_url(args.controller), "/api/v1/incidents", query, holding="incidents")["incidents"]


def _one(args: argparse.Namespace, number: int) -> Any:
    if args.journal:
        from controller.adapters.journal.reader import read_incident

        incident = read_incident(args.journal, number)
        if incident is None:
            raise ProdBreakerError(f"{args.journal} holds no incident {number}")
        return incident_form(incident, timeline=True)
    return ask(controller_url(args.controller), f"/api/v1/incidents/{number}", holding="timeline")


def _table(incidents: Sequence[Mapping[str, Any]]) -> list[str]:
    return aligned([_HEADS, *(_row(incident) for incident in incidents)])


def _row(incident: Mapping[str, Any]) -> tuple[str, ...]:
    spans = (_span(incident[f"seconds_to_{what}"]) for what in ("detect", "act", "recover"))
    opened = _time(incident["opened"])[:19]
    return (
        str(incident["id"]),
        _owner(incident),
        incident["kind"],
        incident["state"],
        opened,
        *spans,
        plain(incident["summary"]),
    )


def _timeline(incident: Mapping[str, Any]) -> Iterator[str]:
    start = "it came about" if incident["began"] else "the detection"
    yield f"incident {incident['id']}: {_owner(incident)}, {incident['kind']}, {incident['state']}"
    yield f"detected   {_time(incident['opened'])}{_after(incident['seconds_to_detect'], 'it came about')}"
    if incident["acted"]:
        yield f"acted      {_time(incident['acted'])}{_after(incident['seconds_to_act'], 'the detection')}"
    if incident["ended"]:
        yield f"ended      {_time(incident['ended'])}{_after(incident['seconds_to_recover'], start)}"
    yield ""
    for entry in incident["timeline"]:
        yield f"{_time(entry['time'])}  {entry['kind']:<11}  {plain(entry['text'])}"


def _owner(incident: Mapping[str, Any]) -> str:
    return incident["service"] or "(the Swarm)"


def _time(stamp: str) -> str:
    """UTC, as in the JSON."""
    return stamp.replace("T", " ").removesuffix("Z")


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.3f}s" if seconds < 1 else f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s"


def _after(seconds: float | None, what: str) -> str:
    return "" if seconds is None else f"  {_span(seconds)} after {what}"
