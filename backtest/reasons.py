"""Why two funnels treat a prospect otherwise: the first event that they part at, and the clauses that decide there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from backtest.clauses import BACK, ENTER, LOST, MOVING, Compiled, Placed, enough_for
from backtest.comparison import compared
from funnel.durations import shown
from funnel.events import Touch
from funnel.facts import Transition
from funnel.journey import START, Progress, count_matches, expiry, fold
from funnel.rules import FunnelRules

_LIST_OF = {"lost": LOST, "back": BACK}


class Side(NamedTuple):
    """What one funnel makes of the event."""

    row: Transition | None
    """The move; None: there is none."""
    clauses: tuple[Placed, ...]
    """Of a move: those of the list that decided which the event satisfied."""
    why: str
    """Why there is no move, or what it is where no clause is behind it."""
    end: str
    """Where the prospect stands in the end: such as `open in interest`, `won`; '' where it never had a visit."""


class Parting(NamedTuple):
    """Where two funnels part over a prospect."""

    at: int
    """Microseconds."""
    event: Touch | None
    """None: no event, but that nothing happened for long."""
    before: Side
    now: Side


class Rules(NamedTuple):
    """A funnel, and its clauses."""

    rules: FunnelRules
    clauses: Sequence[Compiled]


def parting(history: Sequence[Touch], before: Rules, now: Rules, as_of: int, since: int | None = None) -> Parting:
    """Where the rows of a prospect that differ begin to.

    Args:
        history: its events, in the order.
        before: the funnel as it is ...
        now: ... and as it would be.
        as_of: see `backtest.comparison.compare`.
        since: the same.
    """
    old, new = (_traced(one.rules, history, as_of, since) for one in (before, now))
    at = 0
    while at < min(len(old), len(new)) and compared(old[at].row) == compared(new[at].row):
        at += 1
    nexts = [rows[at] if at < len(rows) else None for rows in (old, new)]
    time, index = min(one.place for one in nexts if one is not None)
    sides = []
    for rules, one, end in zip((before, now), nexts, (_end(old), _end(new)), strict=True):
        row = one.row if one is not None and one.place == (time, index) else None
        if index >= 0:
            sides.append(_side(rules, row, history[:index], history[index], end))
        else:
            seen = [touch for touch in history if touch.occurred_at <= time]
            sides.append(_without_event(rules.rules, row, seen, end))
    return Parting(time, history[index] if index >= 0 else None, *sides)


class _Traced(NamedTuple):
    """A row, and where it comes from."""

    row: Transition
    place: tuple[int, int]
    """When it was entered, and by which event of the history; -1: by none."""


def _traced(rules: FunnelRules, history: Sequence[Touch], as_of: int, since: int | None) -> list[_Traced]:
    """The rows of `backtest.comparison.rows_of`."""
    found = []
    progress = START
    for index, touch in enumerate(history):
        progress, rows = fold(rules, progress, (touch,))
        found += [
            _Traced(row, (row.entered_at, -1 if row.kind == "expired" else index))
            for row in rows
            if type(row) is Transition
        ]
    if (end := expiry(rules, progress, as_of)) is not None:
        found.append(_Traced(end, (end.entered_at, -1)))
    return [one for one in found if since is None or one.row.visit_opened_at >= since]


def _end(rows: Sequence[_Traced]) -> str:
    if not rows:
        return ""
    last = rows[-1].row
    if last.kind in ("lost", "expired"):
        return last.kind
    return "won" if last.kind == "repeat" else f"in {last.to_stage}"


def _without_event(rules: FunnelRules, row: Transition | None, seen: Sequence[Touch], end: str) -> Side:
    if row is not None:
        return Side(row, (), f"no activity for {shown(rules.funnel.window)}", end)
    progress = fold(rules, START, seen)[0]
    return Side(None, (), _where(rules, progress) or "no visit is open", end)


def _side(one: Rules, row: Transition | None, earlier: Sequence[Touch], touch: Touch, end: str) -> Side:
    rules = one.rules
    progress = fold(rules, START, earlier)[0]
    matches, enough = touch.matches & rules.bits, enough_for(rules, progress, touch)
    if row is None:
        return Side(None, (), _nothing(one, progress, touch, matches, enough), end)
    purpose = _LIST_OF.get(row.kind, ENTER)
    names = rules.stage_names
    to = names.index(row.to_stage) if row.to_stage in names else -1
    satisfied = tuple(
        clause.placed
        for clause in one.clauses
        if clause.placed.purpose == purpose and clause.placed.to == to and clause.satisfied(matches, enough)
    )
    return Side(row, satisfied, "", end)


def _nothing(one: Rules, progress: Progress, touch: Touch, matches: int, enough: int) -> str:
    """Why an event moves nobody."""
    rules = one.rules
    moving = [clause for clause in one.clauses if clause.placed.purpose in MOVING and matches & clause.bit]
    if not moving:
        return "no clause that moves anybody matches"
    satisfied = [clause.placed for clause in moving if clause.satisfied(matches, enough)]
    lacking = [clause for clause in moving if not clause.satisfied(matches, enough)]
    if further := [one for one in lacking if one.placed.purpose != ENTER or one.placed.to > progress.stage]:
        return "; ".join(_too_few(rules, progress, touch, one) for one in further)
    if not satisfied:
        return "; ".join(_too_few(rules, progress, touch, one) for one in lacking)
    where = _where(rules, progress, touch.occurred_at)
    entering = [rules.stage_names[one.to] for one in satisfied if one.purpose == ENTER]
    if entering:
        return f"{entering[-1]} is entered by it, but {where or 'the last visit rests'}"
    return f"{satisfied[0].where} is satisfied, but {where or 'no visit is open'}"


def _too_few(rules: FunnelRules, progress: Progress, touch: Touch, clause: Compiled) -> str:
    number = clause.counted.bit_length() - 1
    counts = progress.counts or rules.nothing_counted
    times = count_matches(rules.counted, counts, touch.matches & rules.bits, touch.occurred_at)[0][number]
    close = sum(at >= touch.occurred_at - clause.placed.clause.within for at in times)
    wanted = clause.placed.clause
    return f"{clause.placed.where} wants {wanted.at_least} within {shown(wanted.within)}, this is number {close}"


def _where(rules: FunnelRules, progress: Progress, at: int | None = None) -> str:
    """Where the open visit is; '' where none is open."""
    if progress.stage < 0 or (at is not None and at > progress.active_at + rules.funnel.window):
        return ""
    return f"the visit is in {rules.stage_names[progress.stage]}"
