"""Waits until everything that was produced is through: taken in, folded, visible in ClickHouse, and aggregated.

Each step's end is looked up after the step before it is done, and a worker commits an input offset only when what
follows from it was acknowledged; so when the last step is done, everything is through.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from journey.errors import JourneyError
from journey.offsets import Offsets, lag

STUCK_SECONDS = 60.0
"""With nothing moving for so long, waiting is given up."""
_POLL_SECONDS = 0.05
_MANY, _MANY_POLL_SECONDS = 2_000, 0.25
"""With so many records to go, looking more seldom spares the brokers, and those who work, some percent of their time."""


class DrainError(JourneyError):
    """Nothing moves any more."""


@dataclass(frozen=True)
class Step:
    """One leg of the way: these topics, read by this group."""

    name: str
    """For people."""
    topics: tuple[str, ...]
    group: str
    feeds_itself: bool = False
    """Whether what the group does with them puts more into them: identifiers tell one another."""


class Pipeline(Protocol):
    """What is drained."""

    def ends(self, topics: Sequence[str]) -> Offsets:
        """Where the topics end now."""

    def committed(self, group: str) -> Offsets:
        """How far the group has come."""

    def overdue(self) -> int:
        """Open visits of which the wall clock should have told something already: that they expired, or are stalled."""

    def refresh(self) -> None:
        """Bring the aggregates up to now."""

    def check(self) -> None:
        """Restart what died; raises when that does not help."""


def drain(
    pipeline: Pipeline,
    steps: Sequence[Step],
    *,
    progress: Callable[[str, int], None] = lambda _, __: None,
    stuck_seconds: float = STUCK_SECONDS,
) -> None:
    """Return when all is through.

    Args:
        pipeline: what is drained.
        steps: in the order of the way; all but the first are taken again after the wall clock has told something.
        progress: called often, with what is waited for and how many records or visits that still are.
        stuck_seconds: see `STUCK_SECONDS`.

    Raises:
        DrainError: nothing moved for `stuck_seconds`; says where.
        JourneyError: what `Pipeline.check` raises.
    """
    wait = _Wait(pipeline, progress, stuck_seconds)
    settle(pipeline, steps, progress=progress, stuck_seconds=stuck_seconds)
    while wait.for_deadlines():
        settle(pipeline, steps[1:], progress=progress, stuck_seconds=stuck_seconds)
    progress("aggregating", 0)
    pipeline.refresh()


def settle(
    pipeline: Pipeline,
    steps: Sequence[Step],
    *,
    progress: Callable[[str, int], None] = lambda _, __: None,
    stuck_seconds: float = STUCK_SECONDS,
) -> None:
    """Return when what was produced before the call is in ClickHouse; arguments and errors as for `drain`."""
    wait = _Wait(pipeline, progress, stuck_seconds)
    for step in steps:
        wait.for_step(step)


class _Wait:
    def __init__(self, pipeline: Pipeline, progress: Callable[[str, int], None], stuck_seconds: float) -> None:
        self._pipeline, self._progress, self._stuck_seconds = pipeline, progress, stuck_seconds

    def for_step(self, step: Step) -> None:
        while True:
            ends = self._pipeline.ends(step.topics)
            self._for_ends(step, ends)
            # What a record leads to is written before its offset is committed: unmoved ends mean that nothing more comes.
            if not step.feeds_itself or self._pipeline.ends(step.topics) == ends:
                return

    def _for_ends(self, step: Step, ends: Offsets) -> None:
        def left() -> int:
            return lag(ends, self._pipeline.committed(step.group))

        self._until_none(left, step.name, f"{step.group} has not come to the end of {', '.join(step.topics)}")

    def for_deadlines(self) -> bool:
        """Wait until no open visit is overdue; returns whether there were any."""
        return self._until_none(
            self._pipeline.overdue, "deadlines passing", "open visits whose deadline has passed have not been told so"
        )

    def _until_none(self, left: Callable[[], int], name: str, complaint: str) -> bool:
        least: int | None = None
        moved_at = time.monotonic()
        while (now_left := left()) > 0:
            self._progress(name, now_left)
            self._pipeline.check()
            if least is None or now_left < least:
                least, moved_at = now_left, time.monotonic()
            elif time.monotonic() - moved_at > self._stuck_seconds:
                raise DrainError(f"nothing moved for {self._stuck_seconds:g} s: {complaint} ({now_left} left)")
            time.sleep(_POLL_SECONDS if now_left < _MANY else _MANY_POLL_SECONDS)
        return least is not None
