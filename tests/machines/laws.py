"""The safety properties of docs/testing.md, judged on every write as it arrives and by nothing that a controller says.

P5: an update carries a version that its writer read; what was refused as stale is not sent again as it was, unless that very
version was read anew (a list may be behind).
P6: while Swarm's updater is at work only an edit or the one way back is written; between two edits of a service the specs
written for it are the declared one, then at most one other, and never again the declared one.
P7: corrections of one service within a window stay below its budget.
P8: no planted token in what is told or kept for people.
P9: nobody writes whose lease is over, and never do two lead.
Quarantine: a spec that was found bad is not written until an edit or a release.
Innocence: where nothing went wrong no good revision is found bad. What restrains a controller is judged in `restraints`.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller.core.lease import LEASE_NAME
from controller.core.revisions import REVISION_LABEL, histories
from controller.model.observation import Snapshot
from controller.model.plan import ObjectKind, Verb
from controller.model.revision import Revision, RevisionState
from controller.model.spec import Json
from controller.simulator.faults import Site
from controller.simulator.records import Content, Service, UpdateState
from tests.machines.ledger import CALL, HAND, RecordedSwarm, Write
from tests.machines.listener import Listener
from tests.machines.process import LEASE_SECONDS, Process
from tests.machines.restraints import LATE_SECONDS, Restraints
from tests.machines.scenery import BUDGET, DEADLINE_SECONDS, GOOD, KEYS, TOKEN, Wishes
from tests.support.specs import STACK

UNDER_WAY = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)
PAUSED = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)
REFUSED = (RevisionState.FAILED, RevisionState.QUARANTINED)
_NUMBER = "prodbreaker.rev.number"

Essence = tuple[Any, ...]  # of a spec, what a person would call its version
Written = tuple[Essence, str]  # with the digest that the writer gave it: two declarations may differ in less than that


@dataclass(slots=True)
class Term:
    """From one edit of a service to the next."""

    began: float
    essence: Essence | None  # as declared; None: not declared any more
    replicas: int = 0
    strategy: tuple[str, ...] = ()
    is_first: bool = True  # what is declared was not written yet
    goes_back: bool = False  # an operator ordered it
    last: Written | None = None  # by a controller
    before: tuple[Written, ...] = ()  # what controllers wrote before that, and left
    has_way_back: bool = True  # nobody has gone back yet

    def asks_the_same(self, other: Term) -> bool:
        return (self.essence, self.replicas, self.strategy) == (other.essence, other.replicas, other.strategy)


class Laws:
    def __init__(self, swarm: RecordedSwarm, processes: Sequence[Process]) -> None:
        self._swarm, self._processes = swarm, processes
        swarm.ledger.on_write = self._judge
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()  # of what was judged
        self.is_blamable = False  # something went wrong that may look as if a good revision were bad
        self._wishes = Wishes({})
        self._terms: dict[str, list[Term]] = {}
        self._corrections: dict[str, list[float]] = {}
        self._excuses: list[float] = []  # when counters of corrections may have been lost
        self._stale: dict[tuple[str, str], tuple[float, int, Json]] = {}  # by writer and object, what was refused, and when
        self._ever: dict[str, set[Essence]] = {}  # what ran or was declared of a service
        self._told: dict[str, tuple[str, float]] = {}  # who wrote a config last, and when
        self._existed: set[str] = set()
        self._spec_written: dict[str, float] = {}
        self._lease_written: float = -1.0
        self._holder = ""
        self._restraints = Restraints(swarm, processes, self._found)
        self.listener = Listener(self._found)

    # What the machine tells

    def declared(self, wishes: Wishes) -> None:
        for key in KEYS:
            name, want = f"{STACK}_{key}", wishes.services.get(key)
            essence = declared_essence(key, wishes) if want else None
            fresh = Term(self._swarm.now, essence, *((want.replicas, (want.failure_action, want.order)) if want else ()))
            terms = self._terms.setdefault(name, [])
            if not terms or not fresh.asks_the_same(terms[-1]):
                terms.append(fresh)
            if essence is not None:
                self._ever.setdefault(name, set()).add(essence)
        self._wishes = wishes

    def ordered(self, key: str, *, is_release: bool) -> None:
        """An operator had a service released, or go back: both may follow from it, once.

        What was declared a moment ago may still be on its way; a release lets that be written anew as well.
        """
        name, now = f"{STACK}_{key}", self._swarm.now
        for term in self._recent(name, now)[0 if is_release else -1 :]:
            fresh = Term(now, term.essence, term.replicas, term.strategy)
            self._terms[name].append(replace(fresh, is_first=is_release, goes_back=not is_release))
        self.resumed(f"{STACK}/{key}")

    def resumed(self, target: str) -> None:
        """Somebody freed what was held, of a stack or a service."""
        for name in [f"{STACK}_{key}" for key in KEYS if target in (STACK, f"{STACK}/{key}")]:
            self._corrections.pop(name, None)
            self._restraints.freed(name)

    def restarted(self) -> None:
        """A controller begins anew, or leads anew: of the one before it, it may not know the last correction.

        A first correction in a window is not written down by design (engine/guards.py).
        """
        self._excuses.append(self._swarm.now)

    def sent(self, site: Site) -> None:
        """A controller's write leaves, past its fence."""
        call = CALL.get()
        assert call is not None
        process = next(process for process in self._processes if process.name == call.who)
        if process.leader is None or site.target == f"config/{LEASE_NAME}":
            return
        lease = self._swarm.store.configs.by_name(LEASE_NAME)
        holder = lease.spec["Labels"].get("prodbreaker.lease.holder") if lease else None
        if holder != call.who:
            self._found(f"P9 {call.who} sends {site} and {holder} has the lease")
        elif self._swarm.now >= self._lease_written + LEASE_SECONDS:
            self._found(f"P9 {call.who} sends {site} after its lease has ended")

    def look(self) -> None:
        """Between two steps."""
        leading = [process.name for process in self._processes if process.runs and process.leader and process.may_write()]
        if len(leading) > 1:
            self._found(f"P9 {leading} lead at once")
        for process in self._processes:
            if surprises := process.surprises():
                self._found(f"ended by itself: {surprises}")

    # Writes

    def _judge(self, write: Write) -> None:
        if write.kind is ObjectKind.CONFIG and write.name == LEASE_NAME:
            self._lease(write)
            return
        if write.kind is ObjectKind.CONFIG and not write.refusal:
            self._told[write.object_id] = (write.who, write.at)
            self._restraints.noted(write)
        if write.who == HAND:
            self._by_hand(write)
            return
        self.counts["writes"] += 1
        self._versions(write)
        if write.refusal:
            return
        if write.kind is ObjectKind.SERVICE:
            self._service(write)
            self._spec_written[write.name] = write.at
        elif write.name.startswith("prodbreaker_rev_"):
            self._verdict(write)
        self._no_token(write)

    def _lease(self, write: Write) -> None:
        self._lease_written = self._swarm.now
        holder = write.after.spec["Labels"].get("prodbreaker.lease.holder", "") if isinstance(write.after, Content) else ""
        if holder not in ("", self._holder):
            self.counts["takeovers"] += bool(self._holder)
            for process in self._processes:
                if process.runs and process.name != holder and process.may_write():
                    self._found(f"P9 {holder} takes the lease and {process.name} may still write")
            self._holder = holder
            self.restarted()

    def _by_hand(self, write: Write) -> None:
        if isinstance(write.after, Service) and not write.refusal:
            self._ever.setdefault(write.name, set()).add(self.essence(write.after.spec))
            self._spec_written[write.name] = write.at

    def _versions(self, write: Write) -> None:
        what = f"{write.who}: {write.verb} {write.kind} {write.name}"
        if write.read_at is None:
            self._found(f"P5 {what} carries version {write.version}, which it never read")
        if write.verb is not Verb.UPDATE or write.read_at is None:
            return
        refused_at, *refused = self._stale.get((write.who, write.object_id), (write.at, -1, {}))
        if refused == [write.version, write.body] and write.read_at < refused_at:
            self._found(f"P5 {what} is sent again as it was after it was refused as stale")
        is_stale = write.before is not None and write.before.version != write.version
        if is_stale:
            self.counts["refused as stale"] += 1
            self._stale[write.who, write.object_id] = write.at, write.version, write.body
        if is_stale and not write.refusal:
            self._found(f"P5 {what} was applied against a stale version")

    def _service(self, write: Write) -> None:
        if write.verb is Verb.REMOVE:
            if all(term.essence is not None for term in self._recent(write.name, write.sent.at)):
                self._found(f"{write.who} removes {write.name}, which is declared")
            self._restraints.judge(write, is_correction=False)
            return
        after = write.after
        assert isinstance(after, Service)
        essence = self.essence(after.spec)
        asked = Term(write.at, essence, after.replicas, strategy(after.spec))
        term = self._placed(write, asked)
        if term is None:
            self._found(f"{write.who} writes a spec of {write.name} that nobody declared: {essence}")
            return
        is_edit = asked.asks_the_same(term) and (term.is_first or self._is_unproven(write))
        is_new = write.verb is Verb.CREATE and write.name not in self._existed
        self._existed.add(write.name)
        is_way_back = self._goes_back(write, (essence, after.spec["Labels"].get(REVISION_LABEL, "")), term, is_edit=is_edit)
        self._updater(write, is_allowed=is_edit or is_way_back)
        self._quarantine(write)
        self._restraints.judge(write, is_correction=not is_edit and not is_new)
        self.counts["edits"] += is_edit
        self.counts["ways back"] += is_way_back
        if is_edit:
            self._corrections.pop(write.name, None)
            self._restraints.freed(write.name)
            term.is_first = False
        elif not is_new:
            self.counts["corrections"] += 1
            self._count(write)

    def _is_unproven(self, write: Write) -> bool:
        """An edit is written again where a hand has brought back the spec before it and nobody can tell that it ever ran."""
        before, digest = digest_of(write.before), write.body["Labels"].get(REVISION_LABEL, "")
        return before not in ("", digest) and self._state(write.name, digest) is RevisionState.PROGRESSING

    def _is_brought_back(self, write: Write) -> bool:
        """A hand has brought back what is refused: it is taken back as it was at first, without waiting for its update to end."""
        return self._state(write.name, digest_of(write.before)) in REFUSED

    def _state(self, name: str, digest: str) -> RevisionState | None:
        return next((item.state for item in reversed(self.history(name)) if item.digest == digest), None)

    def _placed(self, write: Write, asked: Term) -> Term | None:
        """Which edit a write belongs to: the latest if it can be, else one that was in force when it was decided."""
        recent = self._recent(write.name, write.sent.at)
        latest, is_known = recent[-1], asked.essence in self._ever.get(write.name, ())
        is_declared = asked.essence == latest.essence
        if len(recent) > 1 and is_declared and latest.goes_back and latest.last is None:
            return recent[-2]  # it was on its way when an operator ordered to go back
        overtaken = next((term for term in reversed(recent) if term.is_first and term.asks_the_same(asked)), None)
        if overtaken is not None:
            return overtaken
        if is_declared or (is_known and not latest.is_first):
            return latest
        late = next((term for term in reversed(recent) if term.essence == asked.essence), None)
        if late or not is_known:
            return late
        return next((term for term in reversed(recent) if not term.is_first), latest)  # its way back, put right once more

    def _recent(self, name: str, sent_at: float) -> list[Term]:
        terms = self._terms[name]
        over = [number for number, term in enumerate(terms[1:]) if term.began < sent_at - LATE_SECONDS]
        return terms[over[-1] + 1 if over else 0 :]

    def _updater(self, write: Write, *, is_allowed: bool) -> None:
        before = write.before
        state = before.update_status.state if isinstance(before, Service) and before.update_status else None
        written = self._spec_written.get(write.name, write.at)
        is_allowed = is_allowed or write.at - written >= DEADLINE_SECONDS  # an update that does not end is given up
        if state in UNDER_WAY and not is_allowed:
            self._found(f"P6 {write.who} writes {write.name} while it is {state}, and it is neither an edit nor the way back")

    def _goes_back(self, write: Write, written: Written, term: Term, *, is_edit: bool) -> bool:
        """Whether a write is the way back, of which an edit has one at most; afterwards nothing else is written any more."""
        if written == term.last:
            return self._is_brought_back(write)
        if written in term.before:
            self._found(f"P6 {write.who} writes {write.name} to and fro: {term.before}, {term.last} and again {written}")
        elif not is_edit and not term.has_way_back:
            self._found(f"P6 {write.who} writes another spec of {write.name} after the way back: {term.last}, then {written}")
        term.before += (term.last,) if term.last else ()
        term.last = written
        if is_edit:
            return False
        term.has_way_back = False
        return True

    def _quarantine(self, write: Write) -> None:
        digest = (write.body.get("Labels") or {}).get(REVISION_LABEL, "")
        newest = next((item for item in reversed(self.history(write.name)) if item.digest == digest), None)
        if newest is None or newest.state not in REFUSED:
            return
        if any(item.target == newest.number and "rolled back by hand" in item.why for item in self.history(write.name)):
            return  # an operator wants this one, bad or not
        by, at = self._told.get(newest.config_id, (write.who, 0.0))
        if by == write.who or at < write.sent.at - LATE_SECONDS:  # what others write is seen a little later
            self._found(f"quarantine: {write.who} writes {write.name} as its revision {newest.number}, which is {newest.state}")

    def _count(self, write: Write) -> None:
        window, now = BUDGET.per.total_seconds(), write.at
        counted = [at for at in self._corrections.get(write.name, ()) if at > now - window]
        counted.append(now)
        self._corrections[write.name] = counted
        excused = sum(at > now - window for at in self._excuses)
        if len(counted) > BUDGET.actions + excused:
            self._found(f"P7 {write.name} was put right {len(counted)} times within {window:g} s: {counted}")

    def _verdict(self, write: Write) -> None:
        """Nobody blames a revision for what it did not do."""
        labels = write.body.get("Labels") or {}
        self.counts["found bad"] += labels.get("prodbreaker.rev.state") == RevisionState.FAILED
        if self.is_blamable or labels.get("prodbreaker.rev.state") not in REFUSED:
            return
        kept = next(item for item in self.history(labels["prodbreaker.rev.service"]) if str(item.number) == labels[_NUMBER])
        image, why = kept.body["TaskTemplate"]["ContainerSpec"]["Image"], labels.get("prodbreaker.rev.why", "")
        if image in GOOD and "goes back together" not in why and "rolled back" not in why:
            self._found(f"innocence: {write.who} finds {kept.service} {kept.number} ({image}) bad: {why}")

    def _no_token(self, write: Write) -> None:
        labels = write.body.get("Labels") or {}
        ours = {key: text for key, text in labels.items() if key.startswith("prodbreaker.")}
        if TOKEN in f"{write.name}{ours}":
            self._found(f"P8 a label of {write.kind} {write.name} holds the token: {ours}")

    def look_for_tokens(self) -> None:
        """In all that is told or kept for people."""
        for process in self._processes:
            told = {
                "the journal": (process.journal.passes, process.journal.actions, process.journal.kept, process.journal.known),
                "the board": process.world.board.statuses(),
                "an incident": process.world.incidents.open_ones(),
            }
            for where, text in told.items():
                if TOKEN in str(text):
                    self._found(f"P8 {where} of {process.name} holds the token")
        for key in KEYS:
            for revision in self.history(f"{STACK}_{key}"):
                if TOKEN in str((revision.why, revision.noise, revision.changes)):
                    self._found(f"P8 revision {revision.number} of {key} tells the token: {revision.why} {revision.changes}")

    # What is there

    def essence(self, spec: Json) -> Essence:
        """Image, environment and the contents of configs, whatever their versions are called."""
        container = spec["TaskTemplate"]["ContainerSpec"]
        rows = [self._swarm.store.configs.rows.get(item["ConfigID"]) for item in container.get("Configs") or ()]
        contents = [base64.b64decode(row.spec.get("Data", "")).decode() if row else "" for row in rows]
        return container["Image"], tuple(container.get("Env") or ()), tuple(contents)

    def essence_of_kept(self, revision: Revision) -> Essence:
        """Of a revision, whose references are names."""
        container = revision.body["TaskTemplate"]["ContainerSpec"]
        rows = [self._swarm.store.configs.by_name(item["ConfigName"]) for item in container.get("Configs") or ()]
        contents = [base64.b64decode(row.spec.get("Data", "")).decode() if row else "" for row in rows]
        return container["Image"], tuple(container.get("Env") or ()), tuple(contents)

    def history(self, service: str) -> Sequence[Revision]:
        configs: dict[str, Any] = {
            row.name: {"ID": row.id, "Version": {"Index": row.version}, "Spec": row.spec}
            for row in self._swarm.store.configs.rows.values()
            if row.name.startswith("prodbreaker_rev_")
        }
        return histories(Snapshot((1, 47), services={}, networks={}, configs=configs, secrets={})).get(service, ())

    def own_configs(self) -> list[Content]:
        return [row for row in self._swarm.store.configs.rows.values() if row.name.startswith("prodbreaker_")]

    def term(self, key: str) -> Term:
        return self._terms[f"{STACK}_{key}"][-1]

    def _found(self, text: str) -> None:
        self.violations.append(f"{self._swarm.now:.3f} {text}")


def digest_of(row: object) -> str:
    """Of the revision that a service says it is."""
    return row.spec["Labels"].get(REVISION_LABEL, "") if isinstance(row, Service) else ""


def strategy(spec: Json) -> tuple[str, ...]:
    return spec["UpdateConfig"]["FailureAction"], spec["UpdateConfig"]["Order"]


def declared_essence(key: str, wishes: Wishes) -> Essence:
    container = wishes.stack().services[key].body["TaskTemplate"]["ContainerSpec"]
    contents = (wishes.config,) if wishes.services[key].has_config else ()
    return container["Image"], tuple(container["Env"]), contents
