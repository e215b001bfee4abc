"""The whole worker on Apache Kafka: workers die, join and take over; the facts stay the oracle's."""

from __future__ import annotations

import asyncio
import random
import time
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.broker import unique
from tests.clickhouse import ClickHouse
from tests.faults.kafka import ApacheKafka
from tests.generators import generate_events
from tests.integration.test_pipeline import DAY, decoded, now_micros
from tests.oracle import truth_of
from tests.pipeline import SALES, Installation
from tests.translation import SETTINGS
from tests.warehouse import expected, prepare, sink_process, tables

pytestmark = pytest.mark.kafka


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float, what: str) -> None:
    """Wait for a condition that is asked of the broker."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.2)


async def test_workers_killed_and_joining(apache_kafka: ApacheKafka, clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Two workers; one is killed three times, another joins midway; ClickHouse ends with the oracle's tables.

    Then everything is sent again, and changes nothing.
    """
    rng = random.Random(5)
    start = now_micros() - 100 * DAY
    events = generate_events(11, 50_000, 2_500, start=start)
    prepare(clickhouse, [SALES])
    with (
        Installation(
            apache_kafka, tmp_path, unique("killed"), idempotent=True, session_timeout=6.0, run_records=200
        ) as installation,
        sink_process(apache_kafka.bootstrap, installation.prefix, clickhouse, tmp_path / "sink.log"),
    ):
        steady = installation.start_worker()
        victim = installation.start_worker()
        steady.wait_ready()
        victim.wait_ready()
        parts = 6
        for part in range(parts):
            await installation.produce(events[part::parts])
            if part in (1, 2, 4):
                await asyncio.sleep(rng.random())  # at a random moment of the work, which goes on meanwhile
                victim.kill()
                victim = installation.start_worker()
            if part == 3:
                installation.start_worker()

        async def drained() -> bool:
            steady.read_log()
            return await installation.lag() == 0

        async def exact() -> bool:
            return tables(clickhouse.client()) == truth

        await until(drained, seconds=120, what="the group has committed everything")
        truth = expected(
            truth_of([decoded(e) for e in events], [tomllib.loads(SALES.read_text())], SETTINGS, now_micros())
        )
        # What expires by the wall clock follows when the workers have nothing else to do.
        await until(exact, seconds=60, what="the tables are the oracle's")

        await installation.produce(reversed(events))
        await until(drained, seconds=120, what="the group has committed everything again")
        await until(exact, seconds=30, what="the tables are the oracle's still")
        assert steady.stop() == 0
        assert victim.stop() == 0
