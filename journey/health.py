"""Whether this process is well: it says so itself once a second, and where it falls silent it is ended.

A worker or sink does all its work in one event loop. What hangs there can't be noticed there, so a thread listens.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from prometheus_client import Gauge

logger = logging.getLogger(__name__)
READY = Gauge("journey_ready", "1 while the process does its work, else 0; `/readyz` says why.")
SILENT_SECONDS = Gauge("journey_silent_seconds", "Since the process's event loop last told of itself.")
MEMORY_LIMIT = Gauge("journey_memory_limit_bytes", "What the process's container may take; 0: no limit is known.")

_LISTEN_SECONDS = 1.0
_STARTING = "it is starting"
_FRAMES = 8
_LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NO_LIMIT = 2**60
"""Where there is none, some kernels say a number that no machine has."""


class Health:
    """What a process last said of itself. `beat` is called from its event loop, everything else from any thread."""

    def __init__(
        self,
        stuck_after: float,
        timer: Callable[[], float] = time.monotonic,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        """Make one, and serve its metrics.

        Args:
            stuck_after: seconds of silence after which the process is stuck.
            timer: seconds.
            end: ends the process at once, with a code.
        """
        self._stuck_after, self._timer, self._end = stuck_after, timer, end
        self._last = timer()
        self._missing: str | None = _STARTING
        self._listened: float | None = None
        self._silence = 0.0
        READY.set_function(lambda: float(self.why_not_ready() is None))
        SILENT_SECONDS.set_function(lambda: self._timer() - self._last)
        MEMORY_LIMIT.set(memory_limit())

    def beat(self, missing: str | None) -> None:
        """The event loop goes round; `missing` is what keeps the process from being ready, None: it is."""
        self._last, self._missing = self._timer(), missing

    def why_not_alive(self) -> str | None:
        """What is wrong with the process; None: nothing is known."""
        silence = self._timer() - self._last
        if silence < self._stuck_after:
            return None
        return f"its event loop has not answered for {silence:.0f} s"

    def why_not_ready(self) -> str | None:
        """What keeps the process from its work; None: nothing."""
        return self.why_not_alive() or self._missing

    def watch(self) -> None:
        """Listen from now on, and end the process when it has fallen silent. What is not acknowledged is then done again, as after any crash."""
        threading.Thread(target=self._watch, name="health", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(_LISTEN_SECONDS)
            self.listen()

    def listen(self) -> None:
        """Look whether the process has fallen silent; to be called about once a second."""
        now, last = self._timer(), self._last
        since = last if self._listened is None else max(last, self._listened)
        # A process that was stopped (SIGSTOP, a suspended machine) could not speak. Time in which nobody listened does not count.
        heard = self._listened is None or last > self._listened
        self._silence = (0.0 if heard else self._silence) + min(now - since, 2 * _LISTEN_SECONDS)
        self._listened = now
        if self._silence >= self._stuck_after:
            logger.critical(
                "process stops: its event loop has not answered for %.0f s; it is at %s", now - last, _where()
            )
            self._end(1)


def memory_limit() -> int:
    """The limit of this process's container in bytes; 0: there is none, or nobody knows."""
    for file in _LIMIT_FILES:
        try:
            limit = int(file.read_text(encoding="ascii"))
        except (OSError, ValueError):  # "max" is no number
            continue
        return limit if limit < _NO_LIMIT else 0
    return 0


def _where() -> str:
    """Where the main thread is: the last calls, without what they were called with."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    if frame is None:
        return "an unknown place"
    calls = traceback.extract_stack(frame)[-_FRAMES:]
    return " > ".join(f"{call.name} ({Path(call.filename).name}:{call.lineno})" for call in calls)
