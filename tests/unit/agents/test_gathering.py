"""Runs that wait are joined, and a fed agent waits for full ones as long as that can help."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from agents.batching import Positions, Run
from agents.gathering import FIRST_RUN, FULL_RUNS_KEPT, PATIENCE_BEHIND, RUN_SECONDS, Gathering

ONE, OTHER = TP("touches", 0), TP("touches", 1)
PATIENCE = 2.0
WRITTEN = 1_700_000_000
"""When all records were (seconds since the epoch)."""


def run_of(size: int, tp: TP = ONE, first: int = 0, epoch: int = 0) -> Run:
    """A run as it was fetched."""
    records: list[Any] = [
        SimpleNamespace(offset=offset, timestamp=WRITTEN * 1_000) for offset in range(first, first + size)
    ]
    return Run(tp, records, epoch)


def test_runs_of_a_partition_are_joined_up_to_the_most() -> None:
    """What waits comes as one run while it fits; the rest comes later, and the other partition in its turn."""

    async def scene() -> list[tuple[TP, int, int]]:
        gathering = Gathering(10)
        for run in (run_of(4), run_of(3, OTHER), run_of(4, first=4), run_of(4, first=8)):
            await gathering.gather(run)
        taken = [await taken_at_once(gathering) for _ in range(3)]
        return [(run.tp, run.records[0].offset, run.end) for run in taken]

    assert asyncio.run(scene()) == [(ONE, 0, 8), (OTHER, 0, 3), (ONE, 8, 12)]


def test_runs_of_two_assignments_are_not_joined() -> None:
    """What was fetched before a rebalance may not be handled any more; what came after it has to be."""

    async def scene() -> list[int]:
        gathering = Gathering(10)
        await gathering.gather(run_of(2, epoch=1))
        await gathering.gather(run_of(2, epoch=2))
        return [(await taken_at_once(gathering)).epoch for _ in range(2)]

    assert asyncio.run(scene()) == [1, 2]


def test_a_joined_run_settles_all_it_was_joined_from() -> None:
    """The position moves to the end of the last part."""
    positions = Positions()
    parts = [run_of(2), run_of(3, first=2)]
    for part in parts:
        positions.fetched(part)
    joined = Run.joined(parts)
    assert repr(joined) == "<Run touches-0 0..4>"
    assert positions.settled(joined)
    assert positions.committable() == {ONE: 5}
    assert positions.pending() == 0
    assert Run.joined(parts[:1]) is parts[0]


def test_a_fed_agent_lets_its_feeder_go_first() -> None:
    """A short run waits while the feeder has work, and goes as soon as it has none."""

    async def scene() -> None:
        feeder = Gathering(10)
        fed = Gathering(10, PATIENCE, [feeder])
        await fed.gather(run_of(3))
        await feeder.gather(run_of(1, TP("events", 0)))
        taking = asyncio.ensure_future(fed.take())
        assert not await done_soon(taking)
        await fed.gather(run_of(3, first=3))
        assert not await done_soon(taking)
        await taken_at_once(feeder)
        assert await done_soon(taking)
        assert taken(taking).end == 6

    asyncio.run(scene())


def test_it_waits_for_what_the_brokers_still_have_for_it() -> None:
    """As long as they have more for the agent itself or for its feeder; agents that nobody feeds never wait."""

    async def scene(fed_more: bool, feeder_more: bool, patience: float) -> bool:
        feeder = Gathering(10, more=lambda: feeder_more)
        fed = Gathering(10, patience, [feeder], more=lambda: fed_more)
        await fed.gather(run_of(3))
        return await done_soon(asyncio.ensure_future(fed.take()))

    assert asyncio.run(scene(False, False, PATIENCE))
    assert not asyncio.run(scene(True, False, PATIENCE))
    assert not asyncio.run(scene(False, True, PATIENCE))
    assert asyncio.run(scene(True, True, 0.0))


def test_full_runs_go_at_once() -> None:
    """Whoever else is older, and whatever the feeder has."""

    async def scene() -> TP:
        fed = Gathering(10, PATIENCE, more=lambda: True)
        await fed.gather(run_of(3))
        await fed.gather(run_of(9, OTHER))
        await fed.gather(run_of(3, OTHER, first=9))
        return (await taken_at_once(fed)).tp

    assert asyncio.run(scene()) == OTHER


def test_nobody_waits_for_longer_than_patience() -> None:
    """Not even behind full runs of another partition."""

    async def scene() -> list[tuple[TP, int]]:
        now = [0.0]
        fed = Gathering(10, PATIENCE, more=lambda: True, timer=lambda: now[0])
        await fed.gather(run_of(3))
        now[0] = PATIENCE / 2
        await fed.gather(run_of(10, OTHER))
        now[0] = PATIENCE
        first = await taken_at_once(fed)
        second = await taken_at_once(fed)
        return [(first.tp, len(first.records)), (second.tp, len(second.records))]

    assert asyncio.run(scene()) == [(ONE, 3), (OTHER, 10)]


def test_behind_a_feeder_that_is_behind_they_wait_longer() -> None:
    """Half of what the feeder is behind, as long as it has work, and `PATIENCE_BEHIND` at most; never less than otherwise."""

    async def scene(behind: float, waited: float, feeder_more: bool = True) -> bool:
        now = [0.0]
        feeder = Gathering(10, more=lambda: feeder_more, clock=lambda: WRITTEN + behind)
        fed = Gathering(10, PATIENCE, [feeder], more=lambda: True, timer=lambda: now[0])
        await feeder.gather(run_of(1, TP("events", 0)))
        await taken_at_once(feeder)
        await fed.gather(run_of(3))
        now[0] = waited
        return await done_soon(asyncio.ensure_future(fed.take()))

    assert asyncio.run(scene(0, PATIENCE))
    assert asyncio.run(scene(-3_600, PATIENCE))
    assert not asyncio.run(scene(PATIENCE * 3, PATIENCE))
    assert asyncio.run(scene(PATIENCE * 3, PATIENCE, feeder_more=False))
    assert asyncio.run(scene(PATIENCE * 3, PATIENCE * 1.5))
    assert not asyncio.run(scene(3_600, PATIENCE_BEHIND * 0.9))
    assert asyncio.run(scene(3_600, PATIENCE_BEHIND))


def test_runs_are_as_long_as_can_be_handled_in_time() -> None:
    """They begin short, double while the agent is quick enough, and shrink at once where it is not; short ones say nothing."""

    async def scene(*handled: tuple[int, float]) -> int:
        gathering = Gathering(FIRST_RUN * 4)
        for records, seconds in handled:
            gathering.handled(records, seconds)
        for first in range(0, FIRST_RUN * 5, 100):
            await gathering.gather(run_of(100, first=first))
        return len((await taken_at_once(gathering)).records)

    quick, slow = (FIRST_RUN, RUN_SECONDS / 10), (FIRST_RUN, RUN_SECONDS * 4)
    assert asyncio.run(scene()) == FIRST_RUN
    assert asyncio.run(scene(quick)) == FIRST_RUN * 2
    assert asyncio.run(scene(quick, quick, quick)) == FIRST_RUN * 4
    assert asyncio.run(scene(quick, slow)) == FIRST_RUN / 4
    assert asyncio.run(scene(quick, (100, RUN_SECONDS))) == FIRST_RUN * 2


def test_patience_ends_by_itself() -> None:
    """Without anything else happening."""

    async def scene() -> int:
        fed = Gathering(10, 0.05, more=lambda: True)
        await fed.gather(run_of(3))
        async with asyncio.timeout(10):
            run = await fed.take()
        assert run is not None
        return len(run.records)

    assert asyncio.run(scene()) == 3


def test_only_so_much_is_kept_and_then_the_largest_goes() -> None:
    """With many partitions none may ever be full: when there is no room for more, the largest goes."""

    async def scene() -> tuple[TP, bool]:
        fed = Gathering(10, PATIENCE, more=lambda: True)
        parts = FULL_RUNS_KEPT * 2 - 1
        for partition in range(parts):
            await fed.gather(run_of(5, TP("touches", partition)))
        await fed.gather(run_of(4, TP("touches", 3), first=5))
        taking = asyncio.ensure_future(fed.take())
        assert not await done_soon(taking)
        gathering = asyncio.ensure_future(fed.gather(run_of(6, TP("touches", parts))))
        await done_soon(taking)
        return taken(taking).tp, await done_soon(gathering)

    tp, went_on = asyncio.run(scene())
    assert tp == TP("touches", 3)
    assert went_on


def test_the_rest_comes_before_the_end() -> None:
    """None only when all was taken; a gathering that opens again goes on."""

    async def scene() -> list[int | None]:
        gathering = Gathering(10)
        await gathering.gather(run_of(3))
        gathering.close()
        found = [await gathering.take(), await gathering.take()]
        gathering.open()
        taking = asyncio.ensure_future(gathering.take())
        assert not await done_soon(taking)
        await gathering.gather(run_of(2))
        await done_soon(taking)
        return [None if run is None else run.end for run in (*found, taken(taking))]

    assert asyncio.run(scene()) == [3, None, 2]


@given(
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), max_size=30),
    takes=st.lists(st.booleans(), max_size=60),
)
def test_every_record_is_handled_once_and_in_order(sizes: list[tuple[int, int]], takes: list[bool]) -> None:
    """However gathering and taking alternate."""

    async def scene() -> dict[int, list[int]]:
        gathering = Gathering(6)
        ends = dict.fromkeys(range(3), 0)
        found: dict[int, list[int]] = {partition: [] for partition in ends}

        async def take() -> None:
            run = await taken_at_once(gathering)
            assert len(run.records) <= 6
            found[run.tp.partition] += [record.offset for record in run.records]

        turns = iter(takes)
        for partition, size in sizes:
            while gathering.records and (gathering.records + size >= 6 * FULL_RUNS_KEPT or next(turns, False)):
                await take()
            await gathering.gather(run_of(size, TP("touches", partition), first=ends[partition]))
            ends[partition] += size
        while gathering.records:
            await take()
        assert found == {partition: list(range(end)) for partition, end in ends.items()}
        return found

    asyncio.run(scene())


async def taken_at_once(gathering: Gathering) -> Run:
    """The next run, which must be ready."""
    taking: Coroutine[Any, Any, Run | None] = gathering.take()
    task = asyncio.ensure_future(taking)
    assert await done_soon(task)
    return taken(task)


def taken(task: asyncio.Future[Run | None]) -> Run:
    """What a task took."""
    run = task.result()
    assert run is not None
    return run


async def done_soon(task: asyncio.Future[Any]) -> bool:
    """Whether a task is done without anything else happening."""
    for _ in range(10):
        await asyncio.sleep(0)
    return task.done()
