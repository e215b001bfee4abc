"""Hand-offs: one team brought a visit this far, from here on it is another's (ADR 016).

Three things are told of each, as they happen: that it was handed over, when the team first touched the prospect, and what came of it. The fold has to
know of one hand-off at most: the last one of the open visit, until it is decided.
"""

from __future__ import annotations

from collections.abc import Sequence

from funnel.events import Touch
from funnel.facts import Handoff, Transition

HANDED, TOUCHED, DECIDED = range(3)
"""What is told of a hand-off: `Handoff.part`."""


def is_handed(teams: Sequence[str], stage: int, to: int) -> bool:
    """Whether a visit that goes from one stage on to another one is handed to another team.

    The last stage is nobody's to work on: entering it ends the visit. Nor is one without a team.
    """
    return stage < to < len(teams) - 1 and teams[to] not in ("", teams[stage])


def may_be_handed(teams: Sequence[str], to: int) -> bool:
    """Whether a stage may ever be handed to its team by another one."""
    return any(is_handed(teams, stage, to) for stage in range(to))


def begins(teams: Sequence[str], stage: int) -> int:
    """The first of the stages in a row, up to this one, that are of its team."""
    while stage and teams[stage - 1] == teams[stage]:
        stage -= 1
    return stage


def handed(row: Transition, teams: tuple[str, str], touch: Touch, respond_by: int | None) -> Handoff:
    """That it was handed over, by this move.

    Args:
        row: the move.
        teams: from which to which.
        touch: what caused it.
        respond_by: when (microseconds) it is too late to respond; None: never.
    """
    told = _told(row.funnel, row.visit, row.step, HANDED, touch)
    return told._replace(
        from_team=teams[0],
        to_team=teams[1],
        stage=row.to_stage,
        first_campaign=row.first_campaign,
        account_id=row.account_id,
        respond_by=respond_by,
    )


def touched(funnel: str, visit: int, step: int, touch: Touch) -> Handoff:
    """That the team touched it first with this event."""
    return _told(funnel, visit, step, TOUCHED, touch)


def decided(funnel: str, visit: int, step: int, touch: Touch, decision: str) -> Handoff:
    """What came of it with this event; the reason as in rows that say `lost`, where somebody has to give one."""
    told = _told(funnel, visit, step, DECIDED, touch)
    if decision in ("lost", "sent_back"):
        return told._replace(decision=decision, reason=touch.reason or touch.outcome or touch.type)
    return told._replace(decision=decision)


def decision_of(teams: Sequence[str], kind: str, stage: int, to: int) -> str:
    """What a move (`kind`, as in `Transition`) means for the team that has the visit in `stage`; '': that it still has it."""
    if kind == "lost":
        return "lost"
    if to == len(teams) - 1:
        return "won"
    if teams[to] == teams[stage]:
        return ""
    return "sent_back" if kind == "back" else "handed_on"


def _told(funnel: str, visit: int, step: int, part: int, touch: Touch) -> Handoff:
    return Handoff(
        funnel, visit, step, part, touch.occurred_at, touch.source, touch.event_id, touch.channel, touch.type,
        touch.campaign, touch.outcome, touch.reason, touch.rep,
    )  # fmt: skip
