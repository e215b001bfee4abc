"""When the wall clock next changes something, per prospect of one partition, and who is due now."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from funnel.durations import MICROSECONDS

RETRY_AFTER = 30 * MICROSECONDS
"""A prospect that was named as due and is still due after this long is named again: its tick was lost."""
SHELF = 600 * MICROSECONDS
"""Deadlines that are further away are not kept in order, but by the ten minutes they lie in: that takes half of the memory."""
_LOOKED_AT = 5_000


class Deadlines:
    """A time-ordered index. Times are microseconds.

    Every prospect with a deadline has an entry at or before it. One that comes too early, as the deadline has moved away meanwhile, which it does
    with each event, goes on to where the deadline is now: so moving it away costs nothing.
    """

    def __init__(self) -> None:
        self._due: dict[bytes, int] = {}
        self._shelves: dict[int, list[bytes]] = {}
        """Entries by ten minutes."""
        self._order: list[int] = []
        """A heap of their numbers."""
        self._soon: list[tuple[int, bytes]] = []
        """A heap of entries from shelves whose time has come."""
        self._opened = -1
        """The last of those."""
        self._named: dict[bytes, int] = {}
        """The deadlines of those who were named and have not been heard of since; to be named again, they have another one meanwhile."""

    def __len__(self) -> int:
        return len(self._due)

    def load(self, dues: Iterator[tuple[bytes, int]]) -> None:
        """Take many deadlines at once."""
        for prospect, due in dues:
            self.set(prospect, due)

    def set(self, prospect: bytes, due: int | None) -> None:
        """A prospect's deadline is now this; None: it has none."""
        if self._named:
            self._named.pop(prospect, None)
        if due is None:
            self._due.pop(prospect, None)
            return
        before = self._due.get(prospect)
        self._due[prospect] = due
        if before is None or due < before:
            self._enter(prospect, due)

    def pop_due(self, now: int, most: int) -> list[bytes]:
        """Prospects whose deadline is at or before `now`, at most so many; each is not named again for a while."""
        self._open_all(now)
        found: list[bytes] = []
        soon = self._soon
        while soon and soon[0][0] <= now and len(found) < most:
            _, prospect = heappop(soon)
            due = self._due.get(prospect)
            if due is None:
                continue
            if due <= now:
                found.append(prospect)
                self._named.setdefault(prospect, due)
                due = self._due[prospect] = now + RETRY_AFTER
            self._enter(prospect, due)
        return found

    def overdue(self, now: int) -> int:
        """How long ago the earliest deadline passed of which nobody was told; 0 where there is none."""
        self._open_all(now)
        # While nobody is told, entries that woke up for nothing gather at the top. A moment's work each, but there may be very many.
        for _ in range(_LOOKED_AT):
            if not self._soon or self._soon[0][0] > now:
                return 0
            prospect = self._soon[0][1]
            due = self._due.get(prospect)
            if due is not None and due <= now:
                return now - self._named.get(prospect, due)
            heappop(self._soon)
            if due is not None:
                self._enter(prospect, due)
        return 0

    def _enter(self, prospect: bytes, at: int) -> None:
        number = at // SHELF
        if number <= self._opened:
            heappush(self._soon, (at, prospect))
        elif (shelf := self._shelves.get(number)) is not None:
            shelf.append(prospect)
        else:
            self._shelves[number] = [prospect]
            heappush(self._order, number)

    def _open_all(self, now: int) -> None:
        while self._order and self._order[0] * SHELF <= now:
            self._open(heappop(self._order))

    def _open(self, number: int) -> None:
        """Put the entries of a shelf in order. A deadline that moved there and back has several, which are one from now on."""
        self._opened = number
        for prospect in dict.fromkeys(self._shelves.pop(number)):
            due = self._due.get(prospect)
            if due is not None:
                self._enter(prospect, due)
