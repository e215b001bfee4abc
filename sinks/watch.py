"""Looks at a sink every second: how far behind it is, how old its batch is, and whether it is ready.

A sink that waits for ClickHouse is in order, and nothing here ends it: another one could do no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError, KafkaError

from sinks import metrics
from sinks.batch import Partition
from sinks.lag import Lag

_log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
ASK_SECONDS = 2.0
"""The brokers are asked where topics end, and may take so long to answer: while the sink is paused nothing else tells."""
Beat = Callable[[str | None], None]
"""Called at each look, with what keeps the sink from being ready; None: it is."""


class Watched(Protocol):
    """What is looked at."""

    lag: Lag

    @property
    def missing(self) -> str | None:
        """What keeps it from being ready; None: it is."""

    @property
    def held_since(self) -> float | None:
        """Since when (`time.monotonic`) it holds its batch; None: it holds none."""


class Watch:
    """Looks at one sink."""

    def __init__(self, sink: Watched, consumer: AIOKafkaConsumer, topics: Collection[str], beat: Beat) -> None:
        """Args: sink: what to look at; consumer: of it; topics: that it reads; beat: told at each look."""
        self._sink, self._consumer, self._topics, self._beat = sink, consumer, topics, beat

    async def run(self) -> None:
        """Look until it is cancelled."""
        while True:
            self._beat(self._sink.missing)
            since = self._sink.held_since
            metrics.BATCH_SECONDS.set(0.0 if since is None else time.monotonic() - since)
            try:
                ends, positions = await self._ask()
                self._tell(ends, positions)
            except Exception:  # whatever it is, the sink itself goes on, and says that it lives
                _log.exception("sink_lag_unknown")
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, ends: Mapping[Partition, int], positions: Mapping[Partition, int]) -> None:
        for topic, (records, seconds) in self._sink.lag.measure(self._topics, ends, positions).items():
            metrics.LAG_RECORDS.labels(topic).set(records)
            metrics.LAG_SECONDS.labels(topic).set(seconds)

    async def _ask(self) -> tuple[Mapping[Partition, int], Mapping[Partition, int]]:
        """Where our partitions end, and where we are in them; nothing where the brokers don't say, or partitions move."""
        ends: dict[Any, int] = {}
        positions: dict[Any, int] = {}
        with contextlib.suppress(KafkaError, IllegalStateError, TimeoutError):
            if partitions := self._consumer.assignment():
                async with asyncio.timeout(ASK_SECONDS):
                    ends = await self._consumer.end_offsets(partitions)
                    positions = {partition: await self._consumer.position(partition) for partition in partitions}
        return ends, positions
