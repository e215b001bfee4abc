"""What every agent does with its runs: handle, ship, and only then let the offset be committed.

The order for each run is: (1) its changelog records acknowledged, and nobody else's before them (`agents.fencing`), (2) its outputs acknowledged, (3) the run settled, so that its offset may
be committed. Runs of one partition go through each step in order; a few of them may be on their way at once, so handlers work while batches
travel. A handler's memory may be ahead of what is acknowledged: if anything fails, the process ends and the memory with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from faust.types import TP

from agents import metrics
from agents.batching import Record, Run
from agents.fencing import Ownership, Tenure
from agents.gathering import PATIENCE, Gathering
from agents.shipping import Change, Output
from agents.tracing import Span, carrying

if TYPE_CHECKING:
    from agents.app import RunApp

ROUNDS = 20
"""Of the event loop between two runs. It takes a few of them to bring a run from the consumer to its agent; with a single one, each would
come at the price of as many runs handled, and agents that are behind would get short runs while plenty has been fetched."""

__all__ = ["Change", "Handler", "HandlerError", "Progress", "RunDriver", "Shipment"]


class Shipment(NamedTuple):
    """What follows from a run of records.

    Attributes:
        changelog: groups of changes; each group is stored whole or not at all. They go to the changelog partition with the run's number.
        outputs: records for other topics, sent once the changes are safe.
        settled: called once all of it is acknowledged (to count, for example); never called for a run that is redelivered elsewhere.
    """

    changelog: Sequence[Sequence[Change]] = ()
    outputs: Sequence[Output] = ()
    settled: Callable[[], None] | None = None


class Handler(Protocol):
    """An agent's logic."""

    def handle(self, tp: TP, records: Sequence[Record]) -> Shipment:
        """What follows from `records`, which are in order and of one partition. It does no I/O and awaits nothing.

        Whatever it raises ends the process, so input that it cannot use must become an output (a dead letter) instead.
        """


@dataclass
class Progress:
    """How far an agent is; for metrics, and to see from outside that it moves."""

    runs_handled: int = 0
    runs_settled: int = 0
    records_settled: int = 0
    last_settled: float = field(default_factory=time.monotonic)
    """On the monotonic clock."""

    @property
    def in_flight(self) -> int:
        """Runs handled but not settled, those given up in a rebalance aside."""
        return self.runs_handled - self.runs_settled


class _Turns:
    """Keeps the steps of one partition's runs in order."""

    __slots__ = ("changelog", "outputs")

    def __init__(self) -> None:
        self.changelog = asyncio.Lock()
        self.outputs = asyncio.Lock()


class RunDriver:
    """Takes an agent's runs through its handler and everything after it."""

    def __init__(
        self,
        app: RunApp,
        name: str,
        topics: Collection[str],
        handler: Handler,
        *,
        changelog: str | None = None,
        ownership: Ownership | None = None,
        fed_by: Sequence[RunDriver] = (),
    ) -> None:
        self.name = name
        self.topics = frozenset(topics)
        self.gathering: Gathering = Gathering(
            app.config.run_records,
            PATIENCE if fed_by else 0.0,
            [feeder.gathering for feeder in fed_by],
            lambda: app.consumer.has_more(topics),
        )
        self.progress = Progress()
        self._app = app
        self._handler = handler
        self.changelog = changelog
        self._ownership = ownership
        self._slots = asyncio.Semaphore(app.config.runs_in_flight)
        self._turns: dict[TP, _Turns] = {}
        self._settling: set[asyncio.Task[None]] = set()
        # Looked up once: a label costs more than what is counted.
        self._run_seconds = metrics.RUN_SECONDS.labels(name)
        self._changelog_seconds = metrics.DELIVERY_SECONDS.labels(name, "changelog")
        self._outputs_seconds = metrics.DELIVERY_SECONDS.labels(name, "outputs")

    async def drive(self, runs: AsyncIterable[Run]) -> None:
        """Handle `runs` until they end."""
        gathering = self.gathering
        gathering.open()
        coming = asyncio.ensure_future(self._gather(runs))
        try:
            while True:
                await self._slots.acquire()
                run = await gathering.take()
                if run is not None and self._handle(run):
                    await self._let_others()
                    continue
                self._slots.release()
                if run is None:
                    await coming  # raises what ended it
                    return
        finally:
            coming.cancel()

    async def _let_others(self) -> None:
        """The other agents' turn, and that of those who bring the next runs, even if nothing has to be waited for here."""
        for _ in range(ROUNDS):
            await asyncio.sleep(0)

    async def _gather(self, runs: AsyncIterable[Run]) -> None:
        try:
            async for run in runs:
                await self.gathering.gather(run)
        finally:
            self.gathering.close()

    def _handle(self, run: Run) -> bool:
        """Handle a run, and let it be settled in its turn; False if it may not be handled any more."""
        # Nothing is awaited between this question and the handler: the answer would be out of date.
        if not self._app.consumer.accepts(run):
            return False
        try:
            tenure, tracer = self._tenure(run), self._app.run_tracer
            span = None if tracer is None else tracer.run(self.name, run)
            began = time.monotonic()
            shipment = self._handler.handle(run.tp, run.records)
            took = time.monotonic() - began
            self.gathering.handled(len(run.records), took)
            self._run_seconds.observe(took)
        except Exception as error:
            raise HandlerError(f"agent {self.name} failed on {run!r}: {error!r}") from error
        self.progress.runs_handled += 1
        task = asyncio.get_running_loop().create_task(self._settle(run, shipment, tenure, span))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return True

    async def wait_settled(self) -> None:
        """Return when no run is in flight."""
        while self._settling:
            await asyncio.wait(self._settling)

    async def _settle(self, run: Run, shipment: Shipment, tenure: Tenure | None, span: Span | None) -> None:
        try:
            outputs = shipment.outputs if span is None else carrying(shipment.outputs, span.headers)
            turns = self._turns.setdefault(run.tp, _Turns())
            async with turns.changelog:
                if self._given_up():
                    return
                if shipment.changelog:
                    with self._changelog_seconds.time():
                        await self._ship_changelog(run, shipment.changelog, tenure)
                    if span is not None:
                        span.note("changelog acknowledged")
            async with turns.outputs:
                if self._given_up():
                    return
                if outputs:
                    with self._outputs_seconds.time():
                        await self._app.shipper.ship(outputs)
                if self._app.consumer.settle(run) and shipment.settled is not None:
                    shipment.settled()
            self.progress.runs_settled += 1
            self.progress.records_settled += len(run.records)
            self.progress.last_settled = time.monotonic()
        except Exception as error:  # whatever it is, the run must not be acknowledged
            self._app.failure.fail(f"agent {self.name} could not settle {run!r}", error)
        finally:
            if span is not None:
                span.end()
            self._slots.release()

    def _given_up(self) -> bool:
        return self._app.failure.failed

    def _tenure(self, run: Run) -> Tenure | None:
        """In which the run's changes are written; None where nobody is fenced off."""
        if self._ownership is None or not self._app.takeover.fenced:
            return None
        return self._ownership.of(run.tp.partition)

    async def _ship_changelog(self, run: Run, groups: Sequence[Sequence[Change]], tenure: Tenure | None) -> None:
        topic, partition = self.changelog, run.tp.partition
        if topic is None:
            raise HandlerError(f"agent {self.name} has changes but no changelog")
        deliveries = await self._app.shipper.ship_groups(
            topic, partition, groups, () if tenure is None else tenure.headers
        )
        if tenure is not None:
            tenure.wrote(deliveries)


class HandlerError(RuntimeError):
    """An agent's handler raised, or gave what cannot be shipped."""
