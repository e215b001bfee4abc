"""However a command ends, nothing of it stays, and its directory says the truth."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.harness import (
    SECONDS,
    alive,
    ask,
    descendants,
    environment,
    event,
    hear_signals,
    journey,
    rows,
    start,
    wait_until,
)

pytestmark = pytest.mark.slow
LONG_AGO = (datetime.now(UTC) - timedelta(days=2)).isoformat()


def line(number: int) -> str:
    """A page view of a prospect of its own."""
    return event(str(number), "web", "page_view", LONG_AGO, user_id=f"user-{number}")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`journey up` in a directory of its own, ready to be sent to."""
    process = start(["up", "--data-dir", "data"], tmp_path)
    try:
        wait_until((tmp_path / "data" / "running.json").exists, "the stack to run")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_settles_saves_and_leaves_nothing(up: subprocess.Popen[str], tmp_path: Path) -> None:
    """What was produced before Ctrl-C is in ClickHouse after it; no process stays; the next run adds to it."""
    (tmp_path / "one.ndjson").write_text("\n".join(line(number) for number in range(50)))
    assert "50 events sent" in journey("produce", "one.ndjson", "--data-dir", "data", cwd=tmp_path)
    assert "in use by another stack" in journey("run", "one.ndjson", "--data-dir", "data", cwd=tmp_path, code=1)
    told = ask("doctor", "--data-dir", "data", cwd=tmp_path)
    assert "all there, 4 partitions each" in told
    assert "a stack runs there" in told
    family = descendants(up.pid)
    assert len(family) >= 4, "broker, ClickHouse, worker and sink"
    up.send_signal(signal.SIGINT)
    out, err = up.communicate(timeout=SECONDS)
    assert up.returncode == 0, out + err
    assert "Console     http://127.0.0.1:" in out
    wait_until(lambda: not alive(family), "all children to be gone")
    assert int(rows("SELECT count() AS n FROM prospects FINAL", tmp_path, "data")[0]["n"]) == 50
    assert not (tmp_path / "data" / "unfinished").exists()
    again = journey("run", "one.ndjson", "--data-dir", "data", cwd=tmp_path)
    assert "50  duplicates" in again


def test_a_run_that_was_killed_is_refused_until_told_to_start_over(up: subprocess.Popen[str], tmp_path: Path) -> None:
    """SIGKILL takes the children along; the directory is refused, with the way out; `--fresh` is that way."""
    (tmp_path / "one.ndjson").write_text("\n".join(line(number) for number in range(5)))
    journey("produce", "one.ndjson", "--data-dir", "data", cwd=tmp_path)
    count = "SELECT count() AS n FROM prospects FINAL"
    wait_until(lambda: int(rows(count, tmp_path, "data")[0]["n"]) == 5, "the facts")
    family = descendants(up.pid)
    up.kill()
    wait_until(lambda: not alive(family), "all children to be gone")
    refused = journey("run", "one.ndjson", "--data-dir", "data", cwd=tmp_path, code=1)
    assert "cut off" in refused
    assert "--fresh" in refused
    assert "cut off" in ask("doctor", "--data-dir", "data", cwd=tmp_path)
    told = journey("run", "one.ndjson", "--data-dir", "data", "--fresh", cwd=tmp_path)
    assert "5  events applied" in told
    assert int(rows(count, tmp_path, "data")[0]["n"]) == 5


def test_a_run_stopped_while_reading_takes_in_what_it_sent(tmp_path: Path) -> None:
    """Ctrl-C in the middle of standard input: what was read is folded and saved, and the exit code says interrupted."""
    process = start(["run", "-", "--data-dir", "data"], tmp_path)
    try:
        assert process.stdin is not None
        wait_until((tmp_path / "data" / "running.json").exists, "the stack to run")
        process.stdin.write("\n".join(line(number) for number in range(1_500)) + "\n")
        process.stdin.flush()
        wait_until(lambda: (tmp_path / "data" / "logs" / "worker.log").exists(), "the worker")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, out + err
    assert "Reading the same files again is safe" in err
    assert not (tmp_path / "data" / "unfinished").exists()
    sent = int(next(text for text in out.splitlines() if "lines read" in text).split()[0].replace(",", ""))
    assert int(rows("SELECT count() AS n FROM prospects FINAL", tmp_path, "data")[0]["n"]) == sent


def own_terminal() -> None:
    """Run in a child before its program: it is told when its terminal closes."""
    hear_signals()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_terminal_that_closes_is_like_ctrl_c(tmp_path: Path) -> None:
    """When the terminal goes away, what was sent is settled and saved all the same, though nothing can be shown any more."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "journey", "up", "--data-dir", "data"],
        cwd=tmp_path,
        env=environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=own_terminal,
    )
    os.close(terminal)
    reader = threading.Thread(
        target=drain, args=(controller, lambda: not (tmp_path / "data" / "running.json").exists())
    )
    reader.start()
    try:
        wait_until((tmp_path / "data" / "running.json").exists, "the stack to run")
        (tmp_path / "one.ndjson").write_text("\n".join(line(number) for number in range(20)))
        journey("produce", "one.ndjson", "--data-dir", "data", cwd=tmp_path)
        reader.join()
        family = descendants(process.pid)
        os.close(controller)
        process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not alive(family), "all children to be gone")
    assert not (tmp_path / "data" / "unfinished").exists()
    assert int(rows("SELECT count() AS n FROM prospects FINAL", tmp_path, "data")[0]["n"]) == 20


def drain(terminal: int, wanted: Callable[[], bool]) -> None:
    """Read what is shown, so that nobody blocks on a full terminal, for as long as it is wanted."""
    while wanted():
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 65_536)
