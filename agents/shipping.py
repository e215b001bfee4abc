"""Sends records as whole record batches and waits until the brokers have them.

Faust gives every record a future, a callback and a place in a buffer, and does not notice when one is lost. Here a batch is filled in one go,
goes to the partition it is meant for, and its delivery is awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from agents.config import WorkerConfig

Headers = Sequence[tuple[str, bytes]]
Target = tuple[str, int]
"""Topic and partition."""
Change = tuple[bytes, bytes | None]
"""Key and value of a record in a compacted topic; None deletes."""
Delivery = tuple[int, int]
"""Offset of a batch's first record as the brokers acknowledged it (-1: they didn't say), and how many records it has."""
# A record's own bytes beside key, value and headers: lengths, timestamp and offset as varints (at most 5 + 10 + 5 + 5 + 5 + 1 bytes).
_RECORD_OVERHEAD = 32
_HEADER_OVERHEAD = 10
_BATCH_OVERHEAD = 61


class Output(NamedTuple):
    """A record to be sent.

    Attributes:
        topic: its full name.
        partition: it goes exactly there.
        key: what compaction and partitioning go by.
        value: None deletes the key in a compacted topic.
        headers: name and value.
        timestamp: milliseconds since 1970, UTC; None for now.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp: int | None = None


class ShippingError(RuntimeError):
    """Records could not be delivered; the message says which, where to and why."""


class RecordTooLarge(ShippingError):
    """A record, or a group that must stay together, is larger than any request may be."""


class Shipper:
    """Fills batches and delivers them, in order within each partition.

    Batches are handed over in the order of the calls; a call returns when the brokers have acknowledged everything in it.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._producer: AIOKafkaProducer | None = None
        self._turns: dict[Target, asyncio.Lock] = {}

    async def start(self) -> None:
        """Connect.

        Raises:
            ShippingError: no broker answered, or none that knows what was asked of it.
        """
        config = self._config
        # The producer's own limit of a batch is the largest that may be sent at all; where batches are closed normally is decided below.
        producer = AIOKafkaProducer(
            client_id=config.app_id,
            bootstrap_servers=config.bootstrap_servers,
            acks="all",
            enable_idempotence=config.idempotent,
            linger_ms=0,
            max_batch_size=config.max_request_bytes,
            max_request_size=config.max_request_bytes,
            compression_type=config.compression,
            request_timeout_ms=int(config.request_timeout * 1000),
            **config.security.client_options(),
        )
        try:
            async with asyncio.timeout(config.request_timeout):
                await producer.start()
        except (KafkaError, TimeoutError, OSError) as error:
            await producer.stop()
            hint = (
                " (a broker without producer ids, such as the embedded one, needs idempotent=False)"
                if config.idempotent
                else ""
            )
            raise ShippingError(f"no connection to send through, brokers {config.brokers}: {error!r}{hint}") from error
        self._producer = producer

    async def stop(self) -> None:
        """Send what is left and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def abort(self) -> None:
        """Disconnect at once; what has not been sent never will be."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer._closed = True
            await producer.client.close()

    async def ship(self, outputs: Iterable[Output]) -> None:
        """Deliver `outputs`; they may be spread over several batches.

        Raises:
            RecordTooLarge: nothing of this call has been sent.
            ShippingError: some of it may have been delivered.
        """
        filling = self._filling()
        for topic, partition, key, value, headers, timestamp in outputs:
            listed = list(headers)
            size = _RECORD_OVERHEAD + (len(key) if key else 0) + (len(value) if value else 0) + _size_of(listed)
            append = filling.room((topic, partition), size, key)
            if append(timestamp=timestamp, key=key, value=value, headers=listed) is None:
                raise _underestimated(topic, partition)
        await self._deliver_all(filling.batches)

    async def ship_groups(
        self, topic: str, partition: int, groups: Iterable[Sequence[Change]], headers: Headers = ()
    ) -> list[Delivery]:
        """Deliver groups of keys and values, each group whole in one record batch: all of it is stored, or nothing.

        Every record gets `headers`. Returns the batches in the order of their records.

        Raises:
            RecordTooLarge: nothing of this call has been sent.
            ShippingError: some of it may have been delivered.
        """
        filling = self._filling()
        target = (topic, partition)
        listed = list(headers)
        overhead = _RECORD_OVERHEAD + _size_of(listed)
        for group in groups:
            if not group:
                continue
            size = 0
            for key, value in group:
                size += overhead + len(key) + (len(value) if value else 0)
            append = filling.room(target, size, group[0][0], len(group))
            for key, value in group:
                if append(timestamp=None, key=key, value=value, headers=listed) is None:
                    raise _underestimated(topic, partition)
        return (await self._deliver_all(filling.batches)).get(target, [])

    async def _deliver_all(self, batches: Mapping[Target, Sequence[BatchBuilder]]) -> dict[Target, list[Delivery]]:
        if not batches:
            return {}
        timeout = self._config.delivery_timeout
        try:
            async with asyncio.timeout(timeout):
                delivered = await asyncio.gather(
                    *(self._deliver(topic, partition, filled) for (topic, partition), filled in batches.items())
                )
        except TimeoutError as error:
            raise ShippingError(f"not acknowledged within {timeout:g} s: {_described(batches)}") from error
        except (KafkaError, AssertionError) as error:
            # aiokafka asserts that the partition exists.
            raise ShippingError(f"not delivered ({error!r}): {_described(batches)}") from error
        return dict(zip(batches, delivered, strict=True))

    async def _deliver(self, topic: str, partition: int, batches: Sequence[BatchBuilder]) -> list[Delivery]:
        producer = self._connected()
        # aiokafka lets one batch a partition wait to be sent and makes the others wait for that, in any order; the lock keeps theirs.
        async with self._turns.setdefault((topic, partition), asyncio.Lock()):
            deliveries = []
            for batch in batches:
                batch.close()
                deliveries.append(await producer.send_batch(batch, topic, partition=partition))
        return [
            ((await delivery).offset, batch.record_count()) for delivery, batch in zip(deliveries, batches, strict=True)
        ]

    def partitions(self, topic: str) -> int | None:
        """How many partitions `topic` has, as far as is known; None before anything was sent or asked about it."""
        known = self._connected().client.cluster.partitions_for_topic(topic)
        return len(known) if known else None

    async def wait_for_partitions(self, topic: str) -> int:
        """How many partitions `topic` has.

        Raises:
            ShippingError: it does not exist, or no broker answers.
        """
        try:
            async with asyncio.timeout(self._config.request_timeout):
                return len(await self._connected().partitions_for(topic))
        except (KafkaError, TimeoutError) as error:
            raise ShippingError(
                f"topic {topic} is not to be found on {self._config.brokers} ({error!r}); `journey topics` creates it"
            ) from error

    def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise ShippingError("not connected: start() has not been called, or stop() has")
        return self._producer

    def _filling(self) -> _Filling:
        return _Filling(self._connected(), self._config)


class _Filling:
    """Batches being filled, one open at a time for each partition."""

    def __init__(self, producer: AIOKafkaProducer, config: WorkerConfig) -> None:
        self.batches: dict[Target, list[BatchBuilder]] = {}
        self._producer = producer
        self._limit = config.batch_bytes
        self._largest = config.max_request_bytes
        self._used: dict[Target, int] = {}
        self._append: dict[Target, Callable[..., object]] = {}

    def room(self, target: Target, size: int, key: bytes | None, records: int = 1) -> Callable[..., object]:
        """How to append records that take at most `size` bytes together: to the open batch, or to a new one if that would be too full."""
        used = self._used.get(target, self._limit) + size
        if used > self._limit:
            used = _BATCH_OVERHEAD + size
            if used > self._largest:
                raise RecordTooLarge(
                    f"{_count(records, 'record')} for {target[0]}-{target[1]} (first key {(key or b'').hex()[:32]}) "
                    f"need {size:,} bytes together; at most {self._largest:,} fit into one request"
                )
            batch = self._producer.create_batch()
            self.batches.setdefault(target, []).append(batch)
            self._append[target] = batch.append
        self._used[target] = used
        return self._append[target]


def _size_of(headers: Headers) -> int:
    return sum(_HEADER_OVERHEAD + 4 * len(name) + len(content) for name, content in headers)


def _underestimated(topic: str, partition: int) -> RecordTooLarge:
    return RecordTooLarge(
        f"a record batch for {topic}-{partition} was full before its time; sizes are estimated too low"
    )


def _described(batches: Mapping[Target, Sequence[BatchBuilder]]) -> str:
    targets = [f"{topic}-{partition}" for topic, partition in sorted(batches)]
    sent = [batch for filled in batches.values() for batch in filled]
    records = sum(batch.record_count() for batch in sent)
    where = ", ".join(targets[:8]) + (" and others" if targets[8:] else "")
    return f"{_count(records, 'record')} in {_count(len(sent), 'batch', 'batches')} for {where}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
