"""When the wall clock next changes something, per prospect of one partition, and who is due now."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from funnel.durations import MICROSECONDS

RETRY_AFTER = 30 * MICROSECONDS
"""A prospect that was named as due and is still due after this long is named again: its tick was lost."""


_LOOKED_AT = 5_000


class Deadlines:
    """A time-ordered index with one live entry a prospect. Times are microseconds."""

    def __init__(self) -> None:
        self._due: dict[bytes, int] = {}
        self._entry: dict[bytes, int] = {}
        """Time of the prospect's live entry in the heap: at or before its deadline."""
        self._heap: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._due)

    def load(self, dues: Iterator[tuple[bytes, int]]) -> None:
        """Take many deadlines at once; cheaper than one by one."""
        self._due.update(dues)
        self._entry = dict(self._due)
        self._heap = [(at, prospect) for prospect, at in self._due.items()]
        heapify(self._heap)

    def set(self, prospect: bytes, due: int | None) -> None:
        """A prospect's deadline is now this; None: it has none."""
        if due is None:
            self._due.pop(prospect, None)
            return
        self._due[prospect] = due
        entry = self._entry.get(prospect)
        # A deadline that moves away, as it does with each event, costs nothing: its old entry wakes up and goes on.
        if entry is None or due < entry:
            self._push(prospect, due)

    def pop_due(self, now: int, most: int) -> list[bytes]:
        """Prospects whose deadline is at or before `now`, at most so many; each is not named again for a while."""
        found: list[bytes] = []
        while self._heap and self._heap[0][0] <= now and len(found) < most:
            at, prospect = heappop(self._heap)
            if self._entry.get(prospect) != at:
                continue  # it was superseded
            del self._entry[prospect]
            due = self._due.get(prospect)
            if due is None:
                continue
            if due <= now:
                found.append(prospect)
                due = now + RETRY_AFTER
            self._push(prospect, due)
        return found

    def overdue(self, now: int) -> int:
        """How long ago the earliest deadline passed of which nobody was told; 0 where there is none."""
        # While nobody is told, entries that woke up for nothing gather at the top. A moment's work each, but there may be very many.
        for _ in range(_LOOKED_AT):
            if not self._heap or self._heap[0][0] > now:
                return 0
            at, prospect = self._heap[0]
            due = self._due.get(prospect)
            is_live = self._entry.get(prospect) == at
            if is_live and due is not None and due <= now:
                return now - due
            heappop(self._heap)
            if is_live:
                del self._entry[prospect]
                if due is not None:
                    self._push(prospect, due)
        return 0

    def _push(self, prospect: bytes, at: int) -> None:
        self._entry[prospect] = at
        heappush(self._heap, (at, prospect))
