"""Rebalances and recoveries, with the fixes of `agents.guard` and without them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from faust.types import TP

from agents.alignment import Alignment
from agents.transport import RunConsumerThread
from tests.broker import Tansu, wait_until
from tests.toy_worker import CHANGELOG, NUMBER
from tests.toys import Event, Toys, assert_exact, events, expected

MakeToys = Callable[..., Toys]


@pytest.fixture
def make(tansu: Tansu, tmp_path: Path) -> Iterator[MakeToys]:
    """Toys on the shared embedded broker."""
    made: list[Toys] = []

    def make_toys(**options: Any) -> Toys:
        made.append(Toys(tansu, tmp_path, **options))
        return made[-1]

    yield make_toys
    for toys in made:
        toys.__exit__(None, None, None)


def key(number: int) -> bytes:
    """A key of its own; its last byte says which partition it goes to."""
    return struct.pack(">QQ", 0, number)


async def fill_changelog(toys: Toys, kept: dict[bytes, int]) -> None:
    """Write the state of keys with that many events each, all records of a partition in a single batch."""
    async with AIOKafkaProducer(bootstrap_servers=toys.broker.bootstrap, max_batch_size=5_000_000) as producer:
        for partition in range(toys.partitions):
            batch = producer.create_batch()
            for owner, number in kept.items():
                if owner[-1] % toys.partitions == partition:
                    for event in range(number):
                        batch.append(timestamp=None, key=owner + struct.pack(">Q", event), value=b"")
                    batch.append(timestamp=None, key=owner, value=NUMBER.pack(number))
            await (await producer.send_batch(batch, toys.topic(CHANGELOG), partition=partition))


@pytest.mark.parametrize("without", [(), pytest.param(("takeover",), marks=pytest.mark.slow)])
def test_state_is_read_back_to_the_end_that_the_embedded_broker_hides(make: MakeToys, without: tuple[str, ...]) -> None:
    """Its end offset is the last batch's first record + 1. Faust stops there; ours reads the batch, all 3,000 records of it."""
    toys = make(partitions=2)
    kept = {key(number): 299 for number in range(20)}
    asyncio.run(fill_changelog(toys, kept))
    # Each key gets one event more, and one that it has.
    toys.send([Event(owner, struct.pack(">Q", event)) for owner in kept for event in (298, 299)])
    toys.start(without=without)
    told = wait_until(
        lambda: done if len(done := toys.outcome().told) == len(kept) else None, seconds=40, what="all keys are told"
    )
    assert told
    correct = toys.outcome().told == dict.fromkeys(kept, 300)
    assert correct == (not without)


@pytest.mark.parametrize("without", [(), pytest.param(("takeover",), marks=pytest.mark.slow)])
def test_a_changelog_record_that_is_none_of_ours_ends_the_worker(make: MakeToys, without: tuple[str, ...]) -> None:
    """Faust works on without it, or without all that came with it; ours says what it found, and ends."""
    toys = make(partitions=1)
    asyncio.run(
        toys.send_values([(key(1) + b"event-01", b""), (b"short", b"?"), (key(1), NUMBER.pack(1))], topic=CHANGELOG)
    )
    worker = toys.start(without=without)
    if without:
        toys.wait_ready(worker)
    else:
        assert worker.wait(40) == 1
        assert "b'short'" in toys.log(worker)


def test_records_read_before_the_first_commit_are_read_again(make: MakeToys) -> None:
    """Without a committed offset a rewind goes back to the beginning; aiokafka's own, which Faust uses, stays where it is."""
    toys = make(partitions=2)
    toys.send(events(1_000))

    async def look() -> None:
        consumer = AIOKafkaConsumer(
            toys.topic("touches"),
            bootstrap_servers=toys.broker.bootstrap,
            group_id=toys.app_id,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        async with consumer:
            read = 0
            while read < 1_000:
                read += sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))
            tps = sorted(consumer.assignment())
            await consumer.seek_to_committed()
            assert sum([await consumer.position(tp) for tp in tps]) == 1_000
            thread = RunConsumerThread.__new__(RunConsumerThread)
            thread._consumer, thread.alignment = consumer, Alignment()
            await thread._rewind(frozenset(TP(tp.topic, tp.partition) for tp in tps))
            assert sum([await consumer.position(tp) for tp in tps]) == 0
            await consumer.commit({tps[0]: 7})
            await thread._rewind(frozenset(TP(tp.topic, tp.partition) for tp in tps))
            assert [await consumer.position(tp) for tp in tps] == [7, 0]

    asyncio.run(look())


@pytest.mark.parametrize("without", [(), pytest.param(("settle",), marks=pytest.mark.slow)])
def test_runs_in_flight_are_settled_before_their_partitions_go(make: MakeToys, without: tuple[str, ...]) -> None:
    """Deliveries take long and another worker joins: no run is handled twice; it is if nobody waits for the deliveries."""
    toys = make(run_records=40, runs_in_flight=3)
    sent = [Event(key(number), struct.pack(">Q", number)) for number in range(1_600)]
    toys.send(sent)
    first = toys.start(without=without, delay=0.7)
    toys.wait_ready(first)
    wait_until(lambda: toys.committed(), seconds=20, what="the first worker works")
    toys.start(without=without)
    assert_exact(toys.wait_told(expected(sent), seconds=90), sent)
    handled = len(asyncio.run(toys.read("facts")))
    assert (handled > len(sent)) == bool(without)


def test_a_run_that_cannot_be_settled_ends_the_worker(make: MakeToys) -> None:
    """A delivery that hangs while another worker joins: the worker ends instead of letting the partition go with a run in flight."""
    toys = make(run_records=40, settle_timeout=2.0)
    toys.send(events(2_000))
    first = toys.start(delay=60.0)
    toys.wait_ready(first)
    toys.start()
    assert first.wait(40) == 1
    assert "not settled within 2 s of a rebalance" in toys.log(first)


def test_a_partition_that_comes_back_is_read_anew(make: MakeToys) -> None:
    """A second worker takes partitions, works on them and leaves: the first one knows what the second one did."""
    toys = make()
    first_half, second_half, third = (events(4_000, seed=seed, keys=100) for seed in (1, 2, 3))
    toys.send(first_half)
    first = toys.start()
    toys.wait_told(expected(first_half), seconds=60)
    second = toys.start()
    toys.wait_ready(second)
    toys.send(second_half)
    toys.wait_told(expected([*first_half, *second_half]), seconds=60)
    assert toys.stop(second) == 0
    toys.send([*second_half, *third])
    sent = [*first_half, *second_half, *third]
    assert_exact(toys.wait_told(expected(sent), seconds=60), sent)
    assert first.poll() is None
