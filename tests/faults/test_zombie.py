"""The whole worker, stopped for longer than its session while it works, and going on after another one has taken over."""

from __future__ import annotations

import asyncio
import random
import signal
import tomllib
from pathlib import Path

import pytest

from tests.broker import unique
from tests.clickhouse import ClickHouse
from tests.faults.kafka import ApacheKafka
from tests.faults.test_fencing import FENCED
from tests.faults.test_pipeline import until
from tests.generators import generate_events
from tests.integration.test_pipeline import DAY, decoded, now_micros
from tests.oracle import truth_of
from tests.pipeline import SALES, Installation, Worker
from tests.translation import SETTINGS
from tests.warehouse import expected, prepare, sink_process, tables

pytestmark = pytest.mark.kafka
ROUNDS, MOST_ROUNDS = 2, 8


def consumed(worker: Worker) -> float:
    """Records of the input topics that a worker has taken."""
    return sum(value for name, value in worker.metrics().items() if name.startswith("journey_consumed_total"))


async def test_zombies_change_no_fact(apache_kafka: ApacheKafka, clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Of two workers one is stopped, twice, until the other has taken over and gone on; workers that end are started again.

    Whether one that goes on ships before it hears that it has lost its partitions, and is fenced and ends, is chance: there
    are more rounds, of the same events, until one has. ClickHouse ends with the oracle's tables.
    """
    rng = random.Random(7)
    events = generate_events(12, 50_000, 2_500, start=now_micros() - 100 * DAY)
    prepare(clickhouse, [SALES])
    with (
        Installation(
            apache_kafka, tmp_path, unique("zombie"), idempotent=True, session_timeout=4.0, run_records=50
        ) as installation,
        sink_process(apache_kafka.bootstrap, installation.prefix, clickhouse, tmp_path / "sink.log"),
    ):
        workers = [installation.start_worker() for _ in range(2)]
        for worker in workers:
            worker.wait_ready()
        ended: list[str] = []

        def supervise() -> None:
            for number, worker in enumerate(workers):
                if worker.process.poll() is not None:
                    ended.append(worker.log.read_text())
                    assert worker.process.returncode == 1, ended[-1]
                    assert FENCED in ended[-1], ended[-1]
                    workers[number] = installation.start_worker()

        async def committed() -> int:
            return -await installation.lag()

        for part in range(MOST_ROUNDS):
            if part >= ROUNDS and ended:
                break
            zombie, other = workers
            producing = asyncio.create_task(installation.produce(events[part % ROUNDS * 2 :: ROUNDS * 2]))
            received = consumed(zombie)

            async def at_work(zombie: Worker = zombie, received: float = received) -> bool:
                return consumed(zombie) > received

            await until(at_work, seconds=40, what="the worker that will be stopped is at work")
            await asyncio.sleep(rng.random() / 4)  # at a random moment of the work
            zombie.process.send_signal(signal.SIGSTOP)
            log = len(other.log.read_bytes())
            await producing

            async def taken_over(other: Worker = other, log: int = log) -> bool:
                return b" ready: " in other.read_log()[log:]

            await until(taken_over, seconds=40, what="the other worker has taken over")
            await installation.produce(events[part % ROUNDS * 2 + 1 :: ROUNDS * 2])
            before = await committed()

            async def gone_on(before: int = before) -> bool:
                return await committed() > before

            await until(gone_on, seconds=40, what="the other worker goes on")
            zombie.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(2)  # whatever it does, it does now
            supervise()
            for worker in workers:
                worker.wait_ready()
            workers.reverse()

        async def drained() -> bool:
            supervise()
            return await installation.lag() == 0

        async def exact() -> bool:
            supervise()
            return tables(clickhouse.client()) == truth

        await until(drained, seconds=120, what="the group has committed everything")
        truth = expected(
            truth_of([decoded(e) for e in events], [tomllib.loads(SALES.read_text())], SETTINGS, now_micros())
        )
        await until(exact, seconds=60, what="the tables are the oracle's")
        assert ended, "no worker was fenced"
