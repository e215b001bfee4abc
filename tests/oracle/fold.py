"""One prospect in one funnel: from relevant events to rows (contract, section 3)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from decimal import Decimal

from tests.oracle.channels import path_of
from tests.oracle.clauses import Clause, Event, FunnelFile, activity_of, clause_matches, is_relevant, microseconds
from tests.oracle.rows import ProspectRow, TransitionRow
from tests.oracle.stalls import stalled_since


@dataclass
class Visit:
    """A visit as far as it has come."""

    number: int
    opened_by: Event
    stage: int
    clock: int
    rows: list[TransitionRow] = field(default_factory=list)
    causes: list[int | None] = field(default_factory=list)
    """By row, which of the events seen caused it."""
    until: list[int] = field(default_factory=list)
    """By row, how many events had been seen when it came to be, its cause included."""
    satisfied: dict[int, list[int]] = field(default_factory=dict)
    """By event seen in the visit, whose stages' `enter` it satisfied."""
    status: str = "open"
    closed_at: int = 0
    closed_after: int = 0
    """Of a won or lost visit: how many events had been seen then, the closing one included."""
    touches: list[Event] = field(default_factory=list)
    """Those that moved it or were activity."""
    snoozed_until: int = 0

    def close_path(self) -> None:
        """Let the row that closed it tell of its touches."""
        self.rows[-1] = self.rows[-1]._replace(**path_of(self.touches))


class Fold:
    """The fold over one prospect's relevant events in the order. Feed them with `take`, then `pass_time`."""

    def __init__(self, funnel: FunnelFile, prospect_id: uuid.UUID) -> None:
        self.funnel = funnel
        self.prospect_id = prospect_id
        self.stages = [stage["name"] for stage in funnel["stage"]]
        self.window = microseconds(funnel.get("window", "90d"))
        self.rest = {status: microseconds(length) for status, length in funnel.get("rest", {}).items()}
        self.seen: list[Event] = []
        self.visits: list[Visit] = []
        self.active_at: list[int] = []

    # What an event satisfies

    def after_last_close(self, position: int) -> bool:
        """Whether the event seen at this position lies after the point where the last visit closed, if one did."""
        closed = [visit for visit in self.visits if visit.status != "open"]
        if not closed:
            return True
        last = closed[-1]
        if last.status == "expired":
            return bool(self.seen[position]["occurred_at"] > last.closed_at)
        return position >= last.closed_after

    def satisfies(self, clauses: list[Clause], event: Event) -> bool:
        """Whether the event, which is the last one seen, satisfies one of the clauses."""
        for clause in clauses:
            if not clause_matches(clause, event):
                continue
            if "at_least" not in clause:
                return True
            since = event["occurred_at"] - microseconds(clause["within"])
            counted = [
                earlier
                for position, earlier in enumerate(self.seen)
                if clause_matches(clause, earlier)
                and earlier["occurred_at"] >= since
                and self.after_last_close(position)
            ]
            if len(counted) >= clause["at_least"]:
                return True
        return False

    def furthest_stage(self, event: Event) -> int | None:
        """Give the furthest stage whose `enter` the event satisfies."""
        entered = [k for k, stage in enumerate(self.funnel["stage"]) if self.satisfies(stage["enter"], event)]
        return max(entered, default=None)

    # Rows

    def account_id(self, events: list[Event]) -> str:
        """Give the latest account that is not empty, of events in the order."""
        named = [(event.get("account_id") or "").strip() for event in events]
        return next((account for account in reversed(named) if account), "")

    def add_row(self, visit: Visit, kind: str, to_stage: str, entered_at: int, cause: Event | None) -> None:
        """Add a row to the visit: caused by the last event seen, or by nothing."""
        visit.causes.append(len(self.seen) - 1 if cause is not None else None)
        visit.until.append(len(self.seen))
        step = len(visit.rows)
        known = self.seen if cause is not None else [e for e in self.seen if e["occurred_at"] <= entered_at]
        of_cause: Event = cause or {}
        reason = of_cause.get("reason") or ""
        if kind == "lost":
            reason = reason or of_cause.get("outcome") or of_cause.get("type") or ""
        visit.rows.append(
            TransitionRow(
                funnel=self.funnel["name"],
                funnel_version=self.funnel.get("version", 1),
                prospect_id=self.prospect_id,
                visit=visit.number,
                step=step,
                kind=kind,
                from_stage=self.stages[visit.stage] if step else "",
                to_stage=to_stage,
                entered_at=entered_at,
                visit_opened_at=visit.opened_by["occurred_at"],
                seconds_in_from=(entered_at - visit.rows[-1].entered_at) / 1_000_000 if step else 0.0,
                cause_source=of_cause.get("source") or "",
                cause_event_id=of_cause.get("event_id") or "",
                channel=of_cause.get("channel") or "",
                type=of_cause.get("type") or "",
                campaign=of_cause.get("campaign") or "",
                first_channel=visit.opened_by.get("channel") or "",
                first_campaign=visit.opened_by.get("campaign") or "",
                account_id=self.account_id(known),
                amount=Decimal(of_cause.get("amount") or 0),
                currency=of_cause.get("currency") or "",
                reason=reason,
                rep=of_cause.get("rep") or "",
                channel_group=of_cause.get("channel_group") or "",
                first_channel_group=visit.opened_by.get("channel_group") or "",
            )
        )

    def enter(self, visit: Visit, kind: str, stage: int, event: Event) -> None:
        """Bring the visit into a stage; the last one wins it."""
        self.add_row(visit, kind, self.stages[stage], event["occurred_at"], event)
        visit.stage = stage
        visit.clock = event["occurred_at"]
        if stage == len(self.stages) - 1:
            visit.status, visit.closed_at, visit.closed_after = "won", event["occurred_at"], len(self.seen)

    def expire(self, visit: Visit) -> None:
        """Close the visit a window after its clock."""
        visit.closed_at = visit.clock + self.window
        self.add_row(visit, "expired", "expired", visit.closed_at, None)
        visit.close_path()
        visit.status = "expired"

    # Events

    def take(self, event: Event) -> None:
        """Take the next relevant event."""
        self.seen.append(event)
        visit = self.visits[-1] if self.visits else None
        if visit is not None and visit.status == "open":
            if event["occurred_at"] > visit.clock + self.window:
                self.expire(visit)
                visit.until[-1] -= 1  # this event comes after it
            else:
                rows = len(visit.rows)
                if self.take_in_visit(visit, event) or len(visit.rows) > rows:
                    visit.touches.append(event)
                self.settle(visit, event, moved=len(visit.rows) > rows)
                return
        number = len(self.visits)
        self.take_outside(visit, event)
        if len(self.visits) > number:
            self.visits[-1].touches.append(event)
            self.settle(self.visits[-1], event, moved=True)

    def settle(self, visit: Visit, event: Event, *, moved: bool) -> None:
        """Once an event of the visit is taken: what it means for the touches and for who waits."""
        if visit.status != "open":
            visit.close_path()
            return
        if moved:
            visit.snoozed_until = 0
        for snooze in self.funnel.get("snooze", []):
            if any(clause_matches(clause, event) for clause in snooze["on"]):
                visit.snoozed_until = max(visit.snoozed_until, event["occurred_at"] + microseconds(snooze["for"]))

    def note_activity(self, event: Event) -> bool:
        """Note the time if the event satisfies `activity`; say whether it does."""
        active = self.satisfies(activity_of(self.funnel), event)
        if active:
            self.active_at.append(event["occurred_at"])
        return active

    def take_in_visit(self, visit: Visit, event: Event) -> bool:
        """Take an event while a visit is open; say whether it is activity."""
        active = self.note_activity(event)
        if active:
            visit.clock = max(visit.clock, event["occurred_at"])
        if self.satisfies(self.funnel.get("lost", {}).get("on", []), event):
            self.add_row(visit, "lost", "lost", event["occurred_at"], event)
            visit.status, visit.closed_at, visit.closed_after = "lost", event["occurred_at"], len(self.seen)
            return active
        furthest = self.furthest_stage(event)
        visit.satisfied[len(self.seen) - 1] = [] if furthest is None else [furthest]
        if furthest is not None and furthest > visit.stage:
            self.enter(visit, "advance" if furthest == visit.stage + 1 else "skip", furthest, event)
            return active
        for back in self.funnel.get("back", []):
            to = self.stages.index(back["to"])
            if to < visit.stage and self.satisfies(back["on"], event):
                self.enter(visit, "back", to, event)
                return active
        return active

    def take_outside(self, last: Visit | None, event: Event) -> None:
        """Take an event while no visit is open; `last` is the last visit, if there was one."""
        self.note_activity(event)
        furthest = self.furthest_stage(event)
        rests = (
            last is not None
            and last.status in ("won", "lost")
            and event["occurred_at"] < last.closed_at + self.rest.get(last.status, 0)
        )
        if rests:
            assert last is not None
            if last.status == "won" and self.satisfies(self.funnel["stage"][-1]["enter"], event):
                self.add_row(last, "repeat", self.stages[-1], event["occurred_at"], event)
                return
            wake = self.funnel.get("wake")
            if wake is None or furthest is None or furthest < self.stages.index(wake):
                return
        if furthest is None:
            return
        visit = Visit(len(self.visits) + 1, opened_by=event, stage=furthest, clock=event["occurred_at"])
        visit.satisfied[len(self.seen) - 1] = [furthest]
        self.visits.append(visit)
        self.enter(visit, "enter", furthest, event)

    def pass_time(self, now: int) -> None:
        """Let the wall clock expire the open visit."""
        if self.visits and self.visits[-1].status == "open" and now > self.visits[-1].clock + self.window:
            self.expire(self.visits[-1])

    def standing(self, now: int) -> ProspectRow | None:
        """Give the row of `prospects` as seen at `now`; None before the first visit."""
        if not self.visits:
            return None
        last = self.visits[-1]
        is_open = last.status == "open"
        caused = [row.entered_at for visit in self.visits for row in visit.rows if row.kind != "expired"]
        return ProspectRow(
            funnel=self.funnel["name"],
            prospect_id=self.prospect_id,
            stage=self.stages[last.stage] if is_open else "",
            visit=last.number,
            status=last.status,
            stage_entered_at=last.rows[-1].entered_at if is_open else last.closed_at,
            last_activity_at=max(caused + self.active_at),
            account_id=self.account_id(self.seen),
            stalled_since=stalled_since(
                self.funnel, self.funnel["stage"][last.stage], last.clock, now, last.snoozed_until
            )
            if is_open
            else None,
            snoozed_until=(last.snoozed_until or None) if is_open else None,
        )


def fold(funnel: FunnelFile, prospect_id: uuid.UUID, events: list[Event], now: int) -> Fold:
    """Fold one prospect's distinct events, which come in the order, through one funnel, as seen at `now`."""
    result = Fold(funnel, prospect_id)
    for event in events:
        if is_relevant(funnel, event):
            result.take(event)
    result.pass_time(now)
    return result
