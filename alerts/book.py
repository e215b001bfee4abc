"""The topic `alert-deliveries`: what became of alerts, compacted, so that whoever takes a partition over knows what was told already."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from alerts.errors import AlertsError
from schemas.alerts import DELIVERIES, Delivery

_SETTLED_SECONDS = 0.3
"""The embedded broker tells ends that are too early; after it has told one, this long without a record is the end."""
_READ_SECONDS = 60.0
Change = tuple[bytes, Delivery | None]
"""A key, and what it is now; None: nothing."""


class Book:
    """Writes and reads the topic."""

    def __init__(self, brokers: str, topic: str, kafka_options: Mapping[str, Any], *, idempotent: bool) -> None:
        """Args: idempotent: producer ids, which the embedded broker has not."""
        self._topic = topic
        self._options = {"bootstrap_servers": brokers, **kafka_options}
        self._idempotent = idempotent
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; raises aiokafka.errors.KafkaError."""
        self._producer = AIOKafkaProducer(acks="all", enable_idempotence=self._idempotent, **self._options)
        await self._producer.start()

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def write(self, partition: int, changes: Iterable[Change]) -> None:
        """Returns when the brokers have them; raises aiokafka.errors.KafkaError."""
        assert self._producer is not None
        sent = [
            await self._producer.send(
                self._topic, key=key, value=None if one is None else DELIVERIES.encode(one), partition=partition
            )
            for key, one in changes
        ]
        await asyncio.gather(*sent)

    async def read(self, partition: int) -> list[Delivery]:
        """The latest of every key of a partition.

        Raises:
            AlertsError: it did not come within a minute.
        """
        consumer = AIOKafkaConsumer(enable_auto_commit=False, auto_offset_reset="earliest", **self._options)
        tp = TopicPartition(self._topic, partition)
        found: dict[bytes, Delivery] = {}
        async with consumer:
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            end = (await consumer.end_offsets([tp]))[tp]
            until = time.monotonic() + _READ_SECONDS
            while True:
                records = (await consumer.getmany(tp, timeout_ms=round(_SETTLED_SECONDS * 1_000))).get(tp, [])
                for record in records:
                    if record.value is None:
                        found.pop(record.key, None)
                    else:
                        found[record.key] = DELIVERIES.decode(record.value)
                if not records and await consumer.position(tp) >= end:
                    return list(found.values())
                if time.monotonic() > until:
                    raise AlertsError(
                        f"{self._topic}-{partition} could not be read to its end ({end}) within {_READ_SECONDS:g} s;"
                        " see whether the brokers answer"
                    )
