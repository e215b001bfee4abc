"""The notifier: topic `stalled-prospects` to whoever is to be told, as a consumer group of its own.

What is to be sent is written down (`alerts.book`) before the offset is committed, and that it is being sent, before it is: so nothing is missed,
and only what was on its way when a process was killed is sent again, under the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from alerts import metrics
from alerts.book import Book, Change
from alerts.config import Alerts
from alerts.errors import AlertsError, NotDelivered
from alerts.ledger import Ledger
from alerts.notifying import Dispatcher, Result
from alerts.targets import sender_of
from funnel.alerts import Alert
from funnel.durations import MICROSECONDS
from schemas.alerts import ALERTS, FAILED, SENDING, WAITING, Delivery
from schemas.errors import Undecodable

_POLL_MILLISECONDS = 200
_STOP_SECONDS = 6.0
_TIDY_SECONDS = 3_600.0
_BEAT_SECONDS = 1.0
Beat = Callable[[str | None], None]
_GONE = "the alerts file has no such target any more"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NotifierConfig:
    """One notifier process."""

    brokers: str
    alerts: Alerts
    kafka_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What any aiokafka client needs beside the brokers."""
    alerts_topic: str = "stalled-prospects"
    deliveries_topic: str = "alert-deliveries"
    group: str = "journey-notifier"
    idempotent: bool = True
    session_timeout: float = 10.0
    """Seconds."""


def run_notifier(config: NotifierConfig, beat: Beat = lambda _: None) -> int:
    """Run the notifier in this process until SIGTERM or SIGINT.

    Args:
        config: what it needs to know.
        beat: told every second, from the event loop, what keeps the notifier from being ready; None: it is.

    Returns:
        The exit code: 0 after a stop that was asked for, 1 after an error, which is logged.
    """
    try:
        asyncio.run(_run(config, beat))
    except (AlertsError, NotDelivered, KafkaError, Undecodable, OSError) as error:
        _log.error("notifier_failed", error=str(error) or repr(error))
        return 1
    return 0


async def _run(config: NotifierConfig, beat: Beat) -> None:
    notifier = Notifier(config, beat=beat)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, notifier.stop)
    await notifier.run()
    # asyncio closes the pipe before it takes the handlers away; a signal in between would complain on stderr.
    signal.set_wakeup_fd(-1)


class Notifier:
    """One member of the notifiers' group. `run` it once; `stop` may be called at any time, from the same event loop."""

    def __init__(
        self, config: NotifierConfig, clock: Callable[[], float] = time.time, beat: Beat = lambda _: None
    ) -> None:
        """Args: clock: the wall's, seconds since 1970; beat: see `run_notifier`."""
        self._config, self._clock, self._beat = config, clock, beat
        self._book = Book(config.brokers, config.deliveries_topic, config.kafka_options, idempotent=config.idempotent)
        self._ledgers: dict[int, Ledger] = {}
        self._stopping = asyncio.Event()
        self._tidied = time.monotonic()

    def stop(self) -> None:
        """Ask it to finish what is on its way, leave the group and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Tell people until `stop`.

        Raises:
            AlertsError: the brokers can't be reached, or a target can't be used as it is written.
            aiokafka.errors.KafkaError: the brokers refuse us.
            schemas.errors.Undecodable: what is on `stalled-prospects` is none of ours.
        """
        config = self._config
        senders = {name: sender_of(target) for name, target in config.alerts.targets.items()}
        self._dispatcher = Dispatcher(config.alerts, senders, ALERTS.decode, self._clock)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=config.brokers,
            group_id=config.group,
            client_id=config.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=round(config.session_timeout * 1_000),
            heartbeat_interval_ms=round(config.session_timeout * 200),
            **config.kafka_options,
        )
        self._consumer.subscribe([config.alerts_topic], listener=_Listener(self))
        beating = asyncio.ensure_future(self._tell_of_itself())
        try:
            try:
                await self._book.start()
                await self._consumer.start()
            except KafkaError as error:
                raise AlertsError(f"no Kafka at {config.brokers}: {error}; start it, or set JOURNEY_KAFKA") from error
            _log.info("notifier_started", group=config.group, targets=sorted(senders))
            while not self._stopping.is_set():
                await self._turn()
        finally:
            beating.cancel()
            await self._leave()

    async def _tell_of_itself(self) -> None:
        while True:
            assigned = {tp.partition for tp in self._consumer.assignment()}
            self._beat(None if assigned and assigned <= self._ledgers.keys() else "it has no partitions yet")
            await asyncio.sleep(_BEAT_SECONDS)

    async def _turn(self) -> None:
        """Take what came, write down what is to be sent, and send what is due."""
        fetched = await self._consumer.getmany(timeout_ms=_POLL_MILLISECONDS, max_records=5_000)
        for tp in self._consumer.assignment():
            if tp.partition not in self._ledgers:
                await self._take_over(tp.partition)
        for tp, records in fetched.items():
            await self._take(tp, records)
        await self._send_due()
        for result in self._dispatcher.results():
            await self._settle(result)
        if time.monotonic() - self._tidied > _TIDY_SECONDS:
            await self._tidy()
        metrics.WAITING.set(sum(ledger.open for ledger in self._ledgers.values()))

    async def _take_over(self, partition: int) -> None:
        ledger = Ledger(self._config.alerts)
        for delivery in await self._book.read(partition):
            ledger.restore(delivery)
        self._ledgers[partition] = ledger
        _log.info("notifier_assigned", partition=partition, deliveries=len(ledger))

    async def _take(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        ledger = self._ledgers.get(tp.partition)
        if ledger is None:
            return  # it moved meanwhile; whoever has it now reads them
        planned: dict[bytes, Delivery] = {}
        for record in records:
            alert: Alert = ALERTS.decode(record.value)
            metrics.ALERTS.labels(alert.change).inc()
            planned |= {one.key: one for one in ledger.plan(alert, record.value, self._now())}
        await self._book.write(tp.partition, planned.items())
        try:
            await self._consumer.commit({tp: records[-1].offset + 1})
        except (KafkaError, IllegalStateError) as error:
            # They are read again, by us or by somebody else, who finds them written down.
            _log.warning("notifier_commit_failed", error=str(error) or repr(error))

    async def _send_due(self) -> None:
        now = self._now()
        for partition, ledger in list(self._ledgers.items()):
            due = ledger.due(now)
            gone = [one for members in due for one in members if one.target not in self._config.alerts.targets]
            if gone:
                over = ledger.change(gone, now, state=FAILED, error=_GONE, alert=b"")
                await self._book.write(partition, [(one.key, one) for one in over])
            self._dispatcher.add([members for members in due if members[0].target in self._config.alerts.targets])
        for members in self._dispatcher.ready():
            await self._start(members)

    async def _start(self, members: Sequence[Delivery]) -> None:
        """Write down that a message is being sent, and send it: without those that are not to be sent any more."""
        partition, ledger = self._of(members)
        if ledger is None:
            return
        now = self._now()
        still = [ledger[one.key] for one in members if ledger[one.key].state == WAITING]
        sending = ledger.change(still, now, state=SENDING)
        await self._book.write(partition, [(one.key, one) for one in sending])
        if sending:
            self._dispatcher.start(sending)

    async def _settle(self, result: Result) -> None:
        partition, ledger = self._of(result.members)
        if ledger is None:
            return  # whoever has the partition now sends it again
        now = self._now()
        fields: dict[str, object] = {"state": result.state, "error": result.error}
        if result.state == WAITING:
            fields["due_at"] = result.due_at
        else:
            fields["alert"] = b""
        changed: list[Delivery] = []
        for one in result.members:
            changed += ledger.change([one], now, attempts=one.attempts + 1, **fields)
        await self._book.write(partition, [(one.key, one) for one in changed])

    def _of(self, members: Sequence[Delivery]) -> tuple[int, Ledger | None]:
        """The partition that has a message's deliveries, and its ledger; None where it is somebody else's now."""
        key = members[0].key
        return next(((partition, ledger) for partition, ledger in self._ledgers.items() if key in ledger), (-1, None))

    async def _tidy(self) -> None:
        """Forget what is over for long."""
        self._tidied = time.monotonic()
        for partition, ledger in list(self._ledgers.items()):
            outdated = ledger.outdated(self._now())
            for key in outdated:
                ledger.remove(key)
            await self._book.write(partition, _nothing(outdated))

    async def _leave(self) -> None:
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            for result in await self._dispatcher.close(_STOP_SECONDS):
                await self._settle(result)
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            await asyncio.wait_for(self._consumer.stop(), 3.0)
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            await asyncio.wait_for(self._book.close(), 3.0)
        _log.info("notifier_stopped")

    def partitions_revoked(self, partitions: Iterable[int]) -> None:
        """They are somebody else's now."""
        for partition in partitions:
            self._ledgers.pop(partition, None)

    def _now(self) -> int:
        return int(self._clock() * MICROSECONDS)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Tells the notifier of rebalances."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Every rebalance begins with this, of all that we have."""
        self._notifier.partitions_revoked(tp.partition for tp in revoked)

    def on_partitions_assigned(self, assigned: Any) -> None:
        """They are taken over with the next turn."""


def _nothing(keys: Iterable[bytes]) -> list[Change]:
    return [(key, None) for key in keys]
