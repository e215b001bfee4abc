"""How far the sink is behind: how many records wait, and for how long the oldest of them has."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from sinks.base import Record
from sinks.batch import Partition


class _Fetched(NamedTuple):
    """Records that came together."""

    first: int
    last: int
    """Offsets."""
    timestamp: int
    """Of the first one, in milliseconds."""


class Lag:
    """Remembers what came together and is not inserted, so that nothing is spent on single records.

    A record's age is by its timestamp, and that of the first one of those that it came with. What is only known to be there counts from when that
    was noticed.
    """

    def __init__(self, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic) -> None:
        """Args: clock: the wall's, which records' ages are measured by; timer: one that nobody sets back."""
        self._clock, self._timer = clock, timer
        self._fetched: dict[Partition, deque[_Fetched]] = {}
        self._next: dict[Partition, int] = {}
        """The first offset that is not inserted."""
        self._noticed: dict[Partition, tuple[int, float]] = {}

    def fetched(self, partition: Partition, records: Sequence[Record]) -> None:
        """Records came."""
        if records:
            first = records[0]
            self._fetched.setdefault(partition, deque()).append(
                _Fetched(first.offset, records[-1].offset, first.timestamp)
            )
            self._next.setdefault(partition, first.offset)

    def inserted(self, offsets: Mapping[Partition, int]) -> None:
        """Everything before these offsets is in ClickHouse."""
        for partition, offset in offsets.items():
            self._next[partition] = offset
            waiting = self._fetched.get(partition)
            while waiting and waiting[0].last < offset:
                waiting.popleft()

    def forget(self) -> None:
        """Partitions move: what was known of them is void."""
        self._fetched.clear()
        self._next.clear()
        self._noticed.clear()

    def measure(
        self, topics: Collection[str], ends: Mapping[Partition, int], positions: Mapping[Partition, int]
    ) -> dict[str, tuple[int, float]]:
        """Records that wait of each of `topics`, and for how many seconds the oldest has.

        Args:
            topics: all to tell of.
            ends: where our partitions end, as far as the brokers said.
            positions: up to where they were read, for those that nothing has come of yet.
        """
        found = dict.fromkeys(topics, (0, 0.0))
        now = self._timer()
        noticed, self._noticed = self._noticed, {}
        for partition in ends.keys() | self._fetched.keys():
            begin = self._next.get(partition, positions.get(partition, 0))
            records, seconds = max(0, ends.get(partition, begin) - begin), 0.0
            if waiting := self._fetched.get(partition):
                # The brokers may not have said, or the embedded one too little.
                records = max(records, waiting[-1].last + 1 - begin)
                seconds = max(0.0, self._clock() - waiting[0].timestamp / 1_000)
            elif records:
                known = noticed.get(partition)
                since = self._noticed[partition] = known if known is not None and known[0] == begin else (begin, now)
                seconds = now - since[1]
            so_far, oldest = found[partition[0]]
            found[partition[0]] = (so_far + records, max(oldest, seconds))
        return found
