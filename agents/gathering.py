"""Runs that wait for their agent, joined into larger ones: who is behind should take long steps.

What a handler does for a key it does once a run; so in long runs the same records cost less, give fewer facts, and are more nearly in order.
An agent that another one of the same process feeds therefore leaves that one the first turn, as long as it has work and no run here is full.
Runs are full when they take about `RUN_SECONDS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence

from faust.types import TP

from agents.batching import Run

PATIENCE = 1.0
"""How long (seconds) a run may wait to be filled while others feed its agent. Less than `agents.backlog.OLD_AFTER`: who waits is not behind."""
PATIENCE_BEHIND = 10.0
"""How long it may wait at most where those who feed its agent are behind, by twice as much or more."""
RUN_SECONDS = 2.0
"""What a run may take. While one is handled the worker can do nothing else, and it has to be able to end within seconds."""
FIRST_RUN = 2_000
"""Records of a run before anybody knows how fast they are handled."""
FULL_RUNS_KEPT = 2
"""No more than so many full runs wait here; what is fetched beyond that waits in the agent's queue, and then fetching pauses."""


class Gathering:
    """The runs of one agent that were fetched and not handled yet, by partition."""

    def __init__(
        self,
        run_records: int,
        patience: float = 0.0,
        feeders: Sequence[Gathering] = (),
        more: Callable[[], bool] = lambda: False,
        timer: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make one.

        Args:
            run_records: most records of a run; what was fetched as one run stays one.
            patience: how long (seconds) a run may wait to be filled, as long as nobody is behind.
            feeders: those of agents whose output this one takes.
            more: says whether more has been written than was gathered.
            timer: seconds.
            clock: the wall's, which records' ages are measured by.
        """
        self._most, self._room = run_records, run_records * FULL_RUNS_KEPT
        self._full = min(run_records, FIRST_RUN)
        """As many records as make a run at present: what can be handled in time, as far as is known."""
        self._patience, self._feeders, self._more = patience, feeders, more
        self._timer, self._clock = timer, clock
        self._behind = 0.0
        """How old (seconds) the last record of the last run was when it was taken."""
        self._waiting: dict[TP, deque[tuple[float, Run]]] = {}
        """With the time each came at."""
        self._sizes: dict[TP, int] = {}
        """In records."""
        self._closed = False
        self._changed = asyncio.Event()
        self._listeners = [self._changed]
        for feeder in feeders:
            feeder._listeners.append(self._changed)

    @property
    def records(self) -> int:
        """How many wait."""
        return sum(self._sizes.values())

    @property
    def busy(self) -> bool:
        """Whether the agent has work, here or soon."""
        return bool(self._waiting) or self._more()

    def handled(self, records: int, seconds: float) -> None:
        """Say how long a run took, so that later ones take no longer than `RUN_SECONDS`."""
        if records * 8 < self._full:
            return  # short runs cost more by the record
        in_time = int(records * RUN_SECONDS / max(seconds, 1e-6))
        self._full = max(1, min(self._most, in_time, self._full * 2))

    def open(self) -> None:
        """Runs come (again)."""
        self._closed = False

    def close(self) -> None:
        """No more runs come."""
        self._closed = True
        self._tell()

    async def gather(self, run: Run) -> None:
        """Add a run; returns when there is room for more."""
        self._waiting.setdefault(run.tp, deque()).append((self._timer(), run))
        self._sizes[run.tp] = self._sizes.get(run.tp, 0) + len(run.records)
        self._tell()
        while self.records >= self._room:
            await self._change()

    async def take(self) -> Run | None:
        """The next run to handle, as soon as it is to be handled; None where no more come."""
        while self._waiting or not self._closed:
            tp, seconds = self._next()
            if tp is not None:
                return self._take(tp)
            await self._change(seconds)
        return None

    def _next(self) -> tuple[TP | None, float | None]:
        """The partition to go on with. None: wait for a change, or for so many seconds."""
        if not self._waiting:
            return None, None
        by_age = sorted(self._waiting, key=lambda tp: self._waiting[tp][0][0])
        left = self._waiting[by_age[0]][0][0] + self._patience_now() - self._timer()
        if left <= 0:
            return by_age[0], None
        full = [tp for tp in by_age if self._sizes[tp] >= self._full]
        if full:
            return full[0], None
        if self.records >= self._room:
            return max(by_age, key=self._sizes.__getitem__), None
        if self._more() or any(feeder.busy for feeder in self._feeders):
            return None, left
        return by_age[0], None

    def _patience_now(self) -> float:
        """Where what is taken in now is an hour old, full runs are worth more than a second."""
        behind = max((feeder._behind for feeder in self._feeders if feeder.busy), default=0.0)
        return max(self._patience, min(PATIENCE_BEHIND, behind / 2))

    def _take(self, tp: TP) -> Run:
        waiting = self._waiting[tp]
        parts: list[Run] = []
        size = 0
        while waiting and (not parts or self._fits(waiting[0][1], parts[0], size)):
            parts.append(waiting.popleft()[1])
            size += len(parts[-1].records)
        self._sizes[tp] -= size
        if not waiting:
            del self._waiting[tp], self._sizes[tp]
        self._behind = self._clock() - parts[-1].records[-1].timestamp / 1_000
        self._tell()
        return Run.joined(parts)

    def _fits(self, run: Run, first: Run, size: int) -> bool:
        return run.epoch == first.epoch and size + len(run.records) <= self._full

    def _tell(self) -> None:
        for listener in self._listeners:
            listener.set()

    async def _change(self, seconds: float | None = None) -> None:
        """Wait until something comes or goes, here or with a feeder, for so long at most."""
        self._changed.clear()  # whoever waits has just looked
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
