"""Who is due, in time, however deadlines move; and that a million of them cost little."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.deadlines import RETRY_AFTER, SHELF, Deadlines

_PROSPECTS = [bytes([number]) * 16 for number in range(6)]
_STEPS = st.lists(
    st.tuples(st.sampled_from(_PROSPECTS), st.none() | st.integers(0, 8 * SHELF), st.integers(0, SHELF)), max_size=40
)


@given(_STEPS)
def test_whoever_is_due_is_named_then_and_nobody_else(steps: list[tuple[bytes, int | None, int]]) -> None:
    """Against a dict that is looked through each time."""
    deadlines = Deadlines()
    model: dict[bytes, int] = {}
    now = 0
    for prospect, due, passing in steps:
        deadlines.set(prospect, due)
        model.pop(prospect, None)
        if due is not None:
            model[prospect] = due
        now += passing
        expected = {one for one, at in model.items() if at <= now}
        assert set(deadlines.pop_due(now, 100)) == expected
        model |= dict.fromkeys(expected, now + RETRY_AFTER)
        assert len(deadlines) == len(model)
    now += 10 * SHELF
    assert set(deadlines.pop_due(now, 100)) == set(model)


def test_the_earliest_come_first_and_no_more_than_asked_for() -> None:
    """What is left is named the next time."""
    deadlines = Deadlines()
    deadlines.load((prospect, at) for at, prospect in enumerate(_PROSPECTS))
    assert deadlines.pop_due(3, 2) == _PROSPECTS[:2]
    assert deadlines.pop_due(3, 100) == _PROSPECTS[2:4]
    assert deadlines.pop_due(3, 100) == []


def test_a_tick_that_was_lost_is_sent_again() -> None:
    """After half a minute; not while its prospect may still be about to handle it."""
    deadlines = Deadlines()
    deadlines.set(_PROSPECTS[0], 5)
    assert deadlines.pop_due(10, 9) == [_PROSPECTS[0]]
    assert deadlines.pop_due(10 + RETRY_AFTER - 1, 9) == []
    assert deadlines.pop_due(10 + RETRY_AFTER, 9) == [_PROSPECTS[0]]


@pytest.mark.slow
def test_a_deadline_costs_less_than_200_bytes() -> None:
    """Issue 4: with 200,000 open prospects, over 90 days, after each has moved there and back."""
    prospects = [number.to_bytes(16, "big") for number in range(200_000)]
    spread = 90 * 86_400 * 1_000_000 // len(prospects)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        deadlines = Deadlines()
        for shift in (10**13, 2 * 10**13, 5 * 10**12):
            for number, prospect in enumerate(prospects):
                deadlines.set(prospect, shift + number * spread)
        cost = (tracemalloc.get_traced_memory()[0] - before) / len(prospects)
    finally:
        tracemalloc.stop()
    assert cost < 200, f"{cost:.0f} bytes each"
