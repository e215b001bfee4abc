"""Whole record batches, as a broker stores them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords

from agents.config import WorkerConfig
from agents.shipping import Output, RecordTooLarge, Shipper, ShippingError
from journey.ports import free_port
from tests.broker import Broker, unique


@pytest.fixture
def topic(broker: Broker) -> str:
    """A topic with two partitions."""
    name = unique("shipping")
    broker.create_topics(name, partitions=2, config={"max.message.bytes": "10485760"})
    return name


@pytest.fixture
async def shipper(broker: Broker, tmp_path: Path) -> AsyncIterator[Shipper]:
    """A shipper that closes its batches at 10,000 bytes and sends 200,000 at most."""
    shipper = Shipper(config(broker, tmp_path))
    await shipper.start()
    yield shipper
    await shipper.stop()


def config(broker: Broker, directory: Path, **options: Any) -> WorkerConfig:
    """Settings of a shipper with small batches."""
    small = {"batch_bytes": 10_000, "max_request_bytes": 200_000, "idempotent": broker.keeps_data}
    return WorkerConfig(
        **{"brokers": broker.bootstrap, "app_id": "shipping", "data_dir": directory, **small, **options}
    )


async def stored(
    broker: Broker, topic: str, partition: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Any], list[int]]:
    """The records of a partition, and the first offset of each batch they are stored in."""
    bases: list[int] = []
    unpack = PartitionRecords._unpack_records

    def noting(self: PartitionRecords) -> Any:
        records = self._records
        next_batch = records.next_batch

        def note() -> Any:
            batch = next_batch()
            bases.append(batch.base_offset)
            return batch

        self._records = type("Noting", (), {"has_next": records.has_next, "next_batch": staticmethod(note)})()
        return unpack(self)

    monkeypatch.setattr(PartitionRecords, "_unpack_records", noting)
    tp = TopicPartition(topic, partition)
    found: list[Any] = []
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([tp])
        async with asyncio.timeout(20):
            while len(found) < number:
                found += (await consumer.getmany(tp, timeout_ms=300)).get(tp, [])
    return found, sorted(set(bases))


async def test_records_arrive_as_they_were_sent(
    broker: Broker, topic: str, shipper: Shipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key, value, headers, timestamp and partition; None as a value, too; in order; in few batches."""
    sent = [
        Output(
            topic,
            1,
            b"k%d" % number,
            b"v" * 100 if number % 3 else None,
            [("h", b"%d" % number)],
            1_700_000_000_000 + number,
        )
        for number in range(300)
    ]
    await shipper.ship([*sent, Output(topic, 0, b"elsewhere", b"")])
    found, batches = await stored(broker, topic, 1, 300, monkeypatch)
    assert [(record.key, record.value, list(record.headers), record.timestamp) for record in found] == [
        (output.key, output.value, list(output.headers), output.timestamp) for output in sent
    ]
    assert 3 <= len(batches) <= 5


async def test_a_group_is_stored_in_one_batch(
    broker: Broker, topic: str, shipper: Shipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No group is torn apart where a batch is full; one larger than a batch gets a batch of its own."""
    sizes = [7] * 20 + [60] + [7] * 20
    groups = [
        [(b"%02d-%02d" % (number, index), b"v" * 300) for index in range(size)] for number, size in enumerate(sizes)
    ]
    await shipper.ship_groups(topic, 0, groups)
    found, batches = await stored(broker, topic, 0, sum(sizes), monkeypatch)
    assert [(record.key, record.value) for record in found] == [change for group in groups for change in group]
    starts = {record.offset for record in found if record.key.endswith(b"-00")}
    assert set(batches) <= starts
    assert len(batches) > 5


async def test_calls_keep_their_order(
    broker: Broker, topic: str, shipper: Shipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several calls at once, of several batches each: stored in the order of the calls."""
    calls = [[(b"%02d-%02d" % (call, index), b"v" * 1_500) for index in range(20)] for call in range(12)]
    await asyncio.gather(*(shipper.ship_groups(topic, 0, [[change] for change in call]) for call in calls))
    found, _ = await stored(broker, topic, 0, 240, monkeypatch)
    assert [record.key for record in found] == [key for call in calls for key, _ in call]


async def test_what_is_too_large_is_refused_before_anything_is_sent(
    broker: Broker, topic: str, shipper: Shipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says how large, for which topic, and what fits; a record just below the limit arrives."""
    with pytest.raises(RecordTooLarge, match=rf"1 record for {topic}-0 .*need 2\d\d,\d\d\d bytes .*at most 200,000"):
        await shipper.ship([Output(topic, 0, b"small", b""), Output(topic, 0, b"large", b"v" * 200_000)])
    with pytest.raises(RecordTooLarge, match=r"3 records .*at most 200,000"):
        await shipper.ship_groups(topic, 0, [[(b"key", b"v" * 70_000)] * 3])
    await shipper.ship([Output(topic, 0, b"fits", b"v" * 199_800)])
    found, _ = await stored(broker, topic, 0, 1, monkeypatch)
    assert [record.key for record in found] == [b"fits"]


async def test_a_partition_that_does_not_exist_is_an_error(topic: str, shipper: Shipper) -> None:
    """It names the records' target."""
    with pytest.raises(ShippingError, match=f"{topic}-7"):
        await shipper.ship([Output(topic, 7, b"key", b"value")])


async def test_partitions_are_known(topic: str, shipper: Shipper) -> None:
    """How many there are of a topic, for those who choose one."""
    assert await shipper.wait_for_partitions(topic) == 2


async def test_no_broker_is_an_error_that_names_the_address(tmp_path: Path, broker: Broker) -> None:
    """Nobody listens there."""
    address = f"127.0.0.1:{free_port()}"
    shipper = Shipper(config(broker, tmp_path, brokers=address, request_timeout=11.0))
    with pytest.raises(ShippingError, match=address):
        await shipper.start()
    with pytest.raises(ShippingError, match="not connected"):
        await shipper.ship([Output("touches", 0, b"key", b"value")])
