"""`prodbreaker history`: what ran of a service, what became of it, and what each revision changed."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence

from controller.cli import EXIT_DONE
from controller.cli.common import add_output_option, add_service_argument, aligned, connected, plain, print_json, real_name
from controller.cli.plan_text import change_line
from controller.core.by_hand import Entry, history_of
from controller.engine.observer import full_snapshot
from controller.model.forms import revision_form

_HEADS = ("NUMBER", "SINCE", "STATE", "LIVE", "WHY")


def configure(parser: argparse.ArgumentParser) -> None:
    add_service_argument(parser)
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    name = real_name(args.service)
    entries = asyncio.run(_entries(name))
    if args.output == "json":
        forms = [revision_form(item.revision, is_live=item.is_live, since=item.since) for item in entries]
        print_json({"service": name, "revisions": forms})
    else:
        print("\n".join(_lines(entries)))
    return EXIT_DONE


async def _entries(name: str) -> list[Entry]:
    async with connected() as swarm:
        return history_of(name, await full_snapshot(swarm))


def _lines(entries: Sequence[Entry]) -> Iterator[str]:
    head, *rows = aligned([_HEADS, *map(_row, entries)])
    yield head
    for row, entry in zip(rows, entries, strict=True):
        yield row
        if entry.revision is not None:
            yield from (f"        {plain(change_line(change))}" for change in entry.revision.changes)


def _row(entry: Entry) -> tuple[str, ...]:
    form = revision_form(entry.revision, is_live=entry.is_live, since=entry.since)
    why = form["why"] if form["target"] is None else f"{form['why']}; back to {form['target']}"
    since = form["since"][:19].replace("T", " ")
    return str(form["number"] or "-"), since, form["state"] or "-", "*" if entry.is_live else "", plain(why)
