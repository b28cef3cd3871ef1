"""The tables of the journal, and how a row becomes a record."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import peewee

from controller.engine.records import ActionOutcome, ActionRecord
from controller.model.incident import Entry, EntryKind, FaultKind, Incident, IncidentState
from controller.model.plan import Change, ObjectKind, Reason, Verb

SCHEMA = 2  # in the file's user_version; 1 knew no incidents


class Passes(peewee.Model):
    id = peewee.AutoField()
    reconcile_id = peewee.TextField()
    key = peewee.TextField()
    started = peewee.DoubleField()
    seconds = peewee.DoubleField()
    result = peewee.TextField()
    reason = peewee.TextField()

    class Meta:
        table_name = "passes"


class Actions(peewee.Model):
    id = peewee.AutoField()
    reconcile_id = peewee.TextField()
    key = peewee.TextField(index=True)
    verb = peewee.TextField()
    kind = peewee.TextField()
    name = peewee.TextField()
    reason = peewee.TextField()
    outcome = peewee.TextField()
    time = peewee.DoubleField()
    seconds = peewee.DoubleField()
    changes = peewee.TextField()  # JSON: [field, old, new] each, masked
    message = peewee.TextField()

    class Meta:
        table_name = "actions"


class Notes(peewee.Model):
    name = peewee.TextField(primary_key=True)
    value = peewee.TextField()

    class Meta:
        table_name = "notes"


class Incidents(peewee.Model):
    id = peewee.IntegerField(primary_key=True)
    service = peewee.TextField()
    kind = peewee.TextField()
    state = peewee.TextField()
    summary = peewee.TextField()
    opened = peewee.DoubleField()
    began = peewee.DoubleField(null=True)
    acted = peewee.DoubleField(null=True)
    ended = peewee.DoubleField(null=True)
    entries = peewee.TextField()  # JSON: [time, kind, text] each, masked

    class Meta:
        table_name = "incidents"


MODELS: list[Any] = [Passes, Actions, Notes, Incidents]


def action_of(row: Mapping[str, Any]) -> ActionRecord:
    return ActionRecord(
        reconcile_id=row["reconcile_id"],
        key=row["key"],
        verb=Verb(row["verb"]),
        kind=ObjectKind(row["kind"]),
        name=row["name"],
        reason=Reason(row["reason"]),
        outcome=ActionOutcome(row["outcome"]),
        time=row["time"],
        seconds=row["seconds"],
        changes=tuple(Change(*change) for change in json.loads(row["changes"])),
        message=row["message"],
    )


def row_of(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.id,
        "service": incident.service,
        "kind": incident.kind.value,
        "state": incident.state.value,
        "summary": incident.summary,
        "opened": incident.opened,
        "began": incident.began,
        "acted": incident.acted,
        "ended": incident.ended,
        "entries": json.dumps([[entry.time, entry.kind.value, entry.text] for entry in incident.entries]),
    }


def find_incidents(database: Any, *, limit: int, service: str | None, states: Collection[IncidentState]) -> list[Incident]:
    """Those that have not ended first, then the newest."""
    query = Incidents.select().where(Incidents.state.in_([state.value for state in states]))
    if service is not None:
        query = query.where(Incidents.service == service)
    query = query.order_by(Incidents.ended.is_null(False), Incidents.id.desc()).limit(limit)
    return [incident_of(row) for row in query.dicts().execute(database)]


def find_incident(database: Any, number: int) -> Incident | None:
    rows = Incidents.select().where(Incidents.id == number).dicts().execute(database)
    return next((incident_of(row) for row in rows), None)


def incident_of(row: Mapping[str, Any]) -> Incident:
    return Incident(
        id=row["id"],
        service=row["service"],
        kind=FaultKind(row["kind"]),
        state=IncidentState(row["state"]),
        opened=row["opened"],
        summary=row["summary"],
        began=row["began"],
        acted=row["acted"],
        ended=row["ended"],
        entries=tuple(Entry(time, EntryKind(kind), text) for time, kind, text in json.loads(row["entries"])),
    )
