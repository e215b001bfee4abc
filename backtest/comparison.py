"""Two funnels over the same histories: what each makes of them, and whom they treat otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from backtest.figures import Figures, Tally
from backtest.stitching import Stitched
from funnel.events import Touch
from funnel.facts import Transition
from funnel.journey import START, expiry, fold
from funnel.rules import FunnelRules

_NOT_COMPARED = 2
"""Name and version of the funnel come first in a row; they differ without anybody being treated otherwise."""


class Comparison(NamedTuple):
    """How two funnels differ."""

    before: list[Figures]
    now: list[Figures]
    differing: list[bytes]
    """Prospects that have other rows, by id."""
    prospects: int
    """Those that have rows in either."""


def compare(
    stitched: Stitched, before: FunnelRules, now: FunnelRules, as_of: int, since: int | None = None
) -> Comparison:
    """Fold all histories by both funnels.

    Args:
        stitched: the histories.
        before: the funnel as it is ...
        now: ... and as it would be.
        as_of: the wall clock, microseconds: it expires open visits.
        since: only visits that opened at this time (microseconds) or later count; what was before still decides what they are.
    """
    was, would_be = Tally(before.funnel), Tally(now.funnel)
    differing: list[bytes] = []
    prospects = 0
    for prospect, history in stitched.histories.items():
        old = rows_of(before, history, as_of, since)
        new = rows_of(now, history, as_of, since)
        if old or new:
            prospects += 1
            was.add(old)
            would_be.add(new)
            if not same(old, new):
                differing.append(prospect)
    return Comparison(was.figures(), would_be.figures(), sorted(differing), prospects)


def rows_of(rules: FunnelRules, history: Sequence[Touch], as_of: int, since: int | None = None) -> list[Transition]:
    """All transitions that a history gives as of a wall clock; see `compare`."""
    progress, told = fold(rules, START, history)
    rows = [row for row in told if type(row) is Transition]
    if (end := expiry(rules, progress, as_of)) is not None:
        rows.append(end)
    return rows if since is None else [row for row in rows if row.visit_opened_at >= since]


def same(old: Sequence[Transition], new: Sequence[Transition]) -> bool:
    """Whether two funnels treat a prospect alike."""
    return len(old) == len(new) and all(compared(a) == compared(b) for a, b in zip(old, new, strict=True))


def compared(row: Transition) -> tuple[object, ...]:
    """What of a row says how somebody is treated."""
    return row[_NOT_COMPARED:]
