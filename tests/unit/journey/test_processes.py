"""Children: restarted when they die, given up when that doesn't help, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from journey.errors import StackError
from journey.processes import DEATHS_ALLOWED, Child, Supervisor
from tests.e2e.harness import alive, descendants, wait_until

FOREVER = [sys.executable, "-c", "import signal; print('here', flush=True); signal.pause()"]
DIES = [sys.executable, "-c", "print('this is why'); raise SystemExit(3)"]


def test_a_child_stops_when_asked(tmp_path: Path) -> None:
    """SIGTERM ends it; its output is in its log."""
    child = Child("idler", FOREVER, tmp_path / "logs" / "idler.log")
    child.start()
    wait_until(lambda: "here" in child.log_tail(), "the child to run", 20)
    assert child.stop()
    assert (child.pid, child.exit_code) == (None, -signal.SIGTERM)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """It gets its time, and no more."""
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN); print('here', flush=True)\nwhile True: signal.pause()"
    child = Child("mule", [sys.executable, "-c", stubborn], tmp_path / "mule.log")
    child.start()
    wait_until(lambda: "here" in child.log_tail(), "the child to run", 20)
    assert not child.stop(0.1)
    assert child.exit_code == -signal.SIGKILL


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent takes its children along: nothing else can clean up then."""
    script = (
        "import sys, time; from pathlib import Path; from journey.processes import Child\n"
        f"Child('idler', {FOREVER!r}, Path(sys.argv[1])).start(); time.sleep(600)"
    )
    log = tmp_path / "idler.log"
    parent = subprocess.Popen([sys.executable, "-c", script, str(log)], cwd=Path(__file__).parents[3])
    try:
        wait_until(lambda: log.exists() and "here" in log.read_text(), "the grandchild", 20)
        family = descendants(parent.pid)
        assert alive(family)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not alive(family), "the grandchild to be gone", 30)


def test_what_dies_is_started_again_after_a_pause_that_grows(tmp_path: Path) -> None:
    """By the supervisor's clock: half a second, then twice as long."""
    now = [100.0]
    supervisor = Supervisor(clock=lambda: now[0])
    child = Child("worker", FOREVER, tmp_path / "worker.log")
    supervisor.start(child)
    try:
        for pause in (0.5, 1.0):
            before = child.pid
            child.kill()
            supervisor.check()
            now[0] += pause - 0.01
            supervisor.check()
            assert child.pid is None
            now[0] += 0.02
            supervisor.check()
            assert child.pid not in (None, before)
        assert supervisor.restarts == 2
    finally:
        supervisor.stop()
    assert child.pid is None


def test_what_dies_too_often_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    """The error names the child, its exit code and what it said last."""
    now = [0.0]
    supervisor = Supervisor(clock=lambda: now[0])
    child = Child("worker", DIES, tmp_path / "worker.log")
    supervisor.start(child)
    with pytest.raises(StackError, match=r"the worker ended 6 times \(last exit code 3\)[\s\S]*this is why"):
        for _ in range(4 * DEATHS_ALLOWED):
            wait_until(lambda: child.pid is None, "the child to end", 20)
            supervisor.check()
            now[0] += 9


def test_deaths_long_ago_are_forgiven(tmp_path: Path) -> None:
    """A child that dies now and then is started again for ever."""
    now = [0.0]
    supervisor = Supervisor(clock=lambda: now[0])
    child = Child("worker", DIES, tmp_path / "worker.log")
    supervisor.start(child)
    for _ in range(2 * DEATHS_ALLOWED):
        wait_until(lambda: child.pid is None, "the child to end", 20)
        supervisor.check()
        now[0] += 60
        supervisor.check()
    assert supervisor.restarts == 2 * DEATHS_ALLOWED
    child.kill()
