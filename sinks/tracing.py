"""What the sink tells a tracer, where there is one: each insert as a span, and from which runs its records came."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from sinks.base import Record


class Span(Protocol):
    """An insert on its way."""

    def note(self, what: str) -> None:
        """Something has just happened."""

    def end(self) -> None:
        """It is over: all is inserted, or it was given up."""


class Tracer(Protocol):
    """Begins spans; `journey.tracing` has one."""

    def parents(self, records: Sequence[Record]) -> Collection[bytes]:
        """What records say of the spans that they came from."""

    def insert(self, parents: Collection[bytes], rows: int, messages: int) -> Span:
        """A batch is about to be inserted, of records that came from these."""
