"""The Faust app: the only wiring of Faust, and how a worker runs and ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Sequence
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager
from faust.topics import Topic
from mode import ServiceT

from agents import guard
from agents.batching import Run
from agents.config import WorkerConfig
from agents.driver import Handler, Progress, RunDriver
from agents.faust_settings import faust_settings
from agents.recovery import RunRecovery
from agents.shipping import Shipper, ShippingError
from agents.store import PartitionStore, StateTable
from agents.takeover import Takeover
from agents.tracing import Tracer
from agents.transport import RunTransport
from agents.watch import Beat, Watch

logger = logging.getLogger(__name__)
CHANGELOG = "journey-prospects-changelog"
SWITCH_SECONDS = 0.05
"""How long handlers may compute before the consumer's thread, which fetches ahead, gets a turn.

Python's own 5 ms makes the two threads pass the interpreter, and the caches, to and fro: end to end a quarter slower.
Heartbeats have seconds.
"""


class RawTopic(Topic):  # type: ignore[misc]  # Faust is untyped for mypy
    """A topic whose keys and values stay the bytes they are."""

    app: RunApp

    def _compile_decode(self) -> None:
        if not self.app.raw_topics:
            self.schema = faust.Schema(value_serializer="json")
            super()._compile_decode()
            return

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001  Faust asks for it
            return self._create_event(message.key, message.value, message.headers, message=message)

        self.decode = decode


class _Boot(BootStrategy):  # type: ignore[misc]  # Faust is untyped for mypy
    """No web server in any form, and no producer of Faust's: records leave through the shipper."""

    enable_web = False
    enable_kafka_producer = False


class _Tables(TableManager):  # type: ignore[misc]  # Faust is untyped for mypy
    """Tables recovered by `agents.recovery`."""

    _recovery: Any

    @property
    def recovery(self) -> Any:
        if self._recovery is None:
            self._recovery = RunRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Start at once: Faust waits a second for tables to be declared, and all of them are."""
        await self._update_channels()
        await self.recovery.start()


class RunApp(faust.App):  # type: ignore[misc]  # Faust is untyped for mypy
    """A Faust app whose agents take runs of records."""

    BootStrategy = _Boot

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.failure = guard.Failure()
        self.shipper = Shipper(config)
        self.takeover = Takeover(config, self.shipper)
        self.run_topics: set[str] = set()
        self.aligned_topics: set[str] = set()
        self.drivers: dict[str, RunDriver] = {}
        self.run_tracer: Tracer | None = None
        """Told of each run. (`tracer` is a name of Faust's, for one of another kind.)"""
        self.looks: list[Callable[[], None]] = []
        """Called every second (`agents.watch`), for what only the agents know of themselves."""
        self.fail_stop = True
        self.raw_topics = True
        self._copartitioned: dict[StateTable, set[str]] = {}
        super().__init__(config.app_id, TableManager=_Tables, **faust_settings(config))

    # -- what agents are made of

    def state(self, name: str = "prospects", *, changelog: str = CHANGELOG) -> StateTable:
        """A table kept in the topic `changelog` (which gets the configured prefix); call it once a name."""
        topic = self._raw_topic(changelog, acks=False, maxsize=1024)
        table = StateTable(self, name=name, changelog_topic=topic, key_type=bytes, value_type=bytes)
        self.tables.add(table)
        self._copartitioned[table] = set()
        return table

    def add_agent(
        self,
        name: str,
        topics: Iterable[str],
        handler: Handler,
        *,
        state: StateTable | None = None,
        fed_by: Sequence[RunDriver] = (),
        aligned: bool = False,
    ) -> RunDriver:
        """An agent that hands runs of `topics` (names without prefix) to `handler`, one at a time.

        With `state`, the handler's changes go to its changelog; source topics and changelog must have equally many partitions. Agents that it
        is `fed_by` go first while it could take longer runs later. `aligned` says to go through the topics at one pace (`agents.alignment`).
        """
        names = [self.config.topic(topic) for topic in topics]
        self.run_topics.update(names)
        if aligned:
            self.aligned_topics.update(names)
        driver = RunDriver(
            self,
            name,
            names,
            handler,
            changelog=state.changelog_topic_name if state is not None else None,
            ownership=state.ownership if state is not None else None,
            fed_by=fed_by,
        )
        self.drivers[name] = driver
        if state is not None:
            self._copartitioned[state].update(names)

        async def agent(stream: AsyncIterable[Run]) -> None:
            try:
                await driver.drive(stream)
            except asyncio.CancelledError:
                if not self.failure.failed:
                    raise
            except Exception as error:
                if not self.fail_stop:
                    raise
                self.failure.fail(f"agent {name} failed", error)

        # The name is always given: without one, Faust would make a topic's name of it.
        self.agent(self._raw_topic(*topics, maxsize=self.config.queued_runs), name=name, concurrency=1)(agent)
        return driver

    @property
    def progress(self) -> dict[str, Progress]:
        """How far each agent is, by its name."""
        return {name: driver.progress for name, driver in self.drivers.items()}

    # -- how its parts hang together

    def freeze(self) -> None:
        """Let nothing be committed any more; the process is about to end."""
        if self._consumer is not None:
            self._consumer.frozen = True
            self._consumer.stop_flow()

    async def settle(self) -> None:
        """Take no more runs, finish those in flight and commit them."""
        if self._consumer is not None:
            self._consumer.stop_flow()
            self.flow_control.suspend()
            await self._consumer.settle_all()

    def check_copartitioning(self, table: StateTable, partitions: Collection[int]) -> None:
        """Refuse an assignment where the state of a source partition would be elsewhere.

        Raises:
            RuntimeError: naming the topics and partitions.
        """
        for topic in self._copartitioned.get(table, ()):
            sources = {tp.partition for tp in self.consumer.assignment() if tp.topic == topic}
            if sources != set(partitions):
                raise RuntimeError(
                    f"partitions {sorted(sources)} of {topic} are assigned here, but {sorted(partitions)} of its changelog "
                    f"{table.changelog_topic_name}; both topics need the same number of partitions (`journey topics` checks that)"
                )

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """The services to start; Faust's own would add its Monitor, which costs on every event."""
        services: Iterable[ServiceT] = self.boot_strategy.server()
        return services

    def on_rebalance_start(self) -> None:
        """Tell the tables; without sensors, Faust would warn of their missing notes at each rebalance."""
        super().on_rebalance_start()
        self._rebalancing_sensor_state = {"none": None}

    def _new_transport(self) -> RunTransport:
        return RunTransport(self.conf.broker_consumer, self)

    def _new_consumer(self) -> Any:
        consumer = super()._new_consumer()
        consumer.settlers.append(self.takeover.wait_written)
        consumer.settlers.extend(driver.wait_settled for driver in self.drivers.values())
        return consumer

    def _raw_topic(self, *names: str, acks: bool = True, maxsize: int) -> RawTopic:
        return RawTopic(
            self,
            topics=[self.config.topic(name) for name in names],
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            allow_empty=True,
            acks=acks,
            maxsize=maxsize,
        )


def build_app(config: WorkerConfig) -> RunApp:
    """An app without agents yet."""
    config.data_dir.mkdir(parents=True, exist_ok=True)
    return RunApp(config)


def run_worker(
    config: WorkerConfig,
    equip: Callable[[RunApp], object],
    *,
    beat: Beat = lambda _: None,
    without: Collection[str] = (),
) -> int:
    """Run a worker in this process until SIGTERM or SIGINT, or until something fails.

    Logging stays as the caller configured it. To be called from the main thread.

    Args:
        config: what the worker needs to know.
        equip: adds the agents to the app it is given.
        beat: told every second, from the event loop, what keeps the worker from being ready; None: it is.
        without: fixes to take out (`agents.guard`); for tests only.

    Returns:
        The exit code: 0 after a requested stop, with everything in flight settled and committed and the group left; 1 otherwise.
    """
    # Thousands of records are alive at any time; looking through them every 700 allocations costs a tenth of the throughput.
    gc.set_threshold(200_000, 20, 100)
    sys.setswitchinterval(SWITCH_SECONDS)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        code = loop.run_until_complete(_serve(config, equip, beat, without))
        _cancel_all(loop)
        return code
    finally:
        asyncio.set_event_loop(None)
        # asyncio closes the pipe before it takes the handlers away; a signal in between would complain on stderr.
        signal.set_wakeup_fd(-1)
        loop.close()


async def _serve(config: WorkerConfig, equip: Callable[[RunApp], object], beat: Beat, without: Collection[str]) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = build_app(config)
    equip(app)
    guard.install(app, without=without)
    waiting = [asyncio.ensure_future(event.wait()) for event in (stop, app.failure.happened, app._crashed)]
    starting, watching = asyncio.ensure_future(_start(app)), asyncio.ensure_future(Watch(app, beat).run())
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()  # a stop has a time limit of its own
    if not stop.is_set() and not app.failure.failed:
        app.failure.fail("Faust crashed", app.crash_reason)
    if app.failure.failed:
        starting.cancel()
        return await _abandon(app)
    return await _stop(app, starting)


async def _start(app: RunApp) -> None:
    try:
        await app.shipper.start()
        await app.start()
    except ShippingError as error:
        app.failure.fail("the worker could not start", error)
    except Exception as error:  # whatever it is, the worker is not running
        app.failure.fail("the worker could not start", error)


async def _stop(app: RunApp, starting: asyncio.Future[None]) -> int:
    """Finish what is in flight, commit, leave the group."""
    timeout = app.config.stop_timeout
    deadline = asyncio.get_running_loop().time() + timeout
    logger.info("stopping: finishing the runs in flight")
    try:
        async with asyncio.timeout_at(deadline):
            await app.settle()
    except TimeoutError:
        app.failure.fail(f"the runs in flight were not settled within {timeout:g} s of the request to stop", None)
    if app.failure.failed:
        return await _abandon(app)
    try:
        async with asyncio.timeout_at(deadline):
            await app.stop()
            await app.shipper.stop()
            starting.cancel()
    except TimeoutError:
        # Everything is committed; the group will notice by itself. This happens while the group is between two assignments.
        logger.warning("stopped without waiting for the group's answer")
    logger.info("stopped")
    return 0


async def _abandon(app: RunApp) -> int:
    """End without settling anything: send nothing more, then leave the group so that others take over at once."""
    # Whatever hangs from here on, the process ends.
    last_resort = threading.Timer(5.0, os._exit, [1])
    last_resort.daemon = True
    last_resort.start()
    with contextlib.suppress(Exception):
        await app.shipper.abort()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(2.0):
            await app.consumer._thread.leave()
    return 1


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))


__all__ = ["CHANGELOG", "PartitionStore", "RunApp", "build_app", "run_worker"]
