"""The sink: topics `facts`, `dead-letters` and `alert-deliveries` into ClickHouse, as a consumer group of its own.

Offsets are committed after the insert, so a crash, a lost connection or a rebalance inserts some rows again, and the tables keep one of each.
While ClickHouse is away the one batch in hand waits, the partitions are paused, and polling goes on so that the group keeps us.
When partitions move, all that is in hand is dropped uncommitted: whoever has them now reads it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import signal
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from clickhouse_driver.errors import ServerException

from sinks import metrics
from sinks.base import Collector
from sinks.batch import Batch, Frozen
from sinks.clickhouse import RETRYABLE, Writer, reason_of
from sinks.config import SinkConfig
from sinks.dead_letters import DeadLettersCollector
from sinks.deliveries import DeliveriesCollector
from sinks.errors import PoisonRecordError, SinkError
from sinks.facts import FactsCollector
from sinks.identifiers import Opener
from sinks.lag import Lag
from sinks.rebalances import Listener
from sinks.threads import insert_in_thread
from sinks.tracing import Tracer
from sinks.watch import Beat, Watch

_POLL_MILLISECONDS = 100
_LEAVE_SECONDS = 3.0
UNREADY_AFTER = 15.0
"""A sink that has held a batch for so long (seconds) is not ready: ClickHouse refuses it, or is silent. Its restarts are shorter."""
T = TypeVar("T")
_log = structlog.get_logger(__name__)


def run_sink(config: SinkConfig, beat: Beat = lambda _: None, tracer: Tracer | None = None) -> int:
    """Run the sink in this process until SIGTERM or SIGINT.

    Args:
        config: what the sink needs to know.
        beat: told every second, from the event loop, what keeps the sink from being ready; None: it is.
        tracer: told of inserts.

    Returns:
        The exit code: 0 after a stop that was asked for, 1 after an error, which is logged.
    """
    tune()
    try:
        asyncio.run(_run(config, beat, tracer))
    except (SinkError, KafkaError, OSError) as error:
        _log.error("sink_failed", error=str(error) or repr(error))
        return 1
    return 0


def tune() -> None:
    """Settings of the whole process that a sink wants."""
    # The driver logs each refused connection with its traceback; we say once an attempt what is wrong.
    logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)
    # Batches are tens of thousands of tuples that all live equally long; looking through them for cycles finds none.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


async def _run(config: SinkConfig, beat: Beat, tracer: Tracer | None) -> None:
    sink = Sink(config, beat, tracer)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, sink.stop)
    await sink.run()
    # asyncio closes the pipe before it takes the handlers away; a signal in between would complain on stderr.
    signal.set_wakeup_fd(-1)


class Sink:
    """One member of the sink's group. `run` it once; `stop` may be called at any time, from the same event loop."""

    def __init__(self, config: SinkConfig, beat: Beat = lambda _: None, tracer: Tracer | None = None) -> None:
        """Args: config: what it needs to know; beat, tracer: see `run_sink`."""
        self._config, self._beat, self._tracer = config, beat, tracer
        self._parents: list[bytes] = []
        """Where the batch's records came from, for the tracer."""
        self.lag = Lag()
        self._writer = Writer(config.clickhouse)
        collectors: dict[str, Collector] = {
            config.facts_topic: FactsCollector(Opener(config.id_key, config.personal_data)),
            config.dead_letters_topic: DeadLettersCollector(),
        }
        if config.deliveries_topic:
            collectors[config.deliveries_topic] = DeliveriesCollector()
        self._topics = sorted(collectors)
        self._batch = Batch(collectors, config.max_rows, config.max_bytes, config.max_delay)
        self._pending: list[Any] = []
        self._uncommitted: dict[TopicPartition, int] = {}
        self._generation = 0
        self._paused = False
        self._held_since: float | None = None
        self._joined = False
        self._stopping = asyncio.Event()
        self._stop_by: float | None = None

    def stop(self) -> None:
        """Ask it to insert and commit what it has, leave the group and return from `run`."""
        if not self._stopping.is_set():
            self._stop_by = time.monotonic() + self._config.stop_seconds
            self._stopping.set()

    async def run(self) -> None:
        """Consume until `stop`.

        Raises:
            SinkError: a record can't be read, a row can't be sent, or Kafka can't be reached at the start.
            aiokafka.errors.KafkaError: the brokers refuse us.
        """
        config = self._config
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=config.brokers,
            group_id=config.group,
            client_id=config.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=config.fetch_bytes,
            fetch_max_bytes=4 * config.fetch_bytes,
            session_timeout_ms=round(config.session_timeout * 1000),
            heartbeat_interval_ms=round(config.session_timeout * 200),
            max_poll_interval_ms=300_000,
            rebalance_timeout_ms=round(config.rebalance_timeout * 1000),
            **config.kafka_options,
        )
        self._consumer.subscribe(self._topics, listener=Listener(self))
        watching = asyncio.ensure_future(Watch(self, self._consumer, self._topics, self._beat).run())
        try:
            try:
                await self._until_stop(self._consumer.start())
            except KafkaError as error:
                raise SinkError(f"no Kafka at {config.brokers}: {error}; start it, or set JOURNEY_KAFKA") from error
            _log.info("sink_started", topics=self._topics, group=config.group)
            while not self._stopping.is_set():
                await self._turn()
            await self._insert_rest()
        finally:
            watching.cancel()
            await self._leave()

    @property
    def missing(self) -> str | None:
        """What keeps it from being ready, for people; None: it is."""
        if self._stopping.is_set():
            return "the sink ends"
        if not self._joined:
            return "the group has not been joined, or partitions are changing hands"
        held = 0.0 if self.held_since is None else time.monotonic() - self.held_since
        return f"ClickHouse has not taken a batch for {held:.0f} s" if held > UNREADY_AFTER else None

    @property
    def held_since(self) -> float | None:
        """Since when (`time.monotonic`) it holds the batch that it fills or inserts; None: it holds none."""
        return self._batch.since if self._held_since is None else self._held_since

    async def _turn(self) -> None:
        """Take what has come, and insert it when it is enough or has waited enough."""
        if not self._pending:
            self._pending = await self._poll()
        generation = self._generation
        records, self._pending = self._pending, []
        for index, record in enumerate(records):
            try:
                self._batch.add(record, time.monotonic())
            except PoisonRecordError:
                await self._insert_rest()  # what lies before it is good
                raise
            if self._batch.is_full:
                self._pending = records[index + 1 :]
                self._took(records[: index + 1])
                await self._flush()
                if self._generation != generation or self._stopping.is_set():
                    return
                break
        else:
            self._took(records)
        metrics.BATCH_ROWS.set(self._batch.rows)
        if self._batch.is_due(time.monotonic()):
            await self._flush()
        await self._commit()

    def _took(self, records: list[Any]) -> None:
        if self._tracer is not None:
            self._parents += self._tracer.parents(records)

    async def _poll(self) -> list[Any]:
        """Records of one moment; none where we are to stop meanwhile."""
        # aiokafka gives no record of an assignment that has ended, but between its giving and our taking partitions may move, hence the generation.
        fetched = await self._until_stop(self._fetch())
        if fetched is None or fetched[0] != self._generation:
            return []
        for partition, records in fetched[1].items():
            self.lag.fetched(partition, records)
        return [record for found in fetched[1].values() for record in found]

    async def _fetch(self) -> tuple[int, dict[Any, list[Any]]]:
        fetched: dict[Any, list[Any]] = await self._consumer.getmany(timeout_ms=_POLL_MILLISECONDS)
        return self._generation, fetched

    async def _flush(self) -> None:
        """Insert the batch, however long that takes, and note what may be committed. Drops it when partitions move or time to stop is up."""
        self._held_since = self._batch.since
        frozen, generation = self._batch.freeze(), self._generation
        parents, self._parents = self._parents, []
        span = (
            None if self._tracer is None else self._tracer.insert(parents, frozen.rows, sum(frozen.messages.values()))
        )
        metrics.BATCH_ROWS.set(frozen.rows)
        attempt = 0
        try:
            while not await self._attempt(frozen):
                attempt += 1
                if span is not None:
                    span.note("failed")
                metrics.RETRIES.inc()
                self._pause()
                await self._wait(
                    min(self._config.first_retry * 2 ** min(attempt - 1, 30), self._config.longest_retry), generation
                )
                if self._generation != generation:
                    _log.info(
                        "sink_batch_dropped",
                        reason="partitions moved; they are read again by whoever has them",
                        rows=frozen.rows,
                    )
                    return
                if self._is_late():
                    _log.warning(
                        "sink_batch_dropped",
                        reason="stopped while ClickHouse was away; it is read again at the next start",
                        rows=frozen.rows,
                    )
                    return
        finally:
            if span is not None:
                span.end()
            metrics.BATCH_ROWS.set(0)
            self._held_since = None
            self._resume()
        if attempt:
            _log.info("sink_resumed", attempts=attempt + 1)
        for topic, count in frozen.messages.items():
            metrics.MESSAGES.labels(topic).inc(count)
        if self._generation == generation:
            self.lag.inserted(frozen.offsets)
            self._uncommitted |= {TopicPartition(*partition): offset for partition, offset in frozen.offsets.items()}
            await self._commit()

    async def _attempt(self, frozen: Frozen) -> bool:
        """Insert what of it is not inserted yet; False where ClickHouse is away or refuses, which is logged."""
        while frozen.done < len(frozen.inserts):
            insert = frozen.inserts[frozen.done]
            started = time.perf_counter()
            try:
                await insert_in_thread(self._writer, insert, self._stopping, self._left)
            except RETRYABLE as error:
                level = _log.error if isinstance(error, ServerException) else _log.warning
                level("sink_insert_failed", table=insert.table, rows=insert.rows, error=reason_of(error))
                return False
            metrics.INSERT_SECONDS.observe(time.perf_counter() - started)
            metrics.ROWS.labels(insert.table).inc(insert.rows)
            frozen.done += 1
        return True

    async def _until_stop(self, action: Coroutine[Any, Any, T]) -> T | None:
        """What it gives; None where it is cut off because we are to stop: in a rebalance, aiokafka may wait for long."""
        acting, stopping = asyncio.ensure_future(action), asyncio.ensure_future(self._stopping.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {acting, stopping}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return acting.result() if acting.done() else None
        finally:
            acting.cancel()
            stopping.cancel()

    async def _wait(self, seconds: float, generation: int) -> None:
        """Let time pass (half of it to all of it, by chance), polling so that the group keeps us. Ends early when partitions move or we stop."""
        until = time.monotonic() + random.uniform(seconds / 2, seconds)  # noqa: S311  not for secrets
        while self._generation == generation and not self._is_late():
            left = until - time.monotonic()
            if left <= 0:
                return
            # Everything is paused, so this gives records only of partitions that have come a moment ago.
            records = await self._poll_for(min(left, 0.25))
            self._pending += (
                records  # not in one line with the await: partitions may move in it, and _pending then is another list
            )

    async def _poll_for(self, seconds: float) -> list[Any]:
        started = time.monotonic()
        records = await self._poll()
        if not records and (left := seconds - (time.monotonic() - started)) > 0:
            await asyncio.sleep(left)
        return records

    async def _commit(self) -> None:
        """Commit what is inserted. When that fails it is tried again with the next batch, or read again by the next owner."""
        if not self._uncommitted:
            return
        offsets, self._uncommitted = self._uncommitted, {}
        generation = self._generation
        try:
            await self._consumer.commit(offsets)
        except (KafkaError, IllegalStateError) as error:
            _log.warning("sink_commit_failed", error=str(error) or repr(error))
            if self._generation == generation:
                self._uncommitted = offsets | self._uncommitted
                await asyncio.sleep(_POLL_MILLISECONDS / 1000)

    async def _insert_rest(self) -> None:
        if self._batch.rows or self._batch.is_due(float("inf")):
            await self._flush()
        await self._commit()

    async def _leave(self) -> None:
        with contextlib.suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(self._consumer.stop(), _LEAVE_SECONDS)
        self._writer.close()
        _log.info("sink_stopped")

    def _pause(self) -> None:
        """Read nothing more, also of partitions that come while this lasts."""
        if not self._paused:
            self._paused = True
            metrics.PAUSED.set(1)
            metrics.PAUSED_SINCE.set_to_current_time()
        self._consumer.pause(*self._consumer.assignment())

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            metrics.PAUSED.set(0)
            metrics.PAUSED_SINCE.set(0)
            self._consumer.resume(*self._consumer.assignment())

    def _left(self) -> float:
        return max(0.0, self._stop_by - time.monotonic()) if self._stop_by is not None else 0.0

    def _is_late(self) -> bool:
        return self._stopping.is_set() and self._left() <= 0

    def partitions_revoked(self) -> None:
        """Partitions move: drop what is in hand. Rows being inserted at this moment are inserted again by whoever reads them next."""
        self._generation += 1
        self._joined = False
        self.lag.forget()
        self._pending = []
        self._parents = []
        self._uncommitted = {}
        self._batch.freeze()

    def partitions_assigned(self) -> None:
        """New partitions are ours; while paused they are, too."""
        self._joined = True
        if self._paused:
            self._pause()
