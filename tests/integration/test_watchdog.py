"""A worker that makes no progress although records wait for it ends itself; one that has nothing to do, or waits for Kafka, does not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.broker import Tansu, wait_until
from tests.toys import Toys, events, expected

STUCK_AFTER = 4.0


def test_a_stuck_worker_ends_and_says_what_was_stuck(tansu: Tansu, tmp_path: Path) -> None:
    """Changes that are never delivered, without any error: exit code 1, one line with agent and topic, and nothing more committed."""
    with Toys(tansu, tmp_path, stuck_after=STUCK_AFTER, run_records=100) as toys:
        never = tmp_path / "never"
        worker = toys.start(hold={"after": 2, "until": str(never)})
        toys.wait_ready(worker)
        toys.send(events(2_000))
        began = time.monotonic()
        assert worker.wait(30) == 1
        assert time.monotonic() - began >= STUCK_AFTER - 1
        log = toys.log(worker)
        assert log.count("CRITICAL") == 1
        assert "worker stops: agent counter is stuck: it has settled no run for " in log
        assert f" of {toys.topic('touches')}, the oldest " in log
        assert sum(toys.committed().values()) < 2_000


def test_a_worker_without_work_goes_on(tansu: Tansu, tmp_path: Path) -> None:
    """Idle for longer than the limit, before and after some work."""
    with Toys(tansu, tmp_path, stuck_after=2.0) as toys:
        worker = toys.start()
        toys.wait_ready(worker)
        idle_since = time.monotonic()
        wait_until(lambda: time.monotonic() > idle_since + 4, seconds=10, what="it was idle for twice the limit")
        sent = events(1_000)
        toys.send(sent)
        toys.wait_told(expected(sent), seconds=30)
        idle_since = time.monotonic()
        wait_until(lambda: time.monotonic() > idle_since + 4, seconds=10, what="it was idle again")
        assert worker.poll() is None
        assert toys.stop(worker) == 0


def test_a_worker_that_waits_for_kafka_is_not_stuck(tmp_path: Path) -> None:
    """A broker that stops answering while nothing is in flight: what it has not given is not the worker's to handle."""
    with Tansu(tmp_path / "broker") as broker, Toys(broker, tmp_path, stuck_after=2.0) as toys:
        worker = toys.start()
        toys.wait_ready(worker)
        sent = events(1_000)
        toys.send(sent)
        toys.wait_told(expected(sent), seconds=30)
        wait_until(lambda: sum(toys.committed().values()) == len(sent), seconds=20, what="nothing is in flight")
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            silent_since = time.monotonic()
            wait_until(lambda: time.monotonic() > silent_since + 5, seconds=10, what="more than twice the limit")
            assert worker.poll() is None, toys.log(worker)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        more = events(1_000, seed=2)
        toys.send(more)
        toys.wait_told(expected([*sent, *more]), seconds=60)
