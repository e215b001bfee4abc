"""Workers and a sink under a supervisor, which starts again what ends by itself: as the compose file and any cluster does."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

from sinks.config import SinkConfig
from tests.pipeline import Installation, Worker
from tests.sinking import as_json
from tests.warm import Process

MODULE = "tests.faults.worker"
STOP_SECONDS = 10.0
"""In which a worker must end when told to (SIGTERM)."""
_LOOK_SECONDS = 0.05
_ASK_SECONDS = 0.3
"""Between questions to a server, which cost something."""


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], *, seconds: float, what: str) -> float:
    """Wait for a condition, and say how long that took."""
    began = time.monotonic()
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(_LOOK_SECONDS if isinstance(answer, bool) else _ASK_SECONDS)


class Fleet:
    """The workers of an installation. An async context manager that leaves none behind."""

    def __init__(self, installation: Installation, harm: Mapping[str, Any]) -> None:
        self._installation, self._harm = installation, dict(harm)
        self.workers: list[Worker] = []
        """Those that should run."""
        self.ended: list[tuple[Worker, int]] = []
        """Those that ended by themselves or were killed, and how."""
        self.restarting = True
        """Whether the supervisor is at work; else who has ended is left as it is for a while."""
        self._supervising: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._supervising = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._supervising is not None
        self._supervising.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._supervising
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()

    def start(self, harm: Mapping[str, Any] | None = None, *, environment: Mapping[str, str] | None = None) -> Worker:
        """One more worker; `harm` happens only to this one, and not to the one that takes its place."""
        worker = self._installation.start_worker(MODULE, environment=environment, harm=self._harm | dict(harm or {}))
        self.workers.append(worker)
        return worker

    async def ready(self, *workers: Worker, seconds: float = 60.0) -> None:
        """Wait until they own partitions, all of them if none is named."""
        for worker in workers or tuple(self.workers):
            await until(lambda worker=worker: is_ready(worker), seconds=seconds, what="the worker owns partitions")

    def kill(self, worker: Worker) -> None:
        """SIGKILL; the supervisor will start another."""
        worker.process.send_signal(signal.SIGKILL)

    async def stop(self, worker: Worker) -> float:
        """SIGTERM, to one that is not to come back; how many seconds it took, with everything in order."""
        self.workers.remove(worker)
        began = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        try:
            await until(lambda: worker.process.poll() is not None, seconds=STOP_SECONDS, what="it ends on SIGTERM")
        except TimeoutError:
            worker.process.kill()
            raise
        code = worker.process.wait()
        assert code == 0, f"a worker ended with exit code {code} when told to stop:\n{tail(worker)}"
        return time.monotonic() - began

    async def _supervise(self) -> None:
        while True:
            for worker in list(self.workers):
                code = worker.process.poll()
                if code is not None and worker not in (known for known, _ in self.ended):
                    self.ended.append((worker, code))
                if code is not None and self.restarting:
                    self.workers.remove(worker)
                    self.start()
            await asyncio.sleep(_LOOK_SECONDS)


def is_ready(worker: Worker) -> bool:
    """Whether it owns partitions, or has ended."""
    return worker.process.poll() is not None or b" ready: " in worker.log.read_bytes()


def owned(worker: Worker) -> int:
    """How many partitions it was last given."""
    assignments = re.findall(rb" ready: (.*)", worker.log.read_bytes())
    return len(assignments[-1].split(b", ")) if assignments else 0


def tail(worker: Worker, lines: int = 15) -> str:
    """The end of what it printed."""
    return "\n".join(worker.log.read_text(errors="replace").splitlines()[-lines:])


class SupervisedSink:
    """A sink that is started again when it ends. An async context manager."""

    def __init__(self, config: SinkConfig, log: Path) -> None:
        self._config, self._log = config, log
        self.process: Process | None = None
        self._supervising: asyncio.Task[None] | None = None

    def _start(self) -> None:
        self.process = Process("tests.sinking", as_json(self._config), self._log)

    async def __aenter__(self) -> Self:
        self._start()
        self._supervising = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._supervising is not None
        self._supervising.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._supervising
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def _supervise(self) -> None:
        while True:
            if self.process is not None and self.process.poll() is not None:
                self._start()
            await asyncio.sleep(_LOOK_SECONDS)
