"""ClickHouse goes away under load: whoever is on call finds out within a minute, by metrics, readiness and log alone."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from clickhouse_driver import Client

from journey.local_clickhouse import EmbeddedClickHouse
from sinks.process import UNREADY_AFTER
from tests.broker import LOOPBACK, unique
from tests.e2e.harness import event, start, wait_until
from tests.faults.proxy import Proxy
from tests.promql import Samples, fires, samples
from tests.unit.test_observability import of

MINUTE = 60.0
LOAD_SECONDS = 0.05
"""Between two events."""


class Told:
    """What a process tells: nothing else is looked at."""

    def __init__(self, port: int, log: Path) -> None:
        self._url, self._log = f"http://{LOOPBACK}:{port}", log
        self._client = httpx.Client(trust_env=False, timeout=5)

    def metrics(self) -> Samples:
        """All samples of now; none while it starts."""
        try:
            return samples(self._client.get(f"{self._url}/metrics").text)
        except httpx.TransportError:
            return []

    def value(self, name: str) -> float:
        """The highest of a metric's samples."""
        return max((value for found, _, value in self.metrics() if found == name), default=0.0)

    def ready(self) -> tuple[int, str]:
        """Status and reason."""
        answer = self._client.get(f"{self._url}/readyz")
        return answer.status_code, answer.text

    def alive(self) -> int:
        """Status of /healthz."""
        return self._client.get(f"{self._url}/healthz").status_code

    def logged(self) -> list[str]:
        """The names of the events in the log."""
        return [json.loads(line)["event"] for line in self._log.read_text().splitlines()]


@pytest.fixture
def proxy(clickhouse_server: EmbeddedClickHouse) -> Iterator[Proxy]:
    """The way to ClickHouse."""
    with Proxy(clickhouse_server.native_port) as made:
        yield made


@pytest.fixture
def up(proxy: Proxy, clickhouse_server: EmbeddedClickHouse, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`journey up` on that ClickHouse."""
    database = unique("on_call").replace("-", "_")
    address = f"clickhouse://default:@{proxy.address}/{database}"
    process = start(["up", "--data-dir", "data"], tmp_path, JOURNEY_CLICKHOUSE=address)
    try:
        wait_until((tmp_path / "data" / "running.json").exists, "the stack to run")
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=MINUTE)
        finally:
            process.kill()
            process.communicate()
            # Its views would go on refreshing.
            with Client(clickhouse_server.host, port=clickhouse_server.native_port) as client:
                client.execute(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture
def load(up: subprocess.Popen[str], tmp_path: Path) -> Iterator[threading.Event]:
    """Events that happen now, of ever new people, until it is set."""
    producer, over = start(["produce", "-", "--data-dir", "data"], tmp_path), threading.Event()

    def go_on() -> None:
        assert producer.stdin is not None
        number = 0
        while not over.wait(LOAD_SECONDS):
            now = datetime.now(UTC).isoformat()
            producer.stdin.write(event(str(number), "web", "page_view", now, user_id=f"user-{number}") + "\n")
            producer.stdin.flush()
            number += 1
        producer.stdin.close()
        producer.stdin = None

    sending = threading.Thread(target=go_on, daemon=True)
    sending.start()
    yield over
    over.set()
    sending.join(10)
    producer.communicate(timeout=MINUTE)
    assert producer.returncode == 0


@pytest.mark.slow
def test_clickhouse_away_shows_within_a_minute_and_is_over_when_it_is_back(
    load: threading.Event, proxy: Proxy, tmp_path: Path
) -> None:
    """Paused, retries, lag that grows, not ready (but alive), and a line at each attempt; then everything returns to nothing."""
    ports = json.loads((tmp_path / "data" / "running.json").read_text())["metrics"]
    worker, sink = (Told(ports[name], tmp_path / "data" / "logs" / f"{name}.log") for name in ("worker", "sink"))
    away, failing, late = (
        of(name)["expr"] for name in ("JourneyClickHouseAway", "JourneySinkRetries", "JourneySinkLag")
    )
    wait_until(lambda: sink.value("journey_sink_rows_total") > 20 and sink.ready()[0] == 200, "the load to flow")
    before = sink.metrics()
    assert not fires(away, before)

    began = time.monotonic()
    proxy.cut()
    wait_until(lambda: fires(away, sink.metrics()), "JourneyClickHouseAway", MINUTE)
    first = sink.value("journey_sink_lag_seconds")
    first_at = time.monotonic()
    wait_until(lambda: sink.ready()[0] == 503, "the sink to say that it is not ready", MINUTE)
    assert "ClickHouse has not taken a batch for " in sink.ready()[1]
    assert sink.alive() == 200
    assert sink.value("journey_silent_seconds") < 10, "so the watchdog leaves it alone"
    wait_until(lambda: fires(failing, sink.metrics(), before), "JourneySinkRetries", MINUTE)
    assert time.monotonic() - began < MINUTE
    grown = sink.value("journey_sink_lag_seconds") - first
    assert grown > (time.monotonic() - first_at) / 2, "about a second more each second"
    assert fires(late.replace("> 60", "> 10"), sink.metrics()), "so it will be there when it comes to the limit"
    assert sink.value("journey_sink_lag_records") > 50
    assert sink.value("journey_sink_batch_seconds") > UNREADY_AFTER
    assert time.time() - sink.value("journey_sink_paused_since_seconds") < time.monotonic() - began + 1
    assert sink.logged().count("sink_insert_failed") >= 5
    assert worker.ready()[0] == 200, "nobody else notices"
    assert worker.value("journey_lag_seconds") < sink.value("journey_sink_lag_seconds")

    proxy.resume()
    wait_until(lambda: sink.value("journey_sink_paused") == 0, "the sink to go on", MINUTE)
    load.set()
    names = ("lag_records", "lag_seconds", "paused", "paused_since_seconds", "batch_rows", "batch_seconds")
    wait_until(lambda: not any(sink.value(f"journey_sink_{name}") for name in names), "nothing to be left", MINUTE)
    names = ("lag_records", "lag_seconds", "stuck_seconds")
    wait_until(lambda: not any(worker.value(f"journey_{name}") for name in names), "the worker to have nothing left")
    assert sink.ready() == worker.ready() == (200, "ready\n")
    assert not fires(away, sink.metrics())
    assert "sink_resumed" in sink.logged()
