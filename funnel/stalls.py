"""Stalls: open visits in which nothing happens for longer than their stage allows (contract, section 6), and those whose team is late to respond.

When that is depends on events alone; that it has come is told by the wall clock. So an episode is noticed with a tick, and ends with events: by
what they say now, which may be that there never was one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from funnel.calendar import BusinessTime, DaysOff
from funnel.definition import Stage
from funnel.facts import STALL, Stall, Standing

Holidays = Callable[[str], DaysOff]
"""From what a funnel file calls holidays (`DE-BE`) to the days off of each year."""


class Patience(NamedTuple):
    """For how long something may be missing in a stage: until it is stalled, and until each escalation. Microseconds, counted by `after`.

    A *clock* is from when on: of a stall the visit's own, of a response when the stage was entered.
    """

    totals: tuple[int, ...]
    after: Callable[[int, int], int]

    def deadline(self, clock: int, level: int = 0, snoozed_until: int = 0) -> int:
        """When an open visit with this clock (microseconds) is stalled, or escalated for the level-th time; not while it is snoozed."""
        at = self.after(clock, self.totals[level])
        if snoozed_until:
            at = max(at, self.after(snoozed_until, self.totals[level] - self.totals[0]) if level else snoozed_until)
        return at

    def next_deadline(
        self, clock: int, visit: int, stage: str, known: Stall | None, snoozed_until: int = 0
    ) -> int | None:
        """When the wall clock has to tell something of an open visit of which this episode is known; None: never."""
        level = 0
        if known is not None and (visit, stage) == (known.visit, known.stage):
            level = known.level + 1 if known.deadline == self.deadline(clock, 0, snoozed_until) else 0
        return self.deadline(clock, level, snoozed_until) if level < len(self.totals) else None

    def stalled_clock(self, now: int) -> int | None:
        """The latest clock of an open visit that is stalled by `now` (microseconds), unless snoozed; None where none since 1970 is."""
        if self.deadline(0) > now:
            return None
        stalled, too_late = 0, now + 1
        while too_late - stalled > 1:
            between = (stalled + too_late) // 2
            if self.deadline(between) <= now:
                stalled = between
            else:
                too_late = between
        return stalled


class Watched(NamedTuple):
    """What may be missing of a prospect in one funnel."""

    kind: str
    """STALL or RESPONSE."""
    standing: Standing | None
    """Where the prospect stands now."""
    patience: Patience | None
    """With the stage it is in; None where it may stay, or no visit is open."""
    answered_at: int | None = None
    """When (microseconds) its team responded; 0: nobody has to, or when is not of interest any more; None: it is missing."""
    snoozed_at: int = 0
    """When (microseconds) an event snoozed the stage; 0: none did."""


def patience_of(stage: Stage, holidays: Holidays) -> Patience | None:
    """For how long nothing may happen in a stage; None: for as long as the visit is open."""
    if stage.stall_after is None:
        return None
    totals = (stage.stall_after, *(stage.stall_after + more for more in stage.escalate))
    return Patience(totals, _counted_in(stage, holidays))


def response_of(stage: Stage, holidays: Holidays) -> Patience | None:
    """For how long a stage's team may leave a prospect that was handed to it without a touch; None: for as long as it likes."""
    if stage.respond_within is None:
        return None
    return Patience((stage.respond_within,), _counted_in(stage, holidays))


def _counted_in(stage: Stage, holidays: Holidays) -> Callable[[int, int], int]:
    if stage.calendar is None:
        return int.__add__
    days_off = holidays(stage.calendar.holidays) if stage.calendar.holidays else _no_days_off
    return BusinessTime(stage.calendar, days_off).after


def noticed(
    standing: Standing, patience: Patience | None, known: Stall | None, now: int, kind: str = STALL
) -> Stall | None:
    """The episode that goes on.

    Args:
        standing: where the prospect stands now.
        patience: with the stage it is in; None where it may stay, or no visit is open.
        known: the episode of this kind that went on before.
        now: the wall clock (microseconds), where it told something; else 0.
        kind: of the episode.
    """
    if patience is None:
        return None
    clock, snoozed_until = standing.stage_entered_at, 0
    if kind == STALL:
        clock, snoozed_until = standing.last_activity_at, standing.snoozed_until or 0
    deadline = patience.deadline(clock, 0, snoozed_until)
    if known is not None and known[:4] != (standing.funnel, standing.visit, standing.stage, deadline):
        known = None
    level = -1 if known is None else known.level
    reached = level
    while reached + 1 < len(patience.totals) and patience.deadline(clock, reached + 1, snoozed_until) <= now:
        reached += 1
    if reached == level:
        return known
    return Stall(*standing[:2], standing.stage, deadline, reached, now, account_id=standing.account_id, kind=kind)


def ended(known: Stall, standing: Standing | None, answered_at: int | None = None, snoozed_at: int = 0) -> Stall:
    """An episode that no longer goes on, with how it ended; `answered_at` where it is that its team responded, `snoozed_at` as in `Watched`."""
    if standing is None or standing.visit < known.visit:
        how, at = "void", 0
    elif standing.visit > known.visit or (standing.status == "open" and standing.stage != known.stage):
        how, at = "moved", standing.stage_entered_at
    elif (
        standing.status == "open"
        and known.kind == STALL
        and snoozed_at >= max(known.deadline, standing.last_activity_at)
    ):
        how, at = "snoozed", snoozed_at
    elif standing.status == "open" and known.kind == STALL:
        how, at = "active", standing.last_activity_at
    elif standing.status == "open":
        # If nobody responded, it left the stage and came back.
        how, at = ("answered", answered_at) if answered_at else ("moved", standing.stage_entered_at)
    else:
        how, at = standing.status, standing.stage_entered_at
    if at < known.deadline:  # events that came late say that it ended before it began
        how, at = "void", known.deadline
    return known._replace(resolved_at=at, resolution=how)


def changed(watched: Iterable[Watched], known: Iterable[Stall], now: int) -> tuple[list[Stall], list[Stall]]:
    """What has to be told of episodes: those that go on and are new or escalated, and those that ended.

    Args:
        watched: what may be missing of the prospect, in each funnel.
        known: the episodes that went on before.
        now: as in `noticed`.

    Returns:
        All that go on, and all that have to be told.
    """
    before = {(episode.funnel, episode.kind): episode for episode in known}
    going_on: list[Stall] = []
    told: list[Stall] = []
    for kind, standing, patience, answered_at, snoozed_at in watched:
        if standing is None:
            continue
        was = before.pop((standing.funnel, kind), None)
        episode = noticed(standing, patience, was, now, kind) if answered_at is None else None
        if episode is not None:
            going_on.append(episode)
            if episode is not was:
                told.append(episode)
        if was is not None and (episode is None or episode[:4] != was[:4]):
            of_this = patience is not None and patience.deadline(standing.stage_entered_at) == was.deadline
            told.append(ended(was, standing, answered_at if of_this else None, snoozed_at))
    return going_on, told + [ended(episode, None) for episode in before.values()]


def _no_days_off(_: int) -> tuple[()]:
    return ()
