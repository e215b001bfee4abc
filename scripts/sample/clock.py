"""Times within a day: the tables know only days, a stack of real tools knows seconds."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

MINUTE = 60
QUARTER = 900
HOUR = 3_600
_WORKING = {0: (9 * HOUR, 17 * HOUR), -6: (15 * HOUR, 23 * HOUR)}
_AWAKE = {0: (7 * HOUR, 22 * HOUR), -6: (13 * HOUR, 23 * HOUR + 30 * MINUTE)}
_LAST_SECOND = 24 * HOUR - 1


class Day:
    """One lead's day, in seconds since midnight UTC. Every time drawn stays within the table's day.

    Things that must come after each other are drawn with `after`; a day on which a deal closes ends with the closing call, two hours before the end of
    the working day.
    """

    def __init__(self, day: date, utc_offset: int, rng: random.Random, *, closing: bool) -> None:
        self._midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        self._rng = rng
        self._working = _WORKING[utc_offset]
        self._awake = _AWAKE[utc_offset]
        self._closing = self._working[1] - 2 * HOUR
        self._end = self._closing - 30 * MINUTE if closing else _LAST_SECOND

    def at_work(self, after: int = 0) -> int:
        """A time for a call or a meeting, for something a business does."""
        return self._draw(*self._working, after)

    def at_leisure(self, after: int = 0) -> int:
        """A time for a look at a web site: the likelier the nearer to the working day."""
        return (self._draw(*self._awake, after) + self._draw(*self._working, after)) // 2

    def closing(self) -> int:
        """The time of the call that closes the deal: after everything else of the day."""
        return self._closing + self._rng.randrange(2 * HOUR)

    def later(self, second: int, shortest: int, doublings: int) -> int:
        """A time after `second`: mostly soon, now and then hours later, as people get to their mail."""
        delay = shortest + self._rng.randrange(shortest << self._rng.randrange(doublings + 1))
        return min(second + delay, self._end)

    def moment(self, second: int) -> datetime:
        """The instant."""
        return self._midnight + timedelta(seconds=second)

    def _draw(self, start: int, end: int, after: int) -> int:
        start = max(start, after)
        end = min(max(end, start + HOUR), self._end)
        return self._rng.randrange(start, end) if start < end else end
