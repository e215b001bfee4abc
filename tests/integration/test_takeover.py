"""Partitions that change hands, on a real broker: each owner fences the others off, sees them write, and repairs what they overwrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from agents.config import WorkerConfig
from agents.fencing import Fenced, Tenure
from agents.shipping import Change, Shipper
from agents.store import Partition
from agents.takeover import Takeover
from tests.broker import Broker, unique

ANNA, BERT = b"A" * 16, b"B" * 16


class Owner:
    """A worker, as far as it has a partition's changelog."""

    def __init__(self, topic: str, shipper: Shipper, config: WorkerConfig) -> None:
        self._topic = topic
        self._shipper = shipper
        self._takeover = Takeover(config, shipper)
        self.state: Partition = {}
        self.tenure: Tenure | None = None

    async def take_over(self, partition: int = 0) -> None:
        """Own the partition."""
        taken = (await self._takeover.take(self._topic, [partition]))[partition]
        self.state, self.tenure = taken.state, taken.tenure

    async def write(self, *changes: Change, partition: int = 0) -> None:
        """Deliver changes, each a group of its own, and check that nobody came before them; as `agents.driver` does."""
        assert self.tenure is not None
        groups = [[change] for change in changes]
        self.tenure.wrote(await self._shipper.ship_groups(self._topic, partition, groups, self.tenure.headers))


MakeOwner = Callable[[], Awaitable[Owner]]


@pytest.fixture
def topic(broker: Broker) -> str:
    """A changelog with two partitions."""
    name = unique("changelog")
    broker.create_topics(name, partitions=2)
    return name


@pytest.fixture
async def make(broker: Broker, topic: str, tmp_path: Path) -> AsyncIterator[MakeOwner]:
    """Owners with connections of their own."""
    shippers: list[Shipper] = []
    config = WorkerConfig(
        brokers=broker.bootstrap,
        app_id="takeover",
        data_dir=tmp_path,
        batch_bytes=10_000,
        idempotent=broker.keeps_data,
    )

    async def start() -> Owner:
        shippers.append(Shipper(config))
        await shippers[-1].start()
        return Owner(topic, shippers[-1], config)

    yield start
    for shipper in shippers:
        await shipper.stop()


async def test_acknowledgements_say_where_batches_lie(make: MakeOwner) -> None:
    """An owner that is alone is never taken for fenced: many batches a call, calls one after the other."""
    owner = await make()
    await owner.take_over()
    for call in range(5):
        await owner.write(*((b"%016d" % (call * 1_000 + number), b"v" * 400) for number in range(200)))
    again = await make()
    await again.take_over()
    assert len(again.state) == 1_000


async def test_who_was_succeeded_is_told_at_its_next_write(make: MakeOwner) -> None:
    """What it wrote before that belongs to the state; what it writes after counts for nothing."""
    first, second = await make(), await make()
    await first.take_over()
    await first.write((ANNA, b"good"), (BERT, b"good"))
    await second.take_over()
    assert second.state == {ANNA: {b"": b"good"}, BERT: {b"": b"good"}}
    with pytest.raises(Fenced, match="another worker has written"):
        await first.write((ANNA, b"late"))


async def test_the_owner_sees_that_somebody_wrote_late_and_repairs_it_when_it_comes_back(
    make: MakeOwner, caplog: pytest.LogCaptureFixture
) -> None:
    """Stale values and tombstones of a worker that was succeeded; whatever compaction does after the repair, the state is the same."""
    first, second, third, fourth = [await make() for _ in range(4)]
    await first.take_over()
    await first.write((ANNA, b"1"), (ANNA + b"x", b"1"), (BERT, b"1"))
    await second.take_over()
    await second.write((ANNA, b"2"))
    with pytest.raises(Fenced):
        await first.write((ANNA, b"late"), (ANNA + b"x", None), (BERT + b"x", b"late"))
    with pytest.raises(Fenced):
        await second.write((BERT, b"2"))

    state = {ANNA: {b"": b"2", b"x": b"1"}, BERT: {b"": b"2"}}
    await third.take_over()
    assert third.state == state
    assert "3 records were written by workers that no longer owned the partition" in caplog.text
    assert "3 keys that they overwrote are written again" in caplog.text
    await third.write((BERT, b"3"))

    caplog.clear()
    await fourth.take_over()
    assert fourth.state == state | {BERT: {b"": b"3"}}
    assert "0 keys that they overwrote are written again" in caplog.text


async def test_takeovers_at_the_same_time(make: MakeOwner) -> None:
    """Of workers that all take the partition for theirs, one goes on at most, and what it wrote is what counts."""
    owners = [await make() for _ in range(4)]

    async def work(owner: Owner, number: int) -> bytes | None:
        try:
            await owner.take_over()
            for step in range(5):
                await owner.write((ANNA, b"%d-%d" % (number, step)))
        except Fenced:
            return None
        return b"%d-4" % number

    ends = await asyncio.gather(*(work(owner, number) for number, owner in enumerate(owners)))
    last = await make()
    await last.take_over()
    # Several may have come to their end, one after the other; then the last one's counts.
    finished = [end for end in ends if end is not None]
    assert not finished or last.state[ANNA][b""] in finished


async def test_a_changelog_from_before_there_were_epochs_is_taken_over(
    make: MakeOwner, broker: Broker, topic: str
) -> None:
    """Its records carry no epoch and count, until somebody opens one."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=False) as producer:
        await producer.send_and_wait(topic, b"old", ANNA, partition=0)
        owner = await make()
        await owner.take_over()
        assert owner.state == {ANNA: {b"": b"old"}}
        await producer.send_and_wait(topic, b"older", ANNA, partition=0)
    with pytest.raises(Fenced):
        await owner.write((BERT, b"new"))
    again = await make()
    await again.take_over()
    assert again.state == {ANNA: {b"": b"old"}, BERT: {b"": b"new"}}
