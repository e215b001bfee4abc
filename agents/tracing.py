"""What agents tell a tracer, where there is one: each run as a span, and from which runs its records came.

The trace goes with the records, in a header of W3C's (`traceparent`). It is on outputs only: changelog records are read back by the million,
and nothing there asks where they came from. `journey.tracing` has the tracer; without one, none of this costs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from agents.batching import Run
from agents.shipping import Headers, Output


class Span(Protocol):
    """A run on its way."""

    headers: Headers
    """For the records that follow from it."""

    def note(self, what: str) -> None:
        """Something has just happened."""

    def end(self) -> None:
        """It is over: settled, or given up."""


class Tracer(Protocol):
    """Begins spans."""

    def run(self, agent: str, run: Run) -> Span:
        """A run is about to be handled by an agent."""


def carrying(outputs: Iterable[Output], headers: Headers) -> Sequence[Output]:
    """The outputs with more headers."""
    return [output._replace(headers=(*output.headers, *headers)) for output in outputs]
