"""Whether the worker is behind its input: then the wall clock means nothing yet, as replays must not cry wolf."""

from __future__ import annotations

import time
from collections.abc import Callable

from faust.types import TP

OLD_AFTER = 2.0
"""A record that was this old (seconds) when it was handled shows that others wait behind it ..."""
IDLE_AFTER = 1.0
"""... unless nothing came after it for this long."""


class Backlog:
    """Remembers how old the last records of each partition were when they were handled."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last: dict[TP, tuple[float, float]] = {}
        self._began = clock()

    def note(self, tp: TP, timestamp: int) -> None:
        """Records up to one of this timestamp (milliseconds since the epoch) are being handled."""
        self._last[tp] = (self._clock(), timestamp / 1_000)

    def forget(self) -> None:
        """Partitions change hands: what was known of them is void."""
        self._last.clear()
        self._began = self._clock()

    def is_behind(self) -> bool:
        """Whether a partition's records were old when handled, and it hasn't been idle since.

        Just after partitions changed hands nobody knows yet, which counts as behind.
        """
        now = self._clock()
        return now - self._began < IDLE_AFTER or any(
            now - handled < IDLE_AFTER and handled - written > OLD_AFTER for handled, written in self._last.values()
        )
