"""How much state a worker holds, without a count on the way of each record: from time to time some prospects are looked at."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import islice

from agents import metrics
from agents.store import PartitionStore

SAMPLE = 1_000
"""About so many prospects of a partition are looked at; of fewer, all."""
EVERY_SECONDS = 5.0
"""A partition's turn comes at most this often ..."""
SHARE = 1_000
"""... and so that looking takes at most one part in so many of the time: a worker may hold millions of prospects."""


class Scales:
    """Estimates the size of a store, one partition at a time.

    The prospects looked at lie evenly among all, old and new, as how many records one has depends on its age.
    """

    def __init__(self, store: PartitionStore, timer: Callable[[], float] = time.monotonic) -> None:
        """Args: store: what to weigh; timer: seconds."""
        self._store, self._timer = store, timer
        self._per_prospect: dict[int, tuple[float, float]] = {}
        """By partition: records and bytes of a prospect, on the average."""
        self._next = 0.0

    def weigh(self) -> None:
        """Set the metrics; to be called often. Prospects are always counted, records and bytes when it is time to."""
        store, began = self._store, self._timer()
        sizes = store.sizes()
        self._per_prospect = {number: known for number, known in self._per_prospect.items() if number in sizes}
        if sizes and began >= self._next:
            unknown = [number for number in sizes if number not in self._per_prospect]
            # The one whose turn is longest ago: each is put at the end when it was looked at.
            number = unknown[0] if unknown else next(iter(self._per_prospect))
            self._per_prospect.pop(number, None)
            self._per_prospect[number] = _look(store, number, sizes[number])
            ended = self._timer()
            self._next = ended + (0.0 if len(unknown) > 1 else max(EVERY_SECONDS, (ended - began) * SHARE))
        metrics.STATE_PROSPECTS.set(sum(sizes.values()))
        of_each = [(sizes[number], known) for number, known in self._per_prospect.items()]
        metrics.STATE_RECORDS.set(round(sum(size * records for size, (records, _) in of_each)))
        metrics.STATE_BYTES.set(round(sum(size * bytes_ for size, (_, bytes_) in of_each)))


def _look(store: PartitionStore, partition: int, size: int) -> tuple[float, float]:
    """Records and bytes of a prospect, on the average of some."""
    step = max(1, size // SAMPLE)
    looked = records = total = 0
    for prospect in islice(store.prospects(partition), random.randrange(step), None, step):  # noqa: S311  not for secrets
        kept = store.records(partition, prospect)
        looked += 1
        records += len(kept)
        total += len(kept) * len(prospect) + sum(map(len, kept)) + sum(map(len, kept.values()))
    return (records / looked, total / looked) if looked else (0.0, 0.0)
