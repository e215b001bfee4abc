"""Child processes: they end when we do, are restarted when they die, and say why in their logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from journey.errors import StackError

_ATTACHED = Path(__file__).with_name("attached.py")
_STOP_SECONDS = 12.0
_KEEP_LOG_BYTES = 5_000_000
_TAIL_LINES = 15
_TAIL_BYTES = 20_000

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 8.0
DEATHS_ALLOWED = 5
"""A child that dies more often than this within `DEATH_WINDOW_SECONDS` is given up."""
DEATH_WINDOW_SECONDS = 120.0


class Child:
    """One child process with a log file. It is killed when this process ends, however that ends.

    It runs in a session of its own: Ctrl-C in the terminal is ours to handle, in order. Start it from a thread that
    lives as long as it should (the main one): the kernel ties it to the thread that started it.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._command = [sys.executable, "-I", "-S", str(_ATTACHED), str(os.getpid()), *command]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: by that signal); None while it runs or was never started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it; its output is added to its log.

        Raises:
            StackError: the log can't be written or the program can't be run.
        """
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            if self.log.exists() and self.log.stat().st_size > _KEEP_LOG_BYTES:
                self.log.replace(self.log.with_suffix(".old.log"))
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603  the command is ours
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise StackError(f"cannot start the {self.name}: {error}") from error

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and don't wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = _STOP_SECONDS) -> bool:
        """End it: SIGTERM, then after `seconds` SIGKILL. Returns whether it ended by itself."""
        self.ask_to_stop()
        return self.wait(seconds)

    def wait(self, seconds: float = _STOP_SECONDS) -> bool:
        """Let it end, after `seconds` by SIGKILL. Returns whether it ended by itself. It is told nothing: a second SIGTERM could kill it."""
        try:
            if self._process is not None:
                self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        """The last lines of its log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return "(no log)"
        return "\n".join(lines[-_TAIL_LINES:]) or "(nothing)"


class Supervisor:
    """Keeps children alive. They are fail-stop: whatever goes wrong ends them, and a fresh start is the remedy.

    It has no thread: whoever waits for something calls `check` meanwhile.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._children: list[Child] = []
        self._deaths: dict[str, deque[float]] = {}
        self._restart_at: dict[str, float] = {}
        self.restarts = 0
        """How often a child was started again."""

    def start(self, child: Child) -> None:
        """Start a child and keep it alive from now on."""
        child.start()
        self._children.append(child)
        self._deaths[child.name] = deque()

    @property
    def children(self) -> tuple[Child, ...]:
        """Those it keeps alive."""
        return tuple(self._children)

    def check(self) -> None:
        """Start again, after a pause, what has died. Returns at once.

        Raises:
            StackError: a child died too often; holds the end of its log.
        """
        now = self._clock()
        for child in self._children:
            if child.pid is not None:
                continue
            due = self._restart_at.get(child.name)
            if due is None:
                self._restart_at[child.name] = now + self._pause_after_death(child, now)
            elif now >= due:
                del self._restart_at[child.name]
                self.restarts += 1
                child.start()

    def _pause_after_death(self, child: Child, now: float) -> float:
        """Seconds to wait before it is started again."""
        deaths = self._deaths[child.name]
        deaths.append(now)
        while deaths[0] < now - DEATH_WINDOW_SECONDS:
            deaths.popleft()
        if len(deaths) > DEATHS_ALLOWED:
            raise StackError(
                f"the {child.name} ended {len(deaths)} times (last exit code {child.exit_code}); {child.log} ends with:\n{child.log_tail()}"
            )
        return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (len(deaths) - 1)))

    def stop(self) -> bool:
        """End all children, together. Returns whether all ended by themselves."""
        children, self._children = self._children, []
        for child in children:
            child.ask_to_stop()
        ended = [child.wait() for child in children]
        return all(ended)
