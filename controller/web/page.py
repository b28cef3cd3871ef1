"""The status as one HTML page, without scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from controller.model.forms import incident_form
from controller.model.incident import Incident
from controller.model.status import ServiceStatus

REFRESH_SECONDS = 10
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3em 1em .3em 0;border-bottom:1px solid #ddd}"
    ".Synced,.Healthy,.yes{color:#176f2c}.OutOfSync,.Degraded,.Missing,.held,.no{color:#b00020}.Progressing,.Suspended,.Unknown,.open{color:#8a5a00}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def status_page(
    statuses: Sequence[ServiceStatus], incidents: Sequence[Incident], stacks: Mapping[str, str], readiness: Mapping[str, bool]
) -> str:
    """Render it; everything that comes from outside is escaped."""
    services = _table(("Service", "Sync", "Health", "Replicas", ""), map(_service, statuses))
    faults = _table(("Incident", "Service", "Fault", "State", "Opened", ""), map(_incident, incidents)) if incidents else ""
    manifests = _table(("Stack", "Manifest"), ((_cell(name), _cell(fault or "read")) for name, fault in stacks.items()))
    checks = _table(("Ready", ""), ((_cell(check), _word("yes" if holds else "no")) for check, holds in readiness.items()))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
        f"<title>ProdBreaker</title><style>{_STYLE}</style></head><body><h1>ProdBreaker</h1>{faults}{services}{manifests}{checks}</body></html>"
    )


def _service(status: ServiceStatus) -> Sequence[str]:
    replicas = f"{status.running}/{status.desired}"
    return _cell(status.name), _word(status.sync), _word(status.health), _cell(replicas), _cell(status.message)


def _incident(incident: Incident) -> Sequence[str]:
    form = incident_form(incident)
    number, service = _cell(str(incident.id)), _cell(incident.service or "the Swarm")
    return number, service, _cell(form["kind"]), _word(form["state"]), _cell(form["opened"]), _cell(incident.entries[-1].text)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _word(word: str) -> str:
    return f'<td class="{escape(word)}">{escape(word)}</td>'
