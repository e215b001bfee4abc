"""How far a worker is behind: how many records wait, and for how long the oldest of them has."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from faust.types import TP


class Standing(NamedTuple):
    """Where a partition stands.

    Attributes:
        settled: the offset before which everything is settled; None: nobody knows yet.
        end: where the partition ends, as far as the brokers have told; None: they haven't.
        oldest: timestamp (milliseconds since 1970, UTC) of the first record that is not settled; None where that was not handed on yet.
        here: whether records that are not settled have come from the brokers: handling them is all that is left to do.
    """

    settled: int | None
    end: int | None
    oldest: int | None
    here: bool

    @property
    def records(self) -> int:
        """How many wait."""
        return max(0, self.end - self.settled) if self.end is not None and self.settled is not None else int(self.here)


class Behind(NamedTuple):
    """What waits of a topic: records, and for how many seconds the oldest of them has."""

    records: int
    seconds: float


class Lag:
    """Sums up where partitions stand, by topic.

    A record's age is by its timestamp. Of one that is only known to be there, nobody knows that yet: it counts from when it was noticed, which
    is too short for the moment that it takes to fetch it.
    """

    def __init__(self, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic) -> None:
        """Args: clock: the wall's, which records' ages are measured by; timer: one that nobody sets back."""
        self._clock, self._timer = clock, timer
        self._noticed: dict[TP, tuple[int, float]] = {}
        """Of partitions where more is known to be than was fetched: from which offset on, and since when."""

    def measure(self, topics: Collection[str], standings: Mapping[TP, Standing]) -> dict[str, Behind]:
        """What waits of each of `topics`, given where the partitions stand that are ours."""
        found = dict.fromkeys(topics, Behind(0, 0.0))
        noticed, self._noticed = self._noticed, {}
        now = self._timer()
        for tp, standing in standings.items():
            records, seconds = standing.records, 0.0
            if standing.oldest is not None:
                seconds = max(0.0, self._clock() - standing.oldest / 1_000)
            elif records:
                settled = standing.settled or 0
                known = noticed.get(tp)
                since = self._noticed[tp] = known if known is not None and known[0] == settled else (settled, now)
                seconds = now - since[1]
            so_far = found[tp.topic]
            found[tp.topic] = Behind(so_far.records + records, max(so_far.seconds, seconds))
        return found
