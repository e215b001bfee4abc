"""journey.health: what a process says of itself, and what happens when it falls silent."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from journey import health
from journey.health import Health, memory_limit
from tests.unit.agents.test_backlog import Clock

HANGS = """
import logging, sys, time
from journey.health import Health
logging.basicConfig(stream=sys.stderr, format="%(message)s")
health = Health(1.5)
health.beat(None)
health.watch()
def compute_for_ever():
    while True:
        pass
compute_for_ever()
"""


@pytest.fixture
def ended() -> list[int]:
    """The codes that the process would have ended with."""
    return []


def test_ready_is_what_the_process_says_and_alive_that_it_says_anything() -> None:
    """It starts unready; when it falls silent it is neither."""
    clock = Clock()
    process = Health(120, clock)
    assert process.why_not_ready() == "it is starting"
    assert process.why_not_alive() is None
    process.beat("partitions are changing hands")
    assert process.why_not_ready() == "partitions are changing hands"
    process.beat(None)
    assert process.why_not_ready() is None
    clock.now += 121
    assert process.why_not_alive() == "its event loop has not answered for 121 s"
    assert process.why_not_ready() == process.why_not_alive()


def test_a_silent_process_is_ended(ended: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """After so many seconds of listening, and not before."""
    clock = Clock()
    process = Health(10, clock, ended.append)
    for _ in range(9):
        clock.now += 1
        process.listen()
    assert not ended
    clock.now += 1
    process.listen()
    assert ended == [1]
    assert "its event loop has not answered for 10 s" in caplog.text


def test_one_that_speaks_is_not(ended: list[int]) -> None:
    """However seldom, within the limit."""
    clock = Clock()
    process = Health(10, clock, ended.append)
    for second in range(100):
        clock.now += 1
        if second % 9 == 0:
            process.beat(None)
        process.listen()
    assert not ended


def test_time_in_which_the_process_was_stopped_does_not_count(ended: list[int]) -> None:
    """SIGSTOP for an hour is no silence: it could not speak, and gets the time to."""
    clock = Clock()
    process = Health(10, clock, ended.append)
    process.listen()
    clock.now += 3_600
    process.listen()
    assert not ended
    process.beat(None)
    process.listen()
    assert not ended


def test_the_line_says_where_it_hangs() -> None:
    """A real process whose main thread computes for ever ends with 1, and names the function."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert time.monotonic() - began > 1.5
    assert "process stops: its event loop has not answered" in done.stderr
    assert "compute_for_ever" in done.stderr


@pytest.mark.parametrize(
    ("content", "limit"), [("2147483648\n", 2**31), ("max\n", 0), (f"{2**63 - 4096}\n", 0), (None, 0)]
)
def test_the_containers_limit(content: str | None, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel says; 0 where it says that there is none, or nothing."""
    file = tmp_path / "memory.max"
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr(health, "_LIMIT_FILES", (tmp_path / "missing", file))
    assert memory_limit() == limit
