"""agents.lag: how many records wait, and for how long the oldest of them has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faust.types import TP

from agents.alignment import Alignment
from agents.batching import Positions, Run
from agents.lag import Behind, Lag, Standing
from tests.unit.agents.test_backlog import Clock

HERE, THERE = TP("touches", 0), TP("touches", 1)


@dataclass
class Fetched:
    """A record, as far as positions look at it."""

    offset: int
    timestamp: int = 0


def run(*offsets: int) -> Run:
    """A run of these offsets of HERE."""
    records: Any = [Fetched(offset) for offset in offsets]
    return Run(HERE, records)


def test_sums_by_topic_and_the_oldest_counts() -> None:
    """Records of all partitions together; the age is that of the oldest by its timestamp. A topic without partitions here has no lag."""
    clock = Clock()
    lag = Lag(clock, clock)
    standings = {
        HERE: Standing(settled=10, end=15, oldest=int((clock.now - 7) * 1_000), here=True),
        THERE: Standing(settled=3, end=4, oldest=int((clock.now - 2) * 1_000), here=True),
    }
    assert lag.measure(["touches", "web-events"], standings) == {
        "touches": Behind(6, 7.0),
        "web-events": Behind(0, 0.0),
    }


def test_nothing_waits_where_all_is_settled() -> None:
    """Also where the broker says less than what has been read, as the embedded one does, or nothing yet."""
    lag = Lag()
    for standing in (
        Standing(15, 15, None, here=False),
        Standing(15, 12, None, here=False),
        Standing(None, None, None, here=False),
    ):
        assert lag.measure(["touches"], {HERE: standing}) == {"touches": Behind(0, 0.0)}


def test_what_is_only_known_to_be_there_counts_from_when_it_was_noticed() -> None:
    """Until it is fetched; when others were settled meanwhile, it is another one, and begins anew."""
    clock = Clock()
    lag = Lag(clock, clock)
    waits = Standing(10, 12, None, here=False)
    assert lag.measure(["touches"], {HERE: waits})["touches"] == Behind(2, 0.0)
    clock.now += 30
    assert lag.measure(["touches"], {HERE: waits})["touches"] == Behind(2, 30.0)
    assert lag.measure(["touches"], {HERE: Standing(11, 12, None, here=False)})["touches"] == Behind(1, 0.0)
    assert lag.measure(["touches"], {HERE: Standing(12, 12, None, here=False)})["touches"] == Behind(0, 0.0)


def test_a_clock_that_is_behind_the_brokers_gives_no_negative_age() -> None:
    """A record of the future has waited for no time."""
    clock = Clock()
    standing = Standing(1, 2, int((clock.now + 60) * 1_000), here=True)
    assert Lag(clock, clock).measure(["touches"], {HERE: standing})["touches"] == Behind(1, 0.0)


def test_the_oldest_is_the_first_of_the_runs_that_are_not_settled() -> None:
    """Runs are settled in any order; what counts is the end of those that are all settled."""
    positions = Positions()
    first, second = run(5, 6), run(7)
    assert positions.oldest(HERE) is None
    positions.fetched(first)
    positions.fetched(second)
    positions.settled(second)
    oldest = positions.oldest(HERE)
    assert oldest is not None
    assert oldest.offset == 5
    positions.settled(first)
    assert positions.oldest(HERE) is None


async def test_what_was_fetched_ahead_is_known_by_its_first_record() -> None:
    """Of a partition that waits for others to come to its time."""
    alignment = Alignment()
    fetched = {HERE: [Fetched(1, timestamp=9)], THERE: [Fetched(4, timestamp=3), Fetched(5, timestamp=4)]}

    async def drain(tp: TP, most: int) -> list[Any]:
        return fetched.pop(tp, [])

    assert list(await alignment.next([HERE, THERE], 2, drain, lambda _: False)) == [THERE]
    assert alignment.first(HERE).offset == 1
    assert alignment.first(THERE) is None
