"""The embedded ClickHouse: a real server, in a child process of ours, with its data in a directory.

chdb-core is ClickHouse as a Python wheel. Asked through its C entry point it listens on TCP and HTTP like any server for as long as a query runs,
so the child (`journey.clickhouse_server`) runs one query that never ends. The child ends when this process does, however that ends: it watches a
pipe that only we hold open.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, Self

from clickhouse_driver import Client
from clickhouse_driver.errors import Error as DriverError

from journey.clickhouse_server import ENDLESS
from journey.ports import LOOPBACK, free_port, is_free

MEMORY_BYTES = 1536 * 2**20
"""What the server may use unless told otherwise: enough for some million rows, little enough for a laptop."""

_START_ATTEMPTS = 3
_LOCK_PATIENCE_SECONDS = 3.0  # a server whose owner was killed a moment ago is still on its way out
_STOP_PATIENCE_SECONDS = 3.0  # it waits 5 s for clients that are still connected; its files are safe at any moment
_POLL_SECONDS = 0.05
# No element of a system log (query_log, metric_log, ...), not even one with remove="1": there is no other configuration that it could be
# removed from, so it would make the log. They hold what was asked, names too, and writing metrics is most of what an idle server does.
_CONFIG = """<clickhouse>
  <display_name>{token}</display_name>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{native_port}</tcp_port>
  <http_port>{http_port}</http_port>
  <shutdown_wait_unfinished>1</shutdown_wait_unfinished>
  <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>
  <max_concurrent_queries>64</max_concurrent_queries>
  <mark_cache_size>{cache_bytes}</mark_cache_size>
  <primary_index_cache_size>{cache_bytes}</primary_index_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <index_mark_cache_size>{cache_bytes}</index_mark_cache_size>
  <index_uncompressed_cache_size>0</index_uncompressed_cache_size>
  <query_condition_cache_size>0</query_condition_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_merges_mutations_concurrency_ratio>2</background_merges_mutations_concurrency_ratio>
  <background_schedule_pool_size>4</background_schedule_pool_size>
  <merge_tree>
    <!-- Merges that need more free slots than this small pool has would never be chosen. -->
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    <!-- `journey forget` waits until replaced parts are gone from the disk: half a minute by default. -->
    <cleanup_delay_period>2</cleanup_delay_period>
    <cleanup_delay_period_random_add>1</cleanup_delay_period_random_add>
    <max_cleanup_delay_period>5</max_cleanup_delay_period>
  </merge_tree>
</clickhouse>
"""


class ClickHouseError(RuntimeError):
    """The embedded ClickHouse could not be started or its directory is taken; the message says what to do."""


class Address(NamedTuple):
    """Where a server listens, and its process."""

    host: str
    native_port: int
    http_port: int
    pid: int


def address_in(data_dir: Path) -> Address | None:
    """Where the server that lives in `data_dir` listens; None when there is none alive."""
    try:
        with (data_dir / "lock").open("r+", encoding="utf-8") as lock:
            if _try_lock(lock):
                return None
            noted = json.load(lock)
        return Address(LOOPBACK, noted["native_port"], noted["http_port"], noted["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never used, or its server is about to write down where it listens


class EmbeddedClickHouse:
    """A ClickHouse server of our own. A context manager; `start` and `stop` do the same by hand.

    Args:
        data_dir: where it keeps everything (created if need be): `data/`, its configuration and `clickhouse.log`.
            One server at a time; what is in it survives `stop` and `kill`.
        native_port: for the native protocol; a free one unless given. Kept over restarts of this object.
        http_port: for HTTP; likewise.
        memory_bytes: the most the server may use.
        start_seconds: how long it may take to answer.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        native_port: int | None = None,
        http_port: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
        start_seconds: float = 60.0,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.log_path = self.data_dir / "clickhouse.log"
        self.host = LOOPBACK
        self._ports = (native_port, http_port)
        self._chosen: tuple[int, int] | None = None
        self._memory_bytes = memory_bytes
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def native_port(self) -> int:
        """The port of the native protocol, on `host`.

        Raises:
            ClickHouseError: it was never started.
        """
        return self._known_ports()[0]

    @property
    def http_port(self) -> int:
        """The port of HTTP, on `host`.

        Raises:
            ClickHouseError: it was never started.
        """
        return self._known_ports()[1]

    @property
    def pid(self) -> int | None:
        """The server's process; None while there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it, and return when it answers.

        Raises:
            ClickHouseError: the directory is in use, chdb-core is not installed, or the server ended or did not answer in time.
        """
        if self.pid is not None:
            raise ClickHouseError(f"the ClickHouse in {self.data_dir} runs already (process {self.pid}): stop it first")
        try:
            (self.data_dir / "data").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ClickHouseError(
                f"cannot use {self.data_dir} for ClickHouse: {error}; choose a directory that can be written"
            ) from error
        for port in self._chosen or self._ports:
            if port is not None and not is_free(port):
                raise ClickHouseError(
                    f"port {port}, which ClickHouse should listen on, is taken by another process: free it, or give another port"
                )
        for attempt in range(1, _START_ATTEMPTS + 1):
            ports = self._chosen or (self._ports[0] or free_port(), self._ports[1] or free_port())
            token = uuid.uuid4().hex
            with self._lock() as lock:
                self._write_config(token, ports)
                self._process = self._spawn(lock)
                lock.seek(0)
                lock.truncate()
                json.dump({"pid": self._process.pid, "native_port": ports[0], "http_port": ports[1]}, lock)
                lock.flush()
            try:
                self._wait_ready(token, ports)
            except ClickHouseError:
                self.kill()
                # Another process may have taken a port between our choice and the server's.
                if attempt == _START_ATTEMPTS or self._chosen or all(is_free(port) for port in ports):
                    raise
            except BaseException:
                self.kill()  # Ctrl-C while waiting
                raise
            else:
                self._chosen = ports
                return

    def stop(self) -> None:
        """End it cleanly: running queries are cancelled, tables are shut down. Does nothing when it does not run."""
        process = self._process
        if process is None:
            return
        if process.poll() is None and self._chosen is not None:
            with contextlib.suppress(DriverError, OSError, EOFError, subprocess.TimeoutExpired):
                client = _client(self._chosen[0])
                # The never-ending query ends, and with it the child's reason to live.
                client.execute(f"KILL QUERY WHERE query LIKE '{ENDLESS}%' ASYNC")
                client.disconnect()
                process.wait(_STOP_PATIENCE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL). Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _known_ports(self) -> tuple[int, int]:
        if self._chosen is None:
            raise ClickHouseError("the embedded ClickHouse has no port yet: start it first")
        return self._chosen

    @contextlib.contextmanager
    def _lock(self) -> Iterator[IO[str]]:
        """The directory's lock. The child inherits it and holds it for as long as it lives, even when we are killed."""
        path = self.data_dir / "lock"
        path.touch()
        with path.open("r+", encoding="utf-8") as lock:
            deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
            while not _try_lock(lock):
                if time.monotonic() >= deadline:
                    address = address_in(self.data_dir)
                    by = f"process {address.pid} (native port {address.native_port})" if address else "another process"
                    raise ClickHouseError(
                        f"{self.data_dir} is in use by a ClickHouse, {by}: stop that one, or choose another directory"
                    )
                time.sleep(_POLL_SECONDS)
            yield lock

    def _write_config(self, token: str, ports: tuple[int, int]) -> None:
        text = _CONFIG.format(
            token=token,
            native_port=ports[0],
            http_port=ports[1],
            memory_bytes=self._memory_bytes,
            cache_bytes=64 * 2**20,
        )
        (self.data_dir / "config.xml").write_text(text, encoding="utf-8")

    def _spawn(self, lock: IO[str]) -> subprocess.Popen[bytes]:
        with self.log_path.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "journey.clickhouse_server"],
                cwd=self.data_dir,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle: the server must outlive the sink's last insert
            )

    def _wait_ready(self, token: str, ports: tuple[int, int]) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._start_seconds
        while True:
            if (code := self._process.poll()) is not None:
                raise ClickHouseError(
                    f"the embedded ClickHouse ended at once (code {code}); {self.log_path} ends with:\n{self._log_tail()}"
                )
            if (
                _listens(ports[0]) and _listens(ports[1]) and _name_of(ports[0]) == token
            ):  # another name: a stranger has the port
                return
            if time.monotonic() >= deadline:
                raise ClickHouseError(
                    f"the embedded ClickHouse did not answer on port {ports[0]} within {self._start_seconds:g} s; {self.log_path} ends with:\n"
                    + self._log_tail()
                )
            time.sleep(_POLL_SECONDS)

    def _log_tail(self, lines: int = 15) -> str:
        text = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(text[-lines:]) or "(nothing)"


def _client(port: int) -> Client:
    return Client(LOOPBACK, port=port, connect_timeout=2, send_receive_timeout=10)


def _name_of(port: int) -> str | None:
    with contextlib.suppress(DriverError, OSError, EOFError):
        client = _client(port)
        try:
            return str(client.execute("SELECT displayName()")[0][0])
        finally:
            client.disconnect()
    return None


def _listens(port: int) -> bool:
    """Asked before the driver is, which logs a traceback for each refused connection."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _environment() -> dict[str, str]:
    """What the child inherits: our variables but not our secrets, and the way to this module from another directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOURNEY_")}
    inherited = kept.get("PYTHONPATH")
    path = [str(Path(__file__).parents[1]), *([inherited] if inherited else [])]
    return {**kept, "TZ": "UTC", "PYTHONPATH": os.pathsep.join(path)}


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
