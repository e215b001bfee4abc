"""Workers that are killed, on a broker that keeps what it was given: nothing lost, nothing counted twice; and what Faust would do."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.broker import wait_until
from tests.faults.conftest import MakeToys
from tests.faults.kafka import ApacheKafka
from tests.toy_worker import CHANGELOG
from tests.toys import Event, Toys, assert_exact, events, expected

pytestmark = pytest.mark.kafka


def assert_commits_are_behind(toys: Toys) -> None:
    """Everything before the committed offsets is in the changelog and has been told."""

    async def look() -> None:
        committed = await toys._committed("touches")
        sent = await toys.read("touches")
        outcome = await toys._outcome()
        numbers = itertools.count
        seen = {partition: numbers() for partition in range(toys.partitions)}
        before: dict[bytes, set[bytes]] = {}
        for key, value in sent:
            partition = key[-1] % toys.partitions
            if next(seen[partition]) < committed.get(partition, 0):
                before.setdefault(key, set()).add(value[:8])
        for key, event_ids in before.items():
            assert event_ids <= outcome.kept[key]
            assert outcome.told[key] >= len(event_ids)

    asyncio.run(look())


async def kill_and_replace(toys: Toys, sent: Sequence[Event], *, kills: int) -> None:
    """Send events over some seconds to two workers, killing one of them (in turn) and starting another, `kills` times.

    They are about as fast as the events come: at each takeover much was fetched and not handled.
    """
    sending = asyncio.create_task(toys.send_slowly(sent, padding=100, seconds=5.0 * kills))
    workers = [toys.start(slow=0.1, config={"run_records": 100}) for _ in range(2)]
    for worker in workers:
        await asyncio.to_thread(toys.wait_ready, worker)
    for kill in range(kills):
        await asyncio.sleep(1.5)
        toys.kill(workers.pop(0))
        await asyncio.to_thread(assert_commits_are_behind, toys)
        workers.append(toys.start(slow=0.1, config={"run_records": 100}))
        await asyncio.sleep(1.0 + kill % 2)
    await sending


def test_workers_killed_and_replaced_lose_and_double_nothing(make: MakeToys) -> None:
    """50,000 events, two workers, four SIGKILLs under load: exact, and commits never ahead of what follows from the events."""
    toys = make(run_records=300)
    sent = events(50_000, keys=2_000)
    asyncio.run(kill_and_replace(toys, sent, kills=4))
    assert_exact(toys.wait_told(expected(sent), seconds=120), sent)


def test_a_killed_broker_ends_the_workers_and_nothing_is_lost(tmp_path: Path) -> None:
    """The broker is killed under load and comes back: workers end or go on, and started again make it exact."""
    with (
        ApacheKafka(tmp_path / "kafka") as kafka,
        Toys(kafka, tmp_path, delivery_timeout=4.0, request_timeout=7.0) as toys,
    ):
        sent = events(20_000)
        worker = toys.start(slow=0.02, config={"run_records": 100})
        toys.wait_ready(worker)
        toys.send(sent)
        wait_until(lambda: sum(toys.committed().values()) > 0, seconds=30, what="the worker works")
        kafka.kill()
        assert worker.wait(30) == 1
        kafka.start()
        toys.start()
        assert_exact(toys.wait_told(expected(sent), seconds=90), sent)


def test_a_batch_the_broker_refuses_ends_the_worker(make: MakeToys) -> None:
    """A topic that takes only small batches: the refused delivery ends the worker, and its run is not committed."""
    toys = make()
    toys.broker.create_topics(toys.topic("small"), partitions=toys.partitions, config={"max.message.bytes": "200"})
    toys.send(events(2_000))
    worker = toys.start(facts="small")
    assert worker.wait(40) == 1
    assert "small" in toys.log(worker)
    assert toys.log(worker).count("CRITICAL") == 1
    assert sum(toys.committed().values()) == 0


def test_a_compacted_changelog_comes_back(make: MakeToys) -> None:
    """Deletions, gaps and rewritten keys in the changelog are read back to the last offset."""
    toys = make()
    sent = events(4_000, keys=20)
    toys.send(sent)
    worker = toys.start(config={"run_records": 20})
    toys.wait_told(expected(sent), seconds=60)
    assert toys.stop(worker) == 0
    worker = toys.start()
    toys.wait_ready(worker)
    changes = len(asyncio.run(toys.read(CHANGELOG)))
    toys.send(sent)
    wait_until(
        lambda: sum(toys.committed().values()) == 2 * len(sent), seconds=40, what="the same events are taken again"
    )
    assert len(asyncio.run(toys.read(CHANGELOG))) == changes
