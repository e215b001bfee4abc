"""`make bench-reports`: reports on ten million prospects, and the same questions asked of raw events; about half an hour, 12 GB of disk and 4 GB of memory.

ClickHouse is the embedded one, on two threads, in a directory that is removed afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from clickhouse_driver import Client
from clickhouse_driver.errors import Error
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import report
from benchmarks.job import ROOT
from benchmarks.reports_data import ACCOUNTS, HISTORY, PROSPECTS, STAGES, fill, recent
from benchmarks.reports_questions import FILL_RAW_EVENTS, IN_ORDER, QUESTIONS, RAW_EVENTS
from benchmarks.reports_tables import markdown, write
from funnel.definition import load_funnels
from journey.local_clickhouse import ClickHouseError, EmbeddedClickHouse
from sinks.funnels import write_funnels
from sinks.migrations import migrate
from sinks.refresh import AGGREGATES, CHANGED, COUNTED, CREDIT_TOTALS, CREDITS, REBUILT, VISITS, refresh

NUMBER = 10_000_000
MEMORY_BYTES = 4 * 2**30
"""The most that the whole server may use: a query that wants more fails."""
CHANGED_ONE_OF = 2_000
"""One of so many prospects is corrected before the refresh that is measured: 53 million transitions in a year are 6,000 in an hour, the time between
rebuilds, and some prospects have more than one."""
SLICES = 16
"""In which the raw events are made, so that memory is bounded there, too."""
ROUNDS = 5
DATABASE = "bench"
_SETTLE_SECONDS = 1_800.0
Say = Callable[[str], None]


def main() -> int:
    """Measure; 1 if something could not be."""
    options = _arguments()
    console = Console(stderr=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bench-reports-", dir=options.directory) as work,
            console.status("starting ClickHouse") as status,
            EmbeddedClickHouse(Path(work) / "clickhouse", memory_bytes=MEMORY_BYTES) as server,
        ):
            results = measure(server, options.prospects, options.rounds, status.update)
    except (ClickHouseError, Error) as error:
        console.print(str(error)[:2000], style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    Console().print(Markdown(markdown(results)))
    if not options.dry:
        console.print(f"{write(results).relative_to(ROOT)} written")
    return 0


def measure(server: EmbeddedClickHouse, prospects: int, rounds: int, say: Say) -> dict[str, Any]:
    """All figures.

    Args:
        server: gets a database of its own, `bench`, which stays.
        prospects: how many there are.
        rounds: how often a report is read; the median counts.
        say: told what is going on.

    Raises:
        clickhouse_driver.errors.Error: something could not be computed, within the server's memory for one.
    """
    with _Server(server) as clickhouse:
        return _measure(clickhouse, prospects, rounds, say)


class _Server:
    """Connections, and what the server used meanwhile."""

    def __init__(self, server: EmbeddedClickHouse) -> None:
        self._server = server
        self._clients: list[Client] = []

    def __enter__(self) -> Self:
        self.connect("").execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        self.client, self._watching = self.connect(DATABASE), self.connect(DATABASE)
        self.execute = self.client.execute
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.disconnect()

    def connect(self, database: str) -> Client:
        """A client that uses two threads."""
        settings = {"max_threads": 2}
        client = Client(
            self._server.host,
            port=self._server.native_port,
            database=database,
            settings=settings,
            send_receive_timeout=3_600,
        )
        self._clients.append(client)
        return client

    @property
    def cpu_seconds(self) -> float:
        """User and system time of the server's process so far."""
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    @contextlib.contextmanager
    def measured(self) -> Iterator[dict[str, float]]:
        """Seconds, CPU seconds and peak of memory (MiB, all of the server's queries together) of what is done inside."""
        found: dict[str, float] = {}
        done = threading.Event()
        peak = [0]

        def watch() -> None:
            while not done.wait(0.1):
                ((used,),) = self._watching.execute("SELECT sum(memory_usage) FROM system.processes")
                peak[0] = max(peak[0], used)

        watcher = threading.Thread(target=watch, daemon=True)
        began, cpu = time.perf_counter(), self.cpu_seconds
        watcher.start()
        try:
            yield found
        finally:
            seconds, used = time.perf_counter() - began, self.cpu_seconds - cpu
            done.set()
            watcher.join()
        found |= {"seconds": round(seconds, 2), "cpu_seconds": round(used, 2), "peak_mib": round(peak[0] / 2**20)}

    def refresh(self, view: str) -> dict[str, float]:
        """Refresh one view."""
        with self.measured() as found:
            self.execute(f"SYSTEM REFRESH VIEW {view}")
            self.execute(f"SYSTEM WAIT VIEW {view}")
        return found


def _measure(clickhouse: _Server, prospects: int, rounds: int, say: Say) -> dict[str, Any]:
    results: dict[str, Any] = {
        "machine": report.machine("no broker"),
        "memory_limit_mib": MEMORY_BYTES // 2**20,
        "rounds": rounds,
    }
    _prepare(clickhouse)
    began = time.perf_counter()
    fill(clickhouse.execute, prospects, HISTORY, say)
    _settle(clickhouse, say)
    say("raw events")
    _fill_raw_events(clickhouse)
    results["seconds_to_fill"] = round(time.perf_counter() - began)
    say("putting all visits together")
    results["rebuild"] = clickhouse.refresh(REBUILT)
    clickhouse.execute(ACCOUNTS)
    clickhouse.execute(PROSPECTS)
    results["counted"] = {}
    for view in COUNTED:
        say(f"counting {view}")
        results["counted"][view] = clickhouse.refresh(view)
    say("prospects change")
    fill(clickhouse.execute, prospects, (recent(CHANGED_ONE_OF),), say)
    _settle(clickhouse, say)
    say("refreshing all aggregates")
    with clickhouse.measured() as results["refresh"]:
        refresh(clickhouse.client)
    results["views"] = {}
    for view in (CHANGED, VISITS, *AGGREGATES, CREDITS, CREDIT_TOTALS):
        say(f"refreshing {view} alone")
        results["views"][view] = clickhouse.refresh(view)
    results["sizes"] = _sizes(clickhouse)
    results["questions"] = []
    for question in QUESTIONS:
        say(f"asking: {question.name}")
        times = [_milliseconds(clickhouse, question.of_views) for _ in range(rounds)]
        asked: dict[str, Any] = {"name": question.name, "milliseconds": [round(one, 1) for one in times]}
        asked["median"] = round(statistics.median(times), 1)
        if question.of_events:
            asked["of_raw_events"] = round(_milliseconds(clickhouse, question.of_events + IN_ORDER), 1)
        results["questions"].append(asked)
    return results


def _prepare(clickhouse: _Server) -> None:
    """Tables, and views that are refreshed when we say so."""
    migrate(clickhouse.connect, DATABASE)
    for view in (REBUILT, *COUNTED, CHANGED, VISITS, *AGGREGATES, CREDITS, CREDIT_TOTALS):
        clickhouse.execute(f"ALTER TABLE {view} MODIFY REFRESH EVERY 1 YEAR")
        clickhouse.execute(f"SYSTEM WAIT VIEW {view}")
    write_funnels(clickhouse.client, load_funnels([ROOT / "funnels" / "sales.toml"]))
    # As if it had been long ago: stages that were written just now concern every prospect.
    clickhouse.execute(
        "ALTER TABLE funnel_stages UPDATE written_at = toDateTime64('2025-12-01', 3, 'UTC') WHERE true SETTINGS mutations_sync = 1"
    )
    clickhouse.execute(RAW_EVENTS)


def _fill_raw_events(clickhouse: _Server) -> None:
    types = ["page_view", "content_download", "demo_request", "purchase"]
    for number in range(SLICES):
        # UUIDs are compared by their last half first, so slices of that are slices of the table's key.
        first, last = f"{number * 16 // SLICES:x}", f"{(number + 1) * 16 // SLICES - 1:x}"
        bounds = {
            "first": f"toUUID('00000000-0000-0000-{first}{'0' * 3}-{'0' * 12}')",
            "last": f"toUUID('ffffffff-ffff-ffff-{last}{'f' * 3}-{'f' * 12}')",
        }
        clickhouse.execute(FILL_RAW_EVENTS.format(stages=list(STAGES), types=types, **bounds))


def _settle(clickhouse: _Server, say: Say) -> None:
    """Wait until nothing is merged any more: it would take a core from what is measured."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline and (
        merging := clickhouse.execute("SELECT round(sum(progress) / count(), 2) FROM system.merges HAVING count() > 0")
    ):
        say(f"merges: {merging[0][0]:.0%}")
        time.sleep(0.5)


def _sizes(clickhouse: _Server) -> dict[str, Any]:
    ((rows,),) = clickhouse.execute("SELECT count() FROM stage_transitions FINAL")
    ((stored, parts, size),) = clickhouse.execute(
        "SELECT sum(rows), count(), sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'stage_transitions'"
    )
    ((prospects, visits),) = clickhouse.execute(
        "SELECT uniqExact(prospect_id), count() FROM visits SETTINGS max_threads = 1"
    )
    ((changed,),) = clickhouse.execute(f"SELECT count() - 1 FROM {CHANGED}")
    ((events,),) = clickhouse.execute("SELECT count() FROM raw_events")
    return {
        "transitions": rows, "stored_rows": stored, "parts": parts, "bytes": size,
        "prospects": prospects, "visits": visits, "changed_prospects": changed, "raw_events": events,
    }  # fmt: skip


def _milliseconds(clickhouse: _Server, sql: str) -> float:
    began = time.perf_counter()
    clickhouse.execute(sql)
    return (time.perf_counter() - began) * 1_000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports", description=__doc__)
    parser.add_argument("--prospects", type=int, default=NUMBER)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--directory", help="where the data is kept meanwhile; the system's own for such things unless given"
    )
    parser.add_argument("--dry", action="store_true", help="write no results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
