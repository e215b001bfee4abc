"""Partitions are gone through at one pace, and nobody is waited for forever."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from agents.alignment import PATIENCE, STEP, Alignment

BUSY, QUIET = TP("web", 0), TP("calls", 0)


class Fetched:
    """What a fetcher holds, and what the brokers have beyond it."""

    def __init__(self, **timestamps: list[int]) -> None:
        self.records: dict[TP, list[Any]] = {
            TP(topic, 0): [SimpleNamespace(timestamp=at) for at in sorted(ats)] for topic, ats in timestamps.items()
        }
        self.beyond: set[TP] = set()

    async def drain(self, tp: TP, most: int) -> list[Any]:
        """As aiokafka does it."""
        given, self.records[tp] = self.records[tp][:most], self.records[tp][most:]
        return given

    def has_more(self, tp: TP) -> bool:
        """Whether not everything was drained."""
        return bool(self.records[tp]) or tp in self.beyond


def times(found: dict[TP, list[Any]], tp: TP) -> list[int]:
    """The timestamps of what came of a partition."""
    return [record.timestamp for record in found.get(tp, [])]


async def test_a_quiet_partition_is_not_read_ahead_of_a_busy_one() -> None:
    """The calls of an hour don't come before the visits of its first minutes."""
    fetched = Fetched(web=list(range(0, 40 * STEP, 2)), calls=list(range(1, 40 * STEP, 10)))
    alignment = Alignment()
    found = await alignment.next([BUSY, QUIET], 6 * STEP, fetched.drain, fetched.has_more)
    latest = max(times(found, BUSY))
    assert sum(at > latest for at in times(found, QUIET)) <= STEP
    assert sum(map(len, found.values())) == 6 * STEP


async def test_what_is_missing_is_waited_for_but_not_for_long() -> None:
    """A partition that has more which was not fetched yet holds the others up; if it never comes they go on."""
    now = [0.0]
    fetched = Fetched(web=[], calls=[5, 6])
    fetched.beyond.add(BUSY)
    alignment = Alignment(lambda: now[0])

    async def following() -> dict[TP, list[Any]]:
        return await alignment.next([BUSY, QUIET], 10, fetched.drain, fetched.has_more)

    assert await following() == {}
    assert alignment.ahead == {QUIET}
    now[0] = PATIENCE
    assert times(await following(), QUIET) == [5, 6]
    assert not alignment.ahead


async def test_a_partition_that_has_nothing_holds_nobody_up() -> None:
    """Nor does one that is not asked for."""
    fetched = Fetched(web=[], calls=[5, 6])
    assert times(await Alignment().next([BUSY, QUIET], 10, fetched.drain, fetched.has_more), QUIET) == [5, 6]
    fetched = Fetched(web=[1], calls=[5, 6])
    assert list(await Alignment().next([QUIET], 10, fetched.drain, fetched.has_more)) == [QUIET]


async def test_after_a_rewind_nothing_of_before_comes() -> None:
    """What was ahead will be fetched again."""
    fetched = Fetched(web=[], calls=[5, 6])
    fetched.beyond.add(BUSY)
    alignment = Alignment()
    await alignment.next([BUSY, QUIET], 10, fetched.drain, fetched.has_more)
    alignment.clear()
    fetched.beyond.clear()
    assert await alignment.next([BUSY, QUIET], 10, fetched.drain, fetched.has_more) == {}


@pytest.mark.parametrize("most", [1, 3 * STEP])
@given(web=st.lists(st.integers(0, 99), max_size=900), calls=st.lists(st.integers(0, 99), max_size=400))
async def test_every_record_comes_once_and_in_order(most: int, web: list[int], calls: list[int]) -> None:
    """Whatever the timestamps, until there are none."""
    fetched = Fetched(web=web, calls=calls)
    alignment = Alignment()
    came: dict[TP, list[int]] = {BUSY: [], QUIET: []}
    while found := await alignment.next([BUSY, QUIET], most, fetched.drain, fetched.has_more):
        for tp in found:
            came[tp] += times(found, tp)
    assert came == {BUSY: sorted(web), QUIET: sorted(calls)}
