"""Taking partitions over: their changelog is read back, and everybody else fenced off.

Read to the end, open an epoch with a fence record, and read on to that record: what lies before it belongs to the state, what comes after it
and is not ours is stale. Records that stale ones have overwritten are written again, in the new epoch. See ADR 011.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.changelog import Reading, entries_of
from agents.config import WorkerConfig
from agents.fencing import FENCE_KEY, Fenced, Tenure, epoch_headers
from agents.shipping import Change, Delivery, Headers, Shipper
from agents.store import Partition

logger = logging.getLogger(__name__)
_PROGRESS_SECONDS = 2.0
_TOKEN_BYTES = 8


class RecoveryError(RuntimeError):
    """State could not be read back; the message says how far it got."""


class Taken(NamedTuple):
    """A partition that was taken over; there is no tenure where nobody was fenced off."""

    state: Partition
    tenure: Tenure | None


class Takeover:
    """Takes over partitions of changelogs.

    Attributes:
        fenced: whether anybody is fenced off; only tests take it out.
    """

    def __init__(self, config: WorkerConfig, shipper: Shipper) -> None:
        self.fenced = True
        self._config = config
        self._shipper = shipper
        self._writes: set[asyncio.Task[list[Delivery]]] = set()

    async def wait_written(self) -> None:
        """Return when no fence of ours is on its way: one that arrived after the next owner's would end that one's epoch for nothing."""
        while self._writes:
            await asyncio.wait(self._writes)

    async def take(self, topic: str, partitions: Collection[int]) -> dict[int, Taken]:
        """All records that count of `partitions`, from the earliest to our fence.

        Raises:
            RecoveryError: the brokers stopped answering, or the topic or a partition does not exist.
            StateError: a record is not one of ours.
            ShippingError: a fence, or a healed record, could not be written.
            Fenced: another worker takes over a partition at the same time.
        """
        if not partitions:
            return {}
        config = self._config
        consumer = AIOKafkaConsumer(
            client_id=f"{config.app_id}-recovery",
            bootstrap_servers=config.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_bytes=config.fetch_bytes * 4,
            max_partition_fetch_bytes=config.fetch_bytes,
            check_crcs=config.check_crcs,
            request_timeout_ms=int(config.request_timeout * 1000),
            **config.security.client_options(),
        )
        try:
            async with asyncio.timeout(config.recovery_timeout):
                await consumer.start()
            log = _Log(consumer, config, [TopicPartition(topic, partition) for partition in sorted(partitions)])
            await log.read_to_end()
            readings = log.readings
            if not self.fenced:
                return {partition: Taken(reading.state, None) for partition, reading in readings.items()}
            epochs = await self._fence(topic, log)
        except (KafkaError, TimeoutError, OSError) as error:
            raise RecoveryError(
                f"changelog {topic}, partitions {sorted(partitions)}, could not be read: {error!r}"
            ) from error
        finally:
            await consumer.stop()
        taken = {}
        for partition, reading in readings.items():
            tenure = Tenure(topic, partition, epochs[partition], reading.next_offset)
            await self._heal(topic, partition, reading, tenure)
            taken[partition] = Taken(reading.state, tenure)
        return taken

    async def _fence(self, topic: str, log: _Log) -> dict[int, int]:
        """Open an epoch of ours in each partition, and read on to where it begins."""
        epochs: dict[int, int] = {}
        unfenced = set(log.readings)
        while unfenced:
            epochs |= {partition: log.readings[partition].epoch + 1 for partition in unfenced}
            tokens = {partition: os.urandom(_TOKEN_BYTES) for partition in unfenced}
            await asyncio.gather(
                *(
                    self._write(topic, partition, [(FENCE_KEY, token)], epoch_headers(epochs[partition]))
                    for partition, token in tokens.items()
                )
            )
            await log.read_to_fences(tokens)
            # Where another worker's fence of the same epoch lies before ours, that one's epoch it is; the next is ours.
            unfenced = {partition for partition, token in tokens.items() if not log.readings[partition].opened(token)}
        for partition, epoch in epochs.items():
            if log.readings[partition].epoch > epoch:
                raise Fenced(f"another worker has taken {topic}-{partition} over at the same time")
        return epochs

    async def _heal(self, topic: str, partition: int, reading: Reading, tenure: Tenure) -> None:
        changes = reading.to_heal()
        if reading.stale:
            logger.warning(
                "%s-%d: %s records were written by workers that no longer owned the partition; they count for nothing, "
                "and %s keys that they overwrote are written again",
                topic,
                partition,
                f"{reading.stale:,}",
                f"{len(changes):,}",
            )
        if changes:
            tenure.wrote(await self._write(topic, partition, changes, tenure.headers))

    async def _write(self, topic: str, partition: int, changes: list[Change], headers: Headers) -> list[Delivery]:
        writing = asyncio.ensure_future(
            self._shipper.ship_groups(topic, partition, [[change] for change in changes], headers)
        )
        self._writes.add(writing)
        writing.add_done_callback(self._writes.discard)
        return await asyncio.shield(writing)


class _Log:
    """Changelog partitions being read."""

    def __init__(self, consumer: AIOKafkaConsumer, config: WorkerConfig, tps: list[TopicPartition]) -> None:
        self.readings = {tp.partition: Reading() for tp in tps}
        self._consumer = consumer
        self._config = config
        self._tps = tps
        self._read = self._total = self._left = 0
        self._last_record = self._last_told = time.monotonic()

    async def read_to_end(self) -> None:
        """Read all there is now."""
        consumer, tps = self._consumer, self._tps
        consumer.assign(tps)
        async with asyncio.timeout(self._config.recovery_timeout):
            begins = await consumer.beginning_offsets(tps)
            ends = await consumer.end_offsets(tps)
            await consumer.seek_to_beginning(*tps)
        # Where a broker reports the last batch's first offset + 1 instead of the end, the batch holding that offset still is the last one, and
        # is read whole: a fetch gives whole batches, and getmany() all that was fetched.
        waiting = {tp for tp in tps if ends[tp] > begins[tp]}
        self._total = sum(ends[tp] - begins[tp] for tp in waiting)
        while waiting:
            await self._step(waiting)
            waiting = {tp for tp in waiting if await consumer.position(tp) < ends[tp]}
        logger.info("state of %d partitions read back, %s changelog records", len(tps), f"{self._read:,}")

    async def read_to_fences(self, tokens: Mapping[int, bytes]) -> None:
        """Read on to the fence of each partition that has the value given."""
        self._last_record = time.monotonic()
        waiting = {tp for tp in self._tps if tp.partition in tokens}
        while waiting:
            await self._step(waiting)
            waiting = {tp for tp in waiting if self.readings[tp.partition].opened(tokens[tp.partition]) is None}

    async def _step(self, waiting: Collection[TopicPartition]) -> None:
        """Take what comes next.

        Raises:
            RecoveryError: nothing has come for long.
        """
        fetched = await self._consumer.getmany(timeout_ms=500)
        for tp, records in fetched.items():
            self._read += len(records)
            self.readings[tp.partition].take(entries_of(records))
        now = time.monotonic()
        if fetched or len(waiting) < self._left:  # compaction leaves gaps, also at the end
            self._last_record = now
        elif now - self._last_record > self._config.recovery_timeout:
            missing = ", ".join(f"{tp.topic}-{tp.partition}" for tp in sorted(waiting))
            raise RecoveryError(
                f"nothing more of {missing} came for {self._config.recovery_timeout:g} s; "
                f"{self._read:,} of about {self._total:,} records were read"
            )
        self._left = len(waiting)
        if now - self._last_told > _PROGRESS_SECONDS:
            self._last_told = now
            logger.info("reading state back: %s of about %s changelog records", f"{self._read:,}", f"{self._total:,}")
