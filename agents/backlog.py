"""Whether the worker is behind its input, or takes in events of the past: then the wall clock means nothing yet, as replays must not cry wolf."""

from __future__ import annotations

import time
from collections.abc import Callable

from faust.types import TP

from funnel.durations import MICROSECONDS

OLD_AFTER = 2.0
"""A record that was this old (seconds) when it was handled shows that others wait behind it ..."""
IDLE_AFTER = 1.0
"""... unless nothing came after it for this long."""
PAST_AFTER = 3_600.0
"""Where the newest event of a run happened this long (seconds) before, somebody sends the past again: what happened since may be yet to come ..."""
QUIET_AFTER = 3.0
"""... unless no event came for this long."""


class Backlog:
    """Remembers how old the last records of each partition were when they were handled."""

    def __init__(self, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic) -> None:
        """Args: clock: the wall's, which records' ages are measured by; timer: one that nobody sets back."""
        self._clock, self._timer = clock, timer
        self._last: dict[TP, tuple[float, float]] = {}
        """When (on the timer) records were handled last, and how old they were."""
        self._newest: dict[TP, tuple[float, float]] = {}
        """When events were handled last, and how long before the newest of them had happened."""
        self._began = timer()

    def note(self, tp: TP, timestamp: int) -> None:
        """Records up to one of this timestamp (milliseconds since the epoch) are being handled."""
        self._last[tp] = (self._timer(), self._clock() - timestamp / 1_000)

    def note_events(self, tp: TP, newest: int) -> None:
        """Events are being handled of which the newest happened then (microseconds)."""
        self._newest[tp] = (self._timer(), self._clock() - newest / MICROSECONDS)

    def forget(self) -> None:
        """Partitions change hands: what was known of them is void."""
        self._last.clear()
        self._newest.clear()
        self._began = self._timer()

    def is_behind(self) -> bool:
        """Whether a partition's records, or all events of a run, were old when handled, and it hasn't been idle since.

        Just after partitions changed hands nobody knows yet, which counts as behind.
        """
        now = self._timer()
        return (
            now - self._began < IDLE_AFTER
            or any(now - handled < IDLE_AFTER and age > OLD_AFTER for handled, age in self._last.values())
            or any(now - handled < QUIET_AFTER and age > PAST_AFTER for handled, age in self._newest.values())
        )
