"""From records to inserts: what the process needs of each topic it sinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Insert(NamedTuple):
    """Rows for one table, by column."""

    table: str
    names: tuple[str, ...]
    columns: list[Sequence[Any]]

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.columns[0]) if self.columns else 0


class Record(Protocol):
    """What is used of a record; aiokafka's have it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch, UTC."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Collector(Protocol):
    """Collects the records of one topic until they are inserted."""

    def add(self, record: Record) -> int:
        """Take one record, and tell how many rows it makes.

        Raises:
            PoisonRecordError: it can't be read. Nothing of it was taken.
        """

    def take(self) -> list[Insert]:
        """What was collected, as inserts that no longer change; it is empty afterwards."""
