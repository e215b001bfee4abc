"""Hand-offs of one prospect in one funnel: what each team that was handed a visit made of it. From rows and events at once, looking back.

The readings taken: a visit is handed over where it goes on to a stage of another team, the last stage and those without a team aside; one that opens there
comes from the first stage's team. Its team has it up to the move with which it leaves for a stage of another team, or closes. What of the
relevant events in that time, the handing and the leaving one among them, is a touch, is a touch by that team.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from tests.oracle.clauses import Event, FunnelFile, clause_matches
from tests.oracle.fold import Fold, Visit
from tests.oracle.rows import TransitionRow
from tests.oracle.stalls import deadline_of

FORWARD = ("enter", "advance", "skip")
COMPLETED_CALLS = [{"channel": "call", "type": "completed"}]


class By(NamedTuple):
    """What is told of the event with which something happened to a hand-off."""

    occurred_at: int
    source: str
    event_id: str
    channel: str
    type: str
    campaign: str
    outcome: str
    reason: str
    rep: str


class HandoffRow(NamedTuple):
    """One hand-off. Times are microseconds since the epoch, UTC."""

    funnel: str
    prospect_id: uuid.UUID
    visit: int
    step: int
    stage: str
    from_team: str
    to_team: str
    handed: By
    first_campaign: str
    account_id: str
    respond_by: int | None
    first_touch: By | None
    outcome: str
    """accepted, sent_back, lost, won, handed_on, expired or waiting."""
    decided: By | None
    """None where no event did."""
    outcome_at: int | None
    overdue: bool
    """Whether an alert is due: the visit is open, in that stage, and nobody touched it in time."""


def handoffs(result: Fold, now: int) -> list[HandoffRow]:
    """Give the hand-offs of a prospect's visits, as seen at `now`."""
    return [
        _of(result, visit, number, now)
        for visit in result.visits
        for number in range(len(visit.rows))
        if _is_handed(result.funnel, visit.rows, number)
    ]


def _team(funnel: FunnelFile, stage: str) -> str:
    return next((str(one.get("team", "")) for one in funnel["stage"] if one["name"] == stage), "")


def _from_team(funnel: FunnelFile, row: TransitionRow) -> str:
    return _team(funnel, row.from_stage or funnel["stage"][0]["name"])


def _is_handed(funnel: FunnelFile, rows: list[TransitionRow], number: int) -> bool:
    row = rows[number]
    team = _team(funnel, row.to_stage)
    is_last = row.to_stage == funnel["stage"][-1]["name"]
    return row.kind in FORWARD and not is_last and team not in ("", _from_team(funnel, row))


def _of(result: Fold, visit: Visit, number: int, now: int) -> HandoffRow:
    funnel, rows = result.funnel, visit.rows
    row, team = rows[number], _team(funnel, rows[number].to_stage)
    stages = [stage["name"] for stage in funnel["stage"]]
    leaving = next(
        (
            later
            for later in range(number + 1, len(rows))
            if rows[later].to_stage in ("lost", "expired", stages[-1]) or _team(funnel, rows[later].to_stage) != team
        ),
        None,
    )
    first = visit.causes[number]
    assert first is not None
    until = len(result.seen) if leaving is None else visit.until[leaving]
    touches = [at for at in range(first, until) if _is_touch(funnel, result.seen[at])]

    def stage_at(position: int) -> int:
        """The stage that the visit was in when this event came; the handing event comes into it."""
        moved = [rows[at].to_stage for at in range(number, len(rows)) if at == number or _before(visit, at, position)]
        return stages.index([name for name in moved if name in stages][-1])

    accepting = [
        at
        for at in touches
        if at not in _losing(visit) and max(visit.satisfied[at], default=-1) >= _run_begins(funnel, stage_at(at))
    ]
    outcome, decided = "waiting", None
    if leaving is not None:
        outcome, decided = _ending(rows[leaving], stages), visit.causes[leaving]
    if accepting:
        outcome, decided = "accepted", accepting[0]
    stage = funnel["stage"][stages.index(row.to_stage)]
    respond_by = deadline_of(funnel, stage, "respond_within", row.entered_at)
    return HandoffRow(
        funnel=funnel["name"],
        prospect_id=row.prospect_id,
        visit=row.visit,
        step=row.step,
        stage=row.to_stage,
        from_team=_from_team(funnel, row),
        to_team=team,
        handed=_by(result.seen[first]),
        first_campaign=row.first_campaign,
        account_id=row.account_id,
        respond_by=respond_by,
        first_touch=_by(result.seen[touches[0]]) if touches else None,
        outcome=outcome,
        decided=None if decided is None else _by(result.seen[decided], explains=outcome in ("lost", "sent_back")),
        outcome_at=_outcome_at(result, rows, leaving, decided),
        overdue=number == len(rows) - 1 and not touches and respond_by is not None and respond_by <= now,
    )


def _before(visit: Visit, number: int, position: int) -> bool:
    cause = visit.causes[number]
    return cause is not None and cause < position


def _losing(visit: Visit) -> list[int | None]:
    return [cause for row, cause in zip(visit.rows, visit.causes, strict=True) if row.kind == "lost"]


def _run_begins(funnel: FunnelFile, stage: int) -> int:
    """The first of the stages in a row, up to this one, that have its team."""
    teams = [one.get("team", "") for one in funnel["stage"]]
    return max(at for at in range(stage + 1) if at == 0 or teams[at - 1] != teams[stage])


def _ending(row: TransitionRow, stages: list[str]) -> str:
    if row.to_stage in ("lost", "expired"):
        return row.to_stage
    if row.to_stage == stages[-1]:
        return "won"
    return "sent_back" if row.kind == "back" else "handed_on"


def _outcome_at(result: Fold, rows: list[TransitionRow], leaving: int | None, decided: int | None) -> int | None:
    if decided is not None:
        return int(result.seen[decided]["occurred_at"])
    return None if leaving is None else rows[leaving].entered_at


def _is_touch(funnel: FunnelFile, event: Event) -> bool:
    clauses = funnel.get("handoff", {}).get("touch", COMPLETED_CALLS)
    return any(clause_matches(clause, event) for clause in clauses)


def _by(event: Event, *, explains: bool = False) -> By:
    def text(name: str) -> str:
        return str(event.get(name) or "")

    reason = text("reason")
    if explains:
        reason = reason or text("outcome") or text("type")
    return By(
        event["occurred_at"], text("source"), text("event_id"), text("channel"), text("type"), text("campaign"),
        text("outcome"), reason, text("rep"),
    )  # fmt: skip


def parts_of(row: HandoffRow) -> dict[int, dict[str, Any]]:
    """Give what is told of a hand-off, by number of the part."""
    about = {
        name: getattr(row, name)
        for name in ("from_team", "to_team", "stage", "first_campaign", "account_id", "respond_by")
    }
    parts = {0: row.handed._asdict() | about}
    if row.first_touch is not None:
        parts[1] = row.first_touch._asdict()
    if row.decided is not None:
        parts[2] = row.decided._asdict() | {"decision": row.outcome}
    return parts
