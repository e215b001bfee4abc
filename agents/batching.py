"""Runs of records instead of single events, and the bookkeeping of how far each partition may be committed.

Faust spends one message, one event, one queue hop and one acknowledgement on every record: about 2,100 events/s. All of that is paid once a
run here: the scheduler below yields a whole run of fetched records as if it were one record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP


class Record(Protocol):
    """A fetched record, as aiokafka gives it (its `ConsumerRecord`)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since 1970, UTC."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Run:
    """Consecutive fetched records of one partition, in the order of their offsets.

    Attributes:
        tp: topic and partition.
        records: at least one.
        end: the offset after the last record; what is committed once the run is settled.
        epoch: which assignment of partitions it was fetched under; runs of an earlier one must not be handled any more.
        settled: everything that follows from it has been acknowledged by the brokers.
        parts: the runs it was joined from; none where it is as it was fetched.
    """

    __slots__ = ("end", "epoch", "parts", "records", "settled", "tp")

    def __init__(self, tp: TP, records: Sequence[Record], epoch: int = 0) -> None:
        self.tp = tp
        self.records = records
        self.end = records[-1].offset + 1
        self.epoch = epoch
        self.settled = False
        self.parts: Sequence[Run] = ()

    @classmethod
    def joined(cls, parts: Sequence[Run]) -> Run:
        """Runs that follow one another, of one partition and epoch, as one."""
        if len(parts) == 1:
            return parts[0]
        run = cls(parts[0].tp, [record for part in parts for record in part.records], parts[0].epoch)
        run.parts = parts
        return run

    def __repr__(self) -> str:
        return f"<Run {self.tp.topic}-{self.tp.partition} {self.records[0].offset}..{self.end - 1}>"


class RunScheduler(DefaultSchedulingStrategy):  # type: ignore[misc]  # Faust ships no types that mypy accepts here
    """Cuts what was fetched into runs, taking turns between partitions; records of other topics pass through one by one."""

    def __init__(self, run_topics: Collection[str] = (), run_records: int = 2000) -> None:
        self.run_topics = frozenset(run_topics)
        self.run_records = run_records

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Runs and single records, one of each partition at a time."""
        runs = {tp: self._runs(tp, fetched) for tp, fetched in records.items()}
        turns: Iterator[tuple[TP, Any]] = self.records_iterator(self.map_from_records(runs))
        return turns

    def _runs(self, tp: TP, fetched: list[Any]) -> list[Any]:
        if tp.topic not in self.run_topics:
            return fetched
        size = self.run_records
        if len(fetched) <= size:
            return [Run(tp, fetched)] if fetched else []
        # Evenly, so that a fetch of 2,001 records is not a large run and one of a single record.
        parts = -(-len(fetched) // size)
        step = -(-len(fetched) // parts)
        return [Run(tp, fetched[start : start + step]) for start in range(0, len(fetched), step)]


class Positions:
    """How far each partition may be committed: the end of its longest prefix of settled runs.

    A run counts from the moment it is fetched, so one that is lost on its way to an agent holds the position back for good instead of being
    skipped. Everything known is forgotten when the assignment changes (`begin`), and acknowledgements from before that count for nothing.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._pending: dict[TP, deque[Run]] = {}
        self._ends: dict[TP, int] = {}
        self._committed: dict[TP, int] = {}

    def begin(self) -> None:
        """Start a new epoch: another assignment, or the same one read again from what is committed."""
        self.epoch += 1
        self._pending.clear()
        self._ends.clear()
        self._committed.clear()

    def fetched(self, run: Run) -> None:
        """Take note of a run that is about to be handed on."""
        run.epoch = self.epoch
        self._pending.setdefault(run.tp, deque()).append(run)

    def settled(self, run: Run) -> bool:
        """Take note that a run is done with; False if it belongs to an earlier epoch and so does not count."""
        if run.epoch != self.epoch:
            return False
        for part in run.parts or (run,):
            part.settled = True
        pending = self._pending[run.tp]
        while pending and pending[0].settled:
            self._ends[run.tp] = pending.popleft().end
        return True

    def committable(self) -> dict[TP, int]:
        """Offsets that may be committed and were not yet."""
        return {tp: end for tp, end in self._ends.items() if self._committed.get(tp, -1) < end}

    def committed(self, offsets: Mapping[TP, int]) -> None:
        """Take note of what is committed, by us now or by whoever had the partition before."""
        self._committed.update(offsets)

    def committed_end(self, tp: TP) -> int:
        """The offset before which nothing of `tp` will be delivered again; 0 while none is known to be committed."""
        return self._committed.get(tp, 0)

    def oldest(self, tp: TP) -> Record | None:
        """The first record of `tp` that was fetched and is not settled; None where there is none."""
        runs = self._pending.get(tp)
        return runs[0].records[0] if runs else None

    def pending(self) -> int:
        """Runs fetched and not settled."""
        return sum(len(runs) for runs in self._pending.values())
