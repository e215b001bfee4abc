"""The stack of one command: broker, ClickHouse, worker and sink as child processes, where the settings name no others.

The embedded broker forgets everything when it stops. So a run ends in order: all is settled, the worker stops, and the
changelog's last values are saved; the next run writes them into the changelog of its fresh broker before its worker
starts. A run that was cut off leaves the note `unfinished`, and its directory is refused: facts in ClickHouse may be
ahead of the state that was saved, and nothing could tell by how much.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from pydantic import SecretStr

from journey import snapshot, topic_admin, topics
from journey.clickhouse import connected, prepare
from journey.data_dir import DataDir, Identity, key_fingerprint
from journey.drain import Step, drain, settle
from journey.errors import JourneyError, StackError, StateError
from journey.funnel_files import funnel_paths, load
from journey.kafka_clients import admin_client, consumer_client, producer_client
from journey.local_broker import EmbeddedBroker
from journey.local_clickhouse import ClickHouseError, EmbeddedClickHouse
from journey.local_console import start_console
from journey.offsets import Offsets, committed, true_ends
from journey.overdue import overdue
from journey.ports import LOOPBACK, free_port
from journey.processes import Child, Supervisor
from journey.settings import Settings
from journey.steps import steps_of
from journey.wiring import sink_group, worker_config
from sinks.refresh import rebuild, refresh

_IN_ORDER = (0, -signal.SIGTERM)
"""How workers end that leave nothing untold: as they were asked to, or before they could hear it, when they had done nothing yet."""
_SESSION_TIMEOUT = "2s"
Say = Callable[[str], None]
Progress = Callable[[str, int], None]


class Stack:
    """What one command runs on; made by `running_stack`."""

    def __init__(self, settings: Settings, data: DataDir, say: Say) -> None:
        self.data = data
        self._say = say
        self._funnels, self._rules = load(settings.funnels)
        key = settings.id_key.get_secret_value() or data.id_key()
        updates: dict[str, Any] = {
            "id_key": SecretStr(key),
            "data_dir": data.path,
            "funnels": tuple(str(path) for path in funnel_paths(settings.funnels)),
        }
        if not settings.kafka:
            updates["idempotent"] = False
            # Who joins a group has to wait for half of it, and there is nobody who could take partitions away.
            if settings.workers == 1 and "session_timeout" not in settings.model_fields_set:
                updates["session_timeout"] = _SESSION_TIMEOUT
        self.identity = Identity(
            rules=self._rules.fingerprint,
            funnels=", ".join(f"{funnel.name} v{funnel.version}" for funnel in self._funnels),
            partitions=settings.partitions,
            id_key=key_fingerprint(key.encode()),
            phone_region=settings.phone_region,
        )
        self.broker = None if settings.kafka else EmbeddedBroker(data.logs / "broker.log")
        self.clickhouse: EmbeddedClickHouse | None = None
        if not settings.clickhouse.get_secret_value():
            port = free_port()
            self.clickhouse = EmbeddedClickHouse(data.clickhouse, native_port=port)
            updates["clickhouse"] = SecretStr(f"clickhouse://default:@{LOOPBACK}:{port}/journey")
        self.settings = settings.model_copy(update=updates)
        """The settings with everything filled in that the stack knows."""
        self.supervisor = Supervisor()
        self.metrics_ports: dict[str, int] = {}
        """By child, where it serves metrics."""
        self.console: str | None = None
        """Where people look at it; None while there is no console."""
        self._workers: list[Child] = []
        self._clients = ExitStack()
        self._admin: KafkaAdminClient | None = None
        self._consumer: KafkaConsumer | None = None
        self._reader: Any = None

    # -- as drain.Pipeline

    def ends(self, names: Sequence[str]) -> Offsets:
        """Where the topics end now."""
        return true_ends(self._consumer, names, embedded=self.broker is not None)

    def committed(self, group: str) -> Offsets:
        """How far the group has come."""
        assert self._admin is not None
        return committed(self._admin, group)

    def overdue(self) -> int:
        """Open visits of which the wall clock should have told something already."""
        return overdue(self._reader, self._rules)

    def refresh(self) -> None:
        """Bring the aggregates up to now, attribution among them."""
        refresh(self._reader)
        self.attribute()

    def attribute(self) -> None:
        """Work out attribution by the Markov model anew."""
        from reports.attribution import attribute

        attribute(self._reader)

    def rebuild(self) -> None:
        """The same after rows were deleted."""
        rebuild(self._reader)

    def check(self) -> None:
        """Restart what died.

        Raises:
            StackError: the broker died, or a child dies again and again.
        """
        if self.broker is not None:
            self.broker.check()
        if self.clickhouse is not None and self.clickhouse.pid is None:
            self._start_clickhouse(self.clickhouse)
        self.supervisor.check()

    # -- the way through

    @property
    def steps(self) -> list[Step]:
        """The legs of the way from events to rows."""
        return steps_of(self.settings)

    def drain(self, progress: Progress) -> None:
        """Return when everything produced so far is visible and aggregated, and visits that are due have expired or are known to be stalled."""
        drain(self, self.steps, progress=progress)

    def settle(self, progress: Progress = lambda _, __: None) -> None:
        """Return when everything produced so far is in ClickHouse."""
        settle(self, self.steps, progress=progress)

    # -- life

    def start(self, *, notify: bool = False) -> None:
        """Start everything; returns when it runs.

        Args:
            notify: also who tells people of stalled prospects, where a file says whom.

        Raises:
            JourneyError: something can't start, or the data directory may not be added to.
        """
        if self.broker is not None or self.clickhouse is not None:
            self.data.check(self.identity)
        embedded = self.broker is not None
        with ThreadPoolExecutor(max_workers=1) as pool:
            # ClickHouse takes some seconds, and so does joining a group: the sink is started at once, and tries again until the tables are there.
            prepared = pool.submit(self._prepare_clickhouse)
            self._start_broker()
            if embedded:
                self.data.begin(self.identity)
            elif self.clickhouse is not None:
                self.data.note(self.identity)
            if embedded or not self._group_has_members(self.settings.app_id):
                names = ["worker", *(f"worker-{number}" for number in range(2, self.settings.workers + 1))]
                self._workers = [self._start_child(name, "worker") for name in names]
            if embedded or not self._group_has_members(sink_group(self.settings)):
                self._start_child("sink", "sink")
            if notify and self.settings.alerts:
                self._start_child("notifier", "notifier")
            prepared.result()
        self._reader = self._clients.enter_context(connected(self.settings))
        if embedded or self.clickhouse is not None:
            self.data.announce(
                {
                    "kafka": self.settings.kafka if embedded else "",
                    "clickhouse": "" if self.clickhouse is None else self.settings.clickhouse.get_secret_value(),
                    "metrics": self.metrics_ports,
                }
            )

    def start_console(self) -> None:
        """Start the console beside the rest.

        Raises:
            JourneyError: it would be open to others, or ends again and again.
        """
        settings = self.settings
        if self.clickhouse is not None:
            settings = settings.model_copy(update={"clickhouse_http_port": self.clickhouse.http_port})
        self.console = start_console(settings, self.data, self.supervisor, self.check)

    def close(self, progress: Progress = lambda _, __: None) -> None:
        """End everything in order and save the state.

        Raises:
            JourneyError: the state could not be saved.
        """
        if self.broker is not None:
            self._stop_workers_in_order(progress)
            # They may have told more (visits that expired) since all was settled.
            settle(self, self.steps[2:], progress=progress)
        self.supervisor.stop()
        if self.broker is not None:
            count = snapshot.save(
                self.data.snapshot, snapshot.read_changelog(self._consumer, topics.changelog_of(self.settings))
            )
            self.data.finish()
            self._say(f"state saved: {count:,} records")
        self._stop_servers()

    def abort(self) -> None:
        """End everything, without saving. The data directory stays marked as unfinished, unless it still agrees."""
        for child in self.supervisor.children:
            child.kill()
        if self.broker is not None and self.broker.pid is not None and self._nothing_was_told():
            self.data.finish()
        self._stop_servers()

    def _nothing_was_told(self) -> bool:
        """Whether the worker, which is dead now, told no fact: then ClickHouse still agrees with the state on disk."""
        try:  # a client of its own: ours may have been interrupted in the middle of something
            with consumer_client(self.settings) as consumer:
                facts = topics.topic_name(self.settings, topics.FACTS)
                return not any(true_ends(consumer, [facts]).values())  # any at all will do
        except (KafkaError, JourneyError, OSError, ValueError):
            return False

    def _stop_servers(self) -> None:
        self._clients.close()
        if self.broker is not None:
            self.broker.stop()
        if self.clickhouse is not None:
            self.clickhouse.stop()

    def _stop_workers_in_order(self, progress: Progress) -> None:
        """A worker that ends in disorder may have state whose facts were never told: another one heals that."""
        for _ in range(3):
            running = [worker for worker in self._workers if worker.pid is not None]
            for worker in running:  # together, so that none takes over what another one leaves
                worker.ask_to_stop()
            in_order = [worker.wait() and worker.exit_code in _IN_ORDER for worker in running]
            if running and all(in_order):
                return
            self._workers[0].start()
            settle(self, self.steps, progress=progress)
        ended = self._workers[0]
        raise StackError(f"the worker does not end in order; {ended.log} ends with:\n{ended.log_tail()}")

    def _start_broker(self) -> None:
        if self.broker is not None:
            self.broker.start()
            self.settings = self.settings.model_copy(update={"kafka": self.broker.bootstrap})
        self._admin = self._clients.enter_context(admin_client(self.settings))
        self._consumer = self._clients.enter_context(consumer_client(self.settings))
        wanted = topics.wanted_topics(self.settings)
        topic_admin.create_topics(self._admin, wanted)
        if self.broker is None:
            refuse_drift(self._admin, wanted)
        elif self.data.snapshot.exists():
            with producer_client(self.settings) as producer:
                try:
                    snapshot.restore(producer, topics.changelog_of(self.settings), snapshot.load(self.data.snapshot))
                except KafkaError as error:
                    raise StateError(f"the funnel state could not be restored: {type(error).__name__}") from error

    def _group_has_members(self, group: str) -> bool:
        """Whether others do the work already. Where that can't be known, ours join them: groups share their work."""
        assert self._admin is not None
        try:
            return any(found["members"] for found in self._admin.describe_groups([group]).values())
        except ValueError:  # the embedded broker's answer is none that kafka-python can read
            return False

    def _prepare_clickhouse(self) -> None:
        """Start it if it is ours, and bring its tables up to date."""
        if self.clickhouse is not None:
            self._start_clickhouse(self.clickhouse)
        prepare(self.settings, self._funnels)

    def _start_clickhouse(self, server: EmbeddedClickHouse) -> None:
        try:
            server.start()
        except ClickHouseError as error:
            raise StackError(str(error)) from error

    def _start_child(self, name: str, command: str) -> Child:
        worker_config(self.settings)  # tell what is missing here, not in its log
        port = free_port()
        environment = self.settings.environment() | {
            "JOURNEY_METRICS_HOST": LOOPBACK,  # where we read them
            "JOURNEY_METRICS_PORT": str(port),
            "JOURNEY_LOG_FORMAT": "json",
        }
        child = Child(name, [sys.executable, "-m", "journey", command], self.data.logs / f"{name}.log", environment)
        self.supervisor.start(child)
        self.metrics_ports[name] = port
        return child


@contextmanager
def running_stack(
    settings: Settings,
    *,
    fresh: bool = False,
    notify: bool = False,
    say: Say = lambda _: None,
    progress: Progress = lambda _, __: None,
) -> Iterator[Stack]:
    """A stack that runs inside, and of which nothing is left running outside.

    Args:
        settings: what to use; empty `kafka` and `clickhouse` are embedded.
        fresh: remove facts and state of the data directory first.
        notify: as in `Stack.start`.
        say: told in a line what happened.
        progress: told what is waited for while it stops.

    Raises:
        JourneyError: it can't start or could not save its state.
    """
    data = DataDir(settings.data_dir)
    embedded = not settings.kafka or not settings.clickhouse.get_secret_value()
    with ExitStack() as held:
        if embedded:
            held.enter_context(data.locked())
        if fresh:
            refuse_half_fresh(settings)
            data.wipe()
        stack = Stack(settings, data, say)
        try:
            stack.start(notify=notify)
            yield stack
            stack.close(progress)
        except BaseException:
            stack.abort()
            raise


def refuse_drift(admin: KafkaAdminClient, wanted: Sequence[topics.Topic]) -> None:
    """Refuse to work with topics of other partition counts.

    Raises:
        JourneyError: naming the topics.
    """
    wrong = [drift for drift in topic_admin.find_drift(admin, wanted) if drift.what == "partitions"]
    if wrong:
        raise JourneyError(
            "\n".join(
                f"topic {drift.topic} has {drift.found} partitions, expected {drift.expected}" for drift in wrong
            ),
            hint=wrong[0].remedy,
        )


def refuse_half_fresh(settings: Settings) -> None:
    """`--fresh` removes what is ours to remove, or nothing.

    Raises:
        StateError: broker or ClickHouse are somebody else's.
    """
    if settings.kafka or settings.clickhouse.get_secret_value():
        raise StateError(
            "--fresh removes the embedded stack's state, but JOURNEY_KAFKA or JOURNEY_CLICKHOUSE is set",
            hint="start over there with other names: JOURNEY_TOPIC_PREFIX and another database in JOURNEY_CLICKHOUSE",
        )
