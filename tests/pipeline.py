"""A worker of the real pipeline as a process of its own, and what a test asks of the topics around it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client import start_http_server
from prometheus_client.parser import text_string_to_metric_families

from agents.config import WorkerConfig
from agents.pipeline import PipelineConfig, run_pipeline
from funnel.events import Event
from funnel.history import Limits
from journey.ports import free_port
from schemas.codec import EventCodec
from schemas.registry import FileRegistry
from tests.broker import Broker, wait_until
from tests.generators.funnels import CHANNEL_RULES
from tests.warm import Process

PARTITIONS = 3
TOPIC_OF_CHANNEL = {"web": "web-events", "email": "email-events", "call": "sales-call-events"}
LARGE = {"max.message.bytes": str(10 * 1024 * 1024)}
INTERNAL = {"max.message.bytes": str(2 * 1024 * 1024)}
"""As `journey topics` makes them."""
SALES = Path(__file__).parent.parent / "funnels" / "sales.toml"
SESSION_SECONDS = 2.0
"""Tansu lets who joins wait for half of it."""
ID_KEY = "key of the tests"


class Installation:
    """Topics with a prefix of their own on a broker, and workers on them."""

    def __init__(
        self,
        broker: Broker,
        directory: Path,
        name: str,
        *,
        funnels: Sequence[Path] = (SALES,),
        idempotent: bool = False,
        **worker: Any,
    ) -> None:
        self.broker, self.directory, self.prefix = broker, directory, f"{name}-"
        self.funnels, self.idempotent, self.worker_options = funnels, idempotent, worker
        self._workers: list[Process] = []
        names = [*TOPIC_OF_CHANNEL.values(), "dead-letters"]
        broker.create_topics(*map(self.topic, names), partitions=PARTITIONS, config=LARGE)
        internal = ("touches", "facts", "stalled-prospects")
        broker.create_topics(*map(self.topic, internal), partitions=PARTITIONS, config=INTERNAL)
        changelog = self.topic("journey-prospects-changelog")
        broker.create_topics(changelog, partitions=PARTITIONS, config={"cleanup.policy": "compact", **INTERNAL})

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return self.prefix + name

    def start_worker(
        self, module: str = "tests.pipeline", *, environment: Mapping[str, str] | None = None, **more: Any
    ) -> Worker:
        """A worker process; `Worker.wait_ready` tells when it owns partitions.

        Args:
            module: whose `main` it runs.
            environment: more of it.
            more: options of that module.
        """
        number = len(self._workers)
        port = free_port()
        options = {
            "worker": {
                "brokers": self.broker.bootstrap,
                "app_id": f"{self.prefix}journey",
                "prefix": self.prefix,
                "idempotent": self.idempotent,
                "commit_interval": 0.2,
                "session_timeout": SESSION_SECONDS,
                "heartbeat_interval": SESSION_SECONDS / 5,
                **self.worker_options,
            },
            "data_dir": str(self.directory / f"worker-{number}"),
            "funnels": [str(path) for path in self.funnels],
            "metrics_port": port,
            **more,
        }
        log = self.directory / f"worker-{number}.log"
        log.touch()
        process = Process(module, json.dumps(options), log, environment)
        self._workers.append(process)
        return Worker(process, log, port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._workers:
            if process.poll() is None:
                process.kill()
            process.wait()

    async def produce(self, events: Iterable[Event]) -> int:
        """Send events to their topics; keyed by event_id, so that a prospect's come over several partitions."""
        codec = EventCodec(FileRegistry())
        return await self.produce_bytes(
            (TOPIC_OF_CHANNEL[event["channel"]], event["event_id"].encode(), codec.encode(event)) for event in events
        )

    async def produce_bytes(self, records: Iterable[tuple[str, bytes, bytes | None]]) -> int:
        """Send (topic without prefix, key, value); returns how many."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.broker.bootstrap,
            linger_ms=5,
            max_request_size=10 * 1024 * 1024,
            max_batch_size=65_536,
        )
        await producer.start()
        try:
            sent = [await producer.send(self.topic(topic), value, key) for topic, key, value in records]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()
        return len(sent)

    async def read(self, name: str) -> list[Any]:
        """All records of a topic, until it has none left."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.broker.bootstrap,
            max_partition_fetch_bytes=10 * 1024 * 1024,
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            tps = [TopicPartition(self.topic(name), partition) for partition in range(PARTITIONS)]
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            ends = await consumer.end_offsets(tps)
            records: list[Any] = []
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for fetched in (await consumer.getmany(timeout_ms=500)).values():
                    records.extend(fetched)
            return records
        finally:
            await consumer.stop()

    async def lag(self) -> int:
        """Records of the input topics and of `touches` that the group has not committed. Only Apache Kafka tells true ends."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap, group_id=f"{self.prefix}journey")
        names = [*TOPIC_OF_CHANNEL.values(), "touches"]
        tps = [TopicPartition(self.topic(name), partition) for name in names for partition in range(PARTITIONS)]
        await consumer.start()
        try:
            ends = await consumer.end_offsets(tps)
            return sum([end - (await consumer.committed(tp) or 0) for tp, end in ends.items()])
        finally:
            await consumer.stop()


class Worker:
    """A worker process."""

    def __init__(self, process: Process, log: Path, port: int) -> None:
        self.process, self.log, self._port = process, log, port

    def metrics(self) -> dict[str, float]:
        """Its counters: by name, or by name{label value}; empty before it serves any."""
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("journey_") and not sample.name.endswith("_created"):
                    labels = ",".join(sample.labels.values())
                    found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found

    def wait_ready(self) -> None:
        """Wait until it owns its partitions."""
        wait_until(lambda: b"ready: " in self.read_log(), seconds=40, what="the worker owns partitions")

    def read_log(self) -> bytes:
        """What it printed; fails where it ended."""
        text = self.log.read_bytes()
        assert self.process.poll() is None, text.decode()
        return text

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def account(metrics: dict[str, float]) -> dict[str, int]:
    """What became of the consumed events, by the worker's own counters."""

    def total(name: str) -> int:
        return int(sum(value for key, value in metrics.items() if key.split("{")[0] == name))

    names = ("consumed", "applied", "duplicate", "ignored", "shared", "declared", "dead")
    counts = {name: total(f"journey_{name}_total") for name in names}
    for name in counts:
        counts[name] -= int(metrics.get(f"journey_taken_back_total{{{name}}}", 0))
    return counts | {"settled": sum(counts.values()) - counts["consumed"]}


def main() -> None:
    """Run a worker as `Installation.start_worker` says."""
    options = json.loads(sys.argv[1])
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    start_http_server(options["metrics_port"], addr="127.0.0.1")
    sys.exit(run_pipeline(*configured(options)))


def configured(options: dict[str, Any]) -> tuple[WorkerConfig, PipelineConfig]:
    """What `Installation.start_worker` says, as the pipeline takes it."""
    worker = WorkerConfig(data_dir=Path(options["data_dir"]), **options["worker"])
    return worker, PipelineConfig(
        funnels=tuple(map(Path, options["funnels"])),
        id_key=ID_KEY.encode(),
        registry=FileRegistry(),
        partitions=PARTITIONS,
        dead_letter_partitions=PARTITIONS,
        phone_region="US",
        limits=Limits(**options.get("limits", {})),
        channels=(CHANNEL_RULES,),
    )


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
