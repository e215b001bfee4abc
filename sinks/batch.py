"""What was read and is not yet inserted, and once inserted, what to commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sinks.base import Collector, Insert, Record

Partition = tuple[str, int]
"""Topic and number."""


@dataclass(slots=True)
class Frozen:
    """A full batch: every attempt inserts the same rows."""

    inserts: list[Insert]
    offsets: dict[Partition, int]
    """What to commit when all is inserted: the offset after the last record of each partition."""
    messages: dict[str, int]
    """Records by topic."""
    done: int = 0
    """So many of the inserts are in ClickHouse; an attempt goes on from there."""

    @property
    def rows(self) -> int:
        """How many rows it holds, inserted or not."""
        return sum(insert.rows for insert in self.inserts)


@dataclass(slots=True)
class Batch:
    """Collects records until there are enough of them."""

    collectors: Mapping[str, Collector]
    """By topic."""
    max_rows: int
    max_bytes: int
    max_delay: float
    """Seconds."""
    rows: int = 0
    """How many rows it holds."""
    _offsets: dict[Partition, int] = field(default_factory=dict)
    _messages: dict[str, int] = field(default_factory=dict)
    _bytes: int = 0
    _since: float | None = None

    def add(self, record: Record, now: float) -> None:
        """Take a record at `now` (seconds of any clock).

        Raises:
            PoisonRecordError: it can't be read, and was not taken.
        """
        topic = record.topic
        self.rows += self.collectors[topic].add(record)
        self._offsets[topic, record.partition] = record.offset + 1
        self._messages[topic] = self._messages.get(topic, 0) + 1
        self._bytes += len(record.value or b"") + len(record.key or b"")
        if self._since is None:
            self._since = now

    @property
    def since(self) -> float | None:
        """When its first record was taken; None: it has none."""
        return self._since

    @property
    def is_full(self) -> bool:
        """Whether it should be inserted before another record is taken."""
        return self._bytes >= self.max_bytes or self.rows >= self.max_rows

    def is_due(self, now: float) -> bool:
        """Whether it should be inserted at `now`."""
        return self._since is not None and (self.is_full or now - self._since >= self.max_delay)

    def freeze(self) -> Frozen:
        """What was collected; the batch is empty afterwards."""
        inserts = [insert for collector in self.collectors.values() for insert in collector.take()]
        frozen = Frozen(inserts, self._offsets, self._messages)
        self.rows, self._offsets, self._messages, self._bytes, self._since = 0, {}, {}, 0, None
        return frozen
