"""Faust's transport with a consumer of ours: it delivers runs, commits by the end of settled runs, and rewinds exactly.

What differs from the stock consumer (0.15.3), and why, is told once, in `agents.guard`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import aiokafka
from faust.transport.consumer import ensure_TP, ensure_TPset
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode.threads import WorkerThread

from agents.alignment import STEP, Alignment
from agents.batching import Positions, Record, Run, RunScheduler
from agents.lag import Standing

if TYPE_CHECKING:
    from agents.app import RunApp

logger = logging.getLogger(__name__)
_DAY_MS = 24 * 60 * 60 * 1000
Settle = Callable[[], Coroutine[Any, Any, None]]


class _DaemonThread(WorkerThread):  # type: ignore[misc]  # mode is untyped for mypy
    """A process that has to end does not wait for its consumer thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.daemon = True


class RunConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped for mypy
    """The thread that owns the Kafka consumer: it fetches ahead and keeps the membership alive while handlers compute."""

    Worker = _DaemonThread
    app: RunApp

    def __post_init__(self) -> None:
        super().__post_init__()
        self.alignment = Alignment()

    def _create_worker_consumer(self, _transport: Any) -> aiokafka.AIOKafkaConsumer:
        config = self.app.config
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            client_id=config.app_id,
            group_id=config.app_id,
            bootstrap_servers=config.bootstrap_servers,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=None,
            # Reading back a large state takes longer than any limit one would set here; rebalances have their own.
            max_poll_interval_ms=_DAY_MS,
            fetch_max_wait_ms=500,
            fetch_max_bytes=config.fetch_bytes * 4,
            max_partition_fetch_bytes=config.fetch_bytes,
            check_crcs=config.check_crcs,
            request_timeout_ms=int(config.request_timeout * 1000),
            session_timeout_ms=int(config.session_timeout * 1000),
            rebalance_timeout_ms=int(config.rebalance_timeout * 1000),
            heartbeat_interval_ms=int(config.heartbeat_interval * 1000),
            **config.security.client_options(),
        )

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: frozenset[TP],
        timeout: float | None = None,  # noqa: ASYNC109  the signature is Faust's
        max_records: int | None = None,  # noqa: ARG002  so is this; ours is `most`
    ) -> Mapping[TP, list[Any]]:
        if not self.consumer.flow_active or not active_partitions:
            return {}
        fetch = super()._fetch_records
        aligned = frozenset(tp for tp in active_partitions if tp.topic in self.app.aligned_topics)
        # No more than the queue holds from one call: the rest stays, undecoded, in the fetcher.
        most = self.app.config.run_records

        async def take(tps: frozenset[TP], most: int, timeout: float = 0.0) -> dict[TP, list[Any]]:  # noqa: ASYNC109  aiokafka keeps it
            return dict(await fetch(consumer, tps, timeout=timeout, max_records=most)) if tps else {}

        async def drain(tp: TP, most: int) -> list[Any]:
            return (await take(frozenset((tp,)), most)).get(tp, [])

        found = await take(active_partitions - aligned, most)
        found |= await self.alignment.next(aligned, most, drain, self._reaches_further)
        if not found and timeout:
            # Of the others there is something; it waits for these.
            found = await take(active_partitions - self.alignment.ahead, STEP, timeout)
        return found

    def has_more(self, topics: Collection[str]) -> bool:
        """Whether there is more of these topics than was handed on, as far as the brokers have told. Callable from any thread."""
        assigned = self._consumer.assignment() if self._consumer is not None else ()
        return any(tp.topic in topics and (tp in self.alignment.ahead or self._reaches_further(tp)) for tp in assigned)

    def _reaches_further(self, tp: TP) -> bool:
        """Whether a partition is known to reach further than it was read."""
        position, end = self._reached(tp)
        return (position or 0) < (end or 0)

    def _reached(self, tp: TP) -> tuple[int | None, int | None]:
        """Up to where a partition was read, and where it ends, as far as the brokers have told. Callable from any thread."""
        subscription = self._consumer._subscription.subscription if self._consumer is not None else None
        if subscription is None or subscription.assignment is None or tp not in subscription.assignment.tps:
            return None, None
        state = subscription.assignment.state_value(tp)
        # Positions go past what isn't handed out, too: marks of transactions, and what compaction took.
        return state._position, state.highwater

    def standing(self, tp: TP, oldest: Record | None) -> Standing:
        """Where a partition stands whose first record in an agent's hands is `oldest`. Callable from any thread."""
        first = oldest if oldest is not None else self.alignment.first(tp)
        position, end = self._reached(tp)
        if first is not None:
            return Standing(first.offset, end, first.timestamp, here=True)
        fetcher = self._consumer._fetcher if self._consumer is not None else None
        # What has come lies undecoded in the fetcher until it is asked for.
        return Standing(position, end, None, here=fetcher is not None and tp in fetcher._records)

    def in_touch(self) -> bool:
        """Whether the broker that looks after our group answers, as far as is known. Callable from any thread."""
        return self._consumer is not None and self._consumer._coordinator.coordinator_id is not None

    async def rewind(self, tps: frozenset[TP]) -> dict[TP, int | None]:
        """Read on from what is committed, or from the very beginning where nothing is; returns the committed offsets."""
        committed: dict[TP, int | None] = await self.call_thread(self._rewind, tps)
        return committed

    async def _rewind(self, tps: frozenset[TP]) -> dict[TP, int | None]:
        self.alignment.clear()
        consumer = self._ensure_consumer()
        assigned = {ensure_TP(tp): tp for tp in consumer.assignment()}
        offsets: dict[TP, int | None] = {}
        fresh = []
        for tp in tps & assigned.keys():
            offsets[tp] = offset = await consumer.committed(assigned[tp])
            if offset is None or offset < 0:
                fresh.append(assigned[tp])
            else:
                consumer.seek(assigned[tp], offset)
        if fresh:
            await consumer.seek_to_beginning(*fresh)
        return offsets

    async def leave(self) -> None:
        """Close the Kafka consumer, which leaves the group, without settling or committing anything."""
        if self._consumer is not None:
            await self.call_thread(self._consumer.stop)

    async def member(self) -> tuple[int, str]:
        """Generation and member id under which the group knows this worker."""

        async def ask() -> tuple[int, str]:
            coordinator = self._ensure_consumer()._coordinator
            return coordinator.generation, coordinator.member_id

        known: tuple[int, str] = await self.call_thread(ask)
        return known


class RunConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped for mypy
    """Delivers runs of records and commits what has been settled.

    Agents ask `accepts(run)` right before handling a run, and call `settle(run)` when everything that follows from it is acknowledged.
    """

    app: RunApp
    _thread: RunConsumerThread

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scheduler = RunScheduler(self.app.run_topics, self.app.config.piece_records)
        self.positions = Positions()
        self.frozen = False
        """Set for good when the process is to end: nothing is committed any more."""
        self.handing_over = False
        """A rebalance has begun and its new assignment is not known yet: nothing may be handled or resumed."""
        self._fetching = asyncio.Lock()
        self.settlers: list[Settle] = []
        """Awaited before partitions are given up; each returns when its agent has no run in flight."""

    def _new_consumer_thread(self) -> RunConsumerThread:
        return RunConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- runs, on their way to the agents

    def accepts(self, run: Run) -> bool:
        """Whether `run` may still be handled: its partition has been ours ever since it was fetched, and is not about to go."""
        return run.epoch == self.positions.epoch and self.flow_active and not self.frozen

    def settle(self, run: Run) -> bool:
        """Take note that everything that follows from `run` is acknowledged; False if its partition has been given up since."""
        return not self.frozen and self.positions.settled(run)

    def has_more(self, topics: Collection[str]) -> bool:
        """Whether the brokers have told of records of these topics that were not fetched yet."""
        return self._thread.has_more(topics)

    def standings(self) -> dict[TP, Standing]:
        """Where each partition of the agents' topics stands that is ours."""
        tps = [tp for tp in self.assignment() if tp.topic in self.app.run_topics]
        return {tp: self._thread.standing(tp, self.positions.oldest(tp)) for tp in tps}

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if type(record) is not Run:
            return super()._to_message(tp, record)
        self.positions.fetched(record)
        generation = self.app.consumer_generation_id
        return ConsumerMessage(
            tp.topic, tp.partition, record.end - 1, 0.0, 0, None, None, record, None, 0, 0, tp, generation_id=generation
        )

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109  the signature is Faust's
        """What has been fetched, as messages. Whatever is left undelivered when the flow stops is fetched again: a rewind follows."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        async with self._fetching:
            epoch = self.positions.epoch
            active = frozenset(self._active_partitions)
            if not active or not self.flow_active or self.should_stop:
                records: Mapping[TP, list[Any]] = {}
            else:
                records = await self._thread.getmany(active, timeout)
        if not records:
            await asyncio.sleep(0 if active else 0.02)
            return
        for tp, record in self.scheduler.iterate(records):
            if epoch != self.positions.epoch or not self.flow_active or self.should_stop:
                return
            yield tp, self._to_message(tp, record)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                async for _, message in self.getmany(timeout=0.5):
                    await self.wait_first(self.callback(message), self.suspend_flow.wait())
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise
        except self.consumer_stopped_errors as error:
            if not self.app.should_stop:
                self.app.failure.fail("the Kafka consumer stopped", error)
        except Exception as error:  # whatever it is, records may have been skipped: the process must end
            self.app.failure.fail("fetching records failed", error)

    def on_buffer_drop(self, tp: TP) -> None:
        """An agent's queue has room again: fetch on, unless the partition is paused or no longer ours."""
        if tp in self._buffered_partitions:
            self._buffered_partitions.discard(tp)
            if tp not in self._paused_partitions and tp in self.assignment():
                self._active_partitions.add(tp)

    # -- acknowledgements and commits

    def ack(self, message: Any) -> bool:
        """Faust's own acknowledgements mean nothing here: an event is acknowledged even if its agent failed. See `settle`."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def force_commit(self, _topics: Any = None, **_transaction: Any) -> bool:
        """Commit the end of the longest prefix of settled runs of each partition, for the partitions that are ours."""
        assignment = self.assignment()
        offsets = {tp: end for tp, end in self.positions.committable().items() if tp in assignment}
        if self.frozen or not offsets:
            return False
        if not await self._commit(offsets):
            return False
        self.positions.committed(offsets)
        return True

    async def wait_empty(self) -> None:
        """Wait for the runs in flight, for a bounded time, and commit what they settled. Faust calls it before partitions go."""
        await self.settle_all()

    async def settle_all(self) -> None:
        """Let the runs in flight be settled, and commit. A run that takes too long ends the process.

        It may not simply be dropped: its batches could still reach the brokers after the next owner has read the state back.
        """
        if self.frozen:
            return
        config = self.app.config
        try:
            async with asyncio.timeout(config.settle_timeout):
                for settler in self.settlers:
                    await settler()
        except TimeoutError as error:
            self.app.failure.fail(
                f"runs in flight were not settled within {config.settle_timeout:g} s of a rebalance", error
            )
            return
        await self.commit()

    # -- rebalances

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Settle and commit while the partitions are still ours, and only then let them go."""
        self.handing_over = True
        self.stop_flow()
        self.app.flow_control.suspend()
        await self.settle_all()
        self.positions.begin()
        self._buffered_partitions.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A new epoch: runs fetched before this are not handled any more."""
        self.stop_flow()
        self.handing_over = False
        self.positions.begin()
        self._buffered_partitions.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Read on from what is committed, or from the beginning where nothing is. The flow must have been stopped."""
        # A fetch under way would, if it ended after the rewind, take records that nobody gets to see.
        async with self._fetching:
            await self._rewind()

    async def _rewind(self) -> None:
        self.positions.begin()
        tps = frozenset(tp for tp in self.assignment() if not self._is_changelog_tp(tp))
        committed = await self._thread.rewind(tps)
        self.positions.committed({tp: offset for tp, offset in committed.items() if offset is not None})
        for tp, offset in committed.items():
            self._read_offset[tp] = offset or None
            self._committed_offset[tp] = offset or None

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Stop fetching from `tps`."""
        super().pause_partitions(tps)
        self._buffered_partitions.difference_update(ensure_TPset(tps))

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's detector of stalled partitions reads its Monitor, which is off here; how far an agent is stands in `agents.driver.Progress`."""


class RunTransport(driver.Transport):  # type: ignore[misc]  # Faust is untyped for mypy
    """aiokafka, consumed in runs."""

    Consumer: ClassVar[type[RunConsumer]] = RunConsumer
