"""agents.deadlines: how long ago the earliest deadline passed that nobody was told of."""

from __future__ import annotations

from agents.deadlines import RETRY_AFTER, Deadlines

ONE, TWO = b"1" * 16, b"2" * 16


def test_overdue_until_told() -> None:
    """From the deadline on; who is named as due is overdue again only if nothing came of it for long."""
    deadlines = Deadlines()
    assert deadlines.overdue(1_000) == 0
    deadlines.set(ONE, 1_000)
    deadlines.set(TWO, 1_500)
    assert deadlines.overdue(999) == 0
    assert deadlines.overdue(1_600) == 600
    assert deadlines.pop_due(1_600, 10) == [ONE, TWO]
    assert deadlines.overdue(1_700) == 0
    assert deadlines.overdue(1_600 + RETRY_AFTER) == 600 + RETRY_AFTER


def test_deadlines_that_moved_or_went_are_not_overdue() -> None:
    """Though their old entries are still there, as nobody is told while the worker is behind; who is due later is still named then."""
    deadlines = Deadlines()
    deadlines.set(ONE, 1_000)
    deadlines.set(TWO, 1_000)
    deadlines.set(ONE, 5_000)
    deadlines.set(TWO, None)
    assert deadlines.overdue(2_000) == 0
    assert deadlines.overdue(6_000) == 1_000
    assert deadlines.pop_due(6_000, 10) == [ONE]
