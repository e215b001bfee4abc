"""Workers and sinks as processes of their own that start warm: forked from one that has imported everything.

A worker imports for longer than most tests need of it, and the fault matrix starts hundreds. What is forked has done nothing yet: it opens
its own connections, and is stopped and killed like any process. Commands, and what belongs to `journey run`, start cold (`tests.e2e.harness`).
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PROGRAMS = ("tests.faults.worker", "tests.pipeline", "tests.sinking", "tests.toy_worker", "tests.warehouse")
_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(list(_PROGRAMS))


class Process:
    """Such a process; has what is needed of `subprocess.Popen`."""

    def __init__(
        self, program: str, argument: str, output: Path | None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Run `main` of a module.

        Args:
            program: the module.
            argument: its only one.
            output: the file that both its outputs are added to; None: nobody reads them.
            environment: more of it.
        """
        whole = {**os.environ, **(environment or {})}
        # A daemon, so that one that a test has left behind ends with us.
        self._process = _forking.Process(target=_run, args=(program, argument, output, whole), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended (negative: by that signal); None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Wait until it has ended, and say how.

        Raises:
            subprocess.TimeoutExpired: it has not within so many seconds.
        """
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            assert seconds is not None
            raise subprocess.TimeoutExpired(f"process {self.pid}", seconds)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _run(program: str, argument: str, output: Path | None, environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with Path(os.devnull if output is None else output).open("ab") as file:
        sys.stdout.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = [program, argument]
    importlib.import_module(program).main()
