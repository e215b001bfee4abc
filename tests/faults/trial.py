"""One scenario: an installation under load, what happens to it, and the verdict of a process that was not there."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sinks.config import ClickHouseConfig, SinkConfig
from tests.broker import LOOPBACK, unique
from tests.clickhouse import ClickHouse, fresh_database
from tests.faults.evidence import DEAD_LETTERS, FACTS, committed_offsets
from tests.faults.fleet import Fleet, SupervisedSink, tail, until
from tests.faults.load import Generate, Load, populated
from tests.faults.servers import Servers
from tests.pipeline import ID_KEY, PARTITIONS, SALES, Installation
from tests.warehouse import prepare

PACE = {"pace": 0.02}
"""Seconds at most that a delivery of a harmed worker is late, before and after."""
WORKER = {
    "idempotent": True,
    "session_timeout": 3.0,
    "heartbeat_interval": 0.5,
    "rebalance_timeout": 15.0,
    "settle_timeout": 8.0,
    "request_timeout": 8.0,
    "delivery_timeout": 6.0,
    "run_records": 40,
}
"""Small runs and short patience: more moments at which something can go wrong, and less waiting for what is gone."""
QUICK = {"session_timeout": 1.5, "heartbeat_interval": 0.3}
"""Where workers die: the group waits no longer for the dead. Elsewhere a busy machine must not make anybody miss a session."""


@dataclass(frozen=True)
class Scenario:
    """A way in which things go wrong.

    Attributes:
        name: of the test.
        steps: what happens; when it returns, the fault is over.
        seed: every choice of the scenario comes from it.
        events: how many are sent ...
        seconds: ... over how long; what is left when the fault is over is sent at once.
        workers: how many run when it begins.
        harm: what happens to every worker (`tests.faults.worker.HARMS`).
        worker: settings of the workers other than `WORKER`.
        proxied: whether workers reach the broker through the proxy.
        generate: makes the events.
        bound: seconds after the end of the fault in which everything must be worked off.
    """

    name: str
    steps: Callable[[Trial], Awaitable[None]]
    seed: int = 1
    events: int = 1_500
    seconds: float = 8.0
    workers: int = 1
    harm: Mapping[str, Any] = field(default_factory=lambda: PACE)
    worker: Mapping[str, Any] = field(default_factory=dict)
    proxied: bool = False
    generate: Generate = populated
    bound: float = 45.0


@dataclass
class Verdict:
    """What a verifier said."""

    findings: list[dict[str, str]]
    accounting: dict[str, int]
    tables: dict[str, str]
    judged: int
    """How many identifiers' facts could be judged, as nothing of them was under way."""

    def __str__(self) -> str:
        return "\n".join(f"  {one['check']}: {one['what']}" for one in self.findings) or "  nothing is wrong"


class Trial:
    """A scenario while it runs; `steps` get it."""

    def __init__(self, scenario: Scenario, servers: Servers, directory: Path, clickhouse: ClickHouse) -> None:
        self.scenario, self.servers, self.directory = scenario, servers, directory
        self.rng = random.Random(scenario.seed)
        worker = WORKER | dict(scenario.worker)
        if scenario.proxied:
            worker["brokers"] = servers.kafka_proxy.address
        self.installation = Installation(servers.kafka, directory, unique(scenario.name), **worker)
        self.fleet = Fleet(self.installation, scenario.harm)
        self.load = Load(scenario.seed, scenario.generate, scenario.events)
        self.notes: dict[str, Any] = {}
        """Measured; for the report."""
        self._clickhouse = clickhouse
        self._events = directory / "events.json"
        proxy = servers.clickhouse_proxy
        prefix = self.installation.prefix
        self.sink = SupervisedSink(
            SinkConfig(
                servers.kafka.bootstrap,
                ClickHouseConfig(proxy.host, proxy.port, clickhouse.database),
                ID_KEY.encode(),
                facts_topic=prefix + FACTS,
                dead_letters_topic=prefix + DEAD_LETTERS,
                group=prefix + "journey-sink",
                max_delay=0.2,
                session_timeout=4.0,
                first_retry=0.1,
                longest_retry=1.0,
            ),
            directory / "sink.log",
        )

    @property
    def clickhouse(self) -> ClickHouse:
        """Past the proxy."""
        return self._clickhouse

    async def run(self) -> None:
        """The scenario, from the first event until everything is worked off.

        Raises:
            TimeoutError: it was not within the bound.
        """
        self.load.write(self._events)
        prepare(self._clickhouse, [SALES])
        for _ in range(self.scenario.workers):
            self.fleet.start()
        await self.fleet.ready()
        loading = asyncio.create_task(self.load.run(self.installation, self.scenario.seconds))
        try:
            await self.scenario.steps(self)
            over = time.monotonic()
            self.load.finish()
            await loading
            await until(self.is_drained, seconds=self.scenario.bound, what="everything is worked off after the fault")
            self.notes["worked off after"] = round(time.monotonic() - over, 1)
        finally:
            loading.cancel()

    async def is_drained(self) -> bool:
        """Whether the groups of workers and of the sink have committed everything there is."""
        return await self.installation.lag() == 0 and await self._sink_lag() == 0

    async def _sink_lag(self) -> int:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        prefix = self.installation.prefix
        committed = await committed_offsets(self.servers.kafka.bootstrap, f"{prefix}journey-sink", prefix)
        names = [(name, partition) for name in (FACTS, DEAD_LETTERS) for partition in range(PARTITIONS)]
        async with AIOKafkaConsumer(bootstrap_servers=self.servers.kafka.bootstrap) as consumer:
            ends = await consumer.end_offsets([TopicPartition(prefix + name, number) for name, number in names])
        return sum(end - committed.get(name, 0) for name, end in zip(names, ends.values(), strict=True))

    async def verify(self, *, patience: float = 20.0) -> Verdict:
        """The verdict at the end. Visits that expire by the wall clock follow when workers have nothing else to do: that is waited for."""
        deadline = time.monotonic() + patience
        address = f"{LOOPBACK}:{self.servers.clickhouse.native_port}/{self._clickhouse.database}"
        while True:
            verdict = await self._ask("--clickhouse", address, "--events", str(self._events))
            if not verdict.findings or time.monotonic() > deadline:
                return verdict

    async def look(self) -> Verdict:
        """The verdict in the middle of things; also kept for the end."""
        verdict = await self._ask("--while-running")
        self.notes.setdefault("judged", []).append(verdict.judged)
        if verdict.findings:
            raise UnsafeMoment(verdict)
        return verdict

    async def _ask(self, *more: str) -> Verdict:
        bootstrap, prefix = self.servers.kafka.bootstrap, self.installation.prefix
        report = await self.servers.judge.ask(["--bootstrap", bootstrap, "--prefix", prefix, *more])
        return Verdict(report["findings"], report["accounting"], report.get("tables", {}), report["judged"])

    def describe(self) -> str:
        """For a failure: how to have it again, and how the workers ended."""
        ends = [f"exit code {code}:\n{tail(worker)}" for worker, code in self.fleet.ended[-2:]]
        return "\n".join([f"scenario {self.scenario.name}, seed {self.scenario.seed}; measured: {self.notes}", *ends])


class UnsafeMoment(AssertionError):
    """In the middle of things, something was not as it must always be."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"a crash at this moment would lose or double something:\n{verdict}")
        self.verdict = verdict


@asynccontextmanager
async def trial_of(scenario: Scenario, servers: Servers, directory: Path) -> AsyncIterator[Trial]:
    """Topics, tables, workers and a sink of their own for a scenario; nothing of it is left behind."""
    with fresh_database(servers.clickhouse) as clickhouse:
        trial = Trial(scenario, servers, directory, clickhouse)
        try:
            with trial.installation:
                async with trial.fleet, trial.sink:
                    yield trial
        finally:
            servers.mend()


async def passed(scenario: Scenario, servers: Servers, directory: Path) -> str:
    """Run a scenario and have it judged; a line of what was measured.

    Raises:
        AssertionError: the verifier found something. Like every other error it tells the seed.
    """
    began = time.monotonic()
    async with trial_of(scenario, servers, directory) as trial:
        try:
            await trial.run()
            verdict = await trial.verify()
            assert not verdict.findings, f"the verifier found:\n{verdict}"
        except Exception as error:
            error.add_note(trial.describe())
            raise
        took = time.monotonic() - began
    return f"{scenario.name}: {took:.0f} s, seed {scenario.seed}, {trial.notes}, {verdict.accounting}"
