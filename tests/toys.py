"""Toy workers (`tests.toy_worker`) as processes, the events they get, and what they have made of them."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.fencing import FENCE_KEY
from tests.broker import Broker, unique, wait_until
from tests.toy_worker import CHANGELOG, NUMBER
from tests.warm import Process


class Event(NamedTuple):
    """An event of the toy pipeline."""

    key: bytes
    event_id: bytes


class Outcome(NamedTuple):
    """What the workers have made of the events: for each key, the highest number told, the number kept, and the ids kept.

    The highest, as tables keep the fact of the highest revision: numbers only grow, and a worker may tell late what counted when it was kept.
    """

    told: dict[bytes, int]
    counted: dict[bytes, int]
    kept: dict[bytes, set[bytes]]


def events(number: int, *, keys: int = 500, duplicates: float = 0.1, seed: int = 1) -> list[Event]:
    """`number` events, of which a share occurs twice, shuffled."""
    rng = random.Random(seed)
    made = [
        Event(struct.pack(">QQ", seed, rng.randrange(keys)), struct.pack(">Q", index))
        for index in range(int(number * (1 - duplicates)))
    ]
    made += rng.choices(made, k=number - len(made))
    rng.shuffle(made)
    return made


def expected(sent: Iterable[Event]) -> dict[bytes, int]:
    """How many distinct events each key has."""
    return dict(Counter(event.key for event in set(sent)))


class Toys(AbstractContextManager["Toys"]):
    """Topics of their own on a broker, and workers on them; no process is left behind.

    Args:
        broker: running.
        directory: for the workers' logs and files.
        partitions: of each topic.
        config: more of `WorkerConfig`.
    """

    def __init__(self, broker: Broker, directory: Path, *, partitions: int = 4, **config: Any) -> None:
        self.broker = broker
        self.partitions = partitions
        self.prefix = unique("toy") + "-"
        self.app_id = self.prefix + "workers"
        self.logs: list[Path] = []
        self._directory = directory
        self._workers: list[Process] = []
        self._config = {
            "brokers": broker.bootstrap,
            "app_id": self.app_id,
            "prefix": self.prefix,
            "idempotent": broker.keeps_data,
            "session_timeout": 6.0 if broker.keeps_data else 3.0,  # Tansu lets who joins wait for half of it
            "heartbeat_interval": 0.5,
            "commit_interval": 0.25,
            **config,
        }
        self.broker.create_topics(*map(self.topic, ("events", "touches", "facts")), partitions=partitions)
        compacted = {"cleanup.policy": "compact"} if broker.keeps_data else {}
        self.broker.create_topics(self.topic(CHANGELOG), partitions=partitions, config=compacted)

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return self.prefix + name

    # -- workers

    def start(
        self, *, without: Collection[str] = (), environment: dict[str, str] | None = None, **options: Any
    ) -> Process:
        """Start a worker; `without` are fixes to take out (`agents.guard.FIXES`), `options` are those of `tests.toy_worker`."""
        number = len(self.logs)
        log = self._directory / f"{self.prefix}{number}.log"
        arguments = {
            "data_dir": str(self._directory / f"{self.prefix}{number}"),
            "config": {**self._config, **options.pop("config", {})},
            "without": list(without),
            **options,
        }
        log.touch()
        worker = Process("tests.toy_worker", json.dumps(arguments), log, environment)
        self.logs.append(log)
        self._workers.append(worker)
        return worker

    def log(self, worker: Process) -> str:
        """What a worker has printed."""
        return self.logs[self._workers.index(worker)].read_text(errors="replace")

    def wait_ready(self, worker: Process, *, seconds: float = 40.0) -> None:
        """Wait until a worker has partitions, and their state."""

        def ready() -> bool:
            # The second is what Faust's own recovery says.
            log = self.log(worker)
            return " ready: " in log or "Worker ready" in log or worker.poll() is not None

        wait_until(ready, seconds=seconds, what="the worker is ready")
        assert worker.poll() is None, self.log(worker)

    def stop(self, worker: Process, *, seconds: float = 30.0) -> int:
        """Ask a worker to end, as a supervisor would; its exit code."""
        worker.send_signal(signal.SIGTERM)
        return worker.wait(seconds)

    def kill(self, worker: Process) -> None:
        """End a worker without warning."""
        worker.kill()
        worker.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()

    # -- what goes in

    def send(self, sent: Sequence[Event], *, topic: str = "touches", padding: int = 0, seconds: float = 0.0) -> None:
        """Send events, each to the partition of its key, over about `seconds`."""
        asyncio.run(self.send_slowly(sent, topic=topic, padding=padding, seconds=seconds))

    async def send_slowly(
        self, sent: Sequence[Event], *, topic: str = "touches", padding: int = 0, seconds: float = 0.0
    ) -> None:
        """The same, in a running event loop."""
        await self.send_values(
            [(event.key, event.event_id + b"." * padding) for event in sent], topic=topic, seconds=seconds
        )

    async def send_values(
        self, values: Sequence[tuple[bytes, bytes]], *, topic: str = "touches", seconds: float = 0.0
    ) -> None:
        """Send any keys and values."""
        steps = max(1, int(seconds * 10))
        size = -(-len(values) // steps)
        async with AIOKafkaProducer(
            bootstrap_servers=self.broker.bootstrap, acks="all", max_batch_size=200_000
        ) as producer:
            for start in range(0, len(values), size):
                deliveries = [
                    await producer.send(self.topic(topic), key=key, value=value, partition=key[-1] % self.partitions)
                    for key, value in values[start : start + size]
                ]
                await asyncio.gather(*deliveries)
                if seconds:
                    await asyncio.sleep(0.1)

    # -- what came of it

    def outcome(self) -> Outcome:
        """Everything told and kept so far."""
        return asyncio.run(self._outcome())

    async def _outcome(self) -> Outcome:
        told: dict[bytes, int] = {}
        counted: dict[bytes, int] = {}
        kept: dict[bytes, set[bytes]] = {}
        for key, value in await self.read("facts"):
            told[key] = max(told.get(key, 0), NUMBER.unpack(value)[0])
        for key, value in await self.read(CHANGELOG):
            if value is None:  # healed: what a worker that had lost the partition wrote there counts for nothing
                counted.pop(key, None)
                kept.get(key[:16], set()).discard(key[16:])
            elif len(key) == 16:
                counted[key] = NUMBER.unpack(value)[0]
            else:
                kept.setdefault(key[:16], set()).add(key[16:])
        return Outcome(told, counted, kept)

    async def read(self, name: str) -> list[tuple[bytes, Any]]:
        """All keys and values (None deletes) of a topic, in order within each partition; without the fences of a changelog."""
        tps = [TopicPartition(self.topic(name), partition) for partition in range(self.partitions)]
        found: list[tuple[bytes, Any]] = []
        async with AIOKafkaConsumer(
            bootstrap_servers=self.broker.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        ) as consumer:
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            ends = await consumer.end_offsets(tps)
            while any([await consumer.position(tp) < ends[tp] for tp in tps if ends[tp]]):
                for records in (await consumer.getmany(timeout_ms=300)).values():
                    found += [(record.key, record.value) for record in records if record.key != FENCE_KEY]
        return found

    def committed(self, topic: str = "touches") -> dict[int, int]:
        """The group's offsets of a topic, by partition."""
        return asyncio.run(self._committed(topic))

    async def _committed(self, topic: str) -> dict[int, int]:
        tps = [TopicPartition(self.topic(topic), partition) for partition in range(self.partitions)]
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self.app_id, partitions=tps)
        finally:
            await admin.close()
        return {tp.partition: offset.offset for tp, offset in offsets.items() if offset.offset >= 0}

    def wait_told(self, wanted: dict[bytes, int], *, seconds: float) -> Outcome:
        """Wait until every key's number has been told and was never higher, and return the outcome.

        Raises:
            TimeoutError: it did not come to that.
        """

        def done() -> Outcome | None:
            outcome = self.outcome()
            return outcome if outcome.told == wanted else None

        found = wait_until(
            done,
            seconds=seconds,
            what=f"{sum(wanted.values()):,} events of {len(wanted):,} keys are told",
            every=0.5,  # each look reads both topics from their beginnings, while the worker should have the processor
        )
        assert found is not None
        return found


def assert_exact(outcome: Outcome, sent: Iterable[Event]) -> None:
    """Nothing lost and nothing counted twice: what is told, counted and kept is what was sent, each event once."""
    wanted: dict[bytes, set[bytes]] = {}
    for event in sent:
        wanted.setdefault(event.key, set()).add(event.event_id)
    assert outcome.kept == wanted
    numbers = {key: len(event_ids) for key, event_ids in wanted.items()}
    assert outcome.counted == numbers
    assert outcome.told == numbers
