"""The facts that ClickHouse would show, whatever the revisions they came by: contenders must agree on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from benchmarks.events import Keyed
from benchmarks.job import Job, by_prospect
from funnel.facts import Facts
from tests.replacing import ReplacingModel


class Digest(NamedTuple):
    """What two runs are compared by."""

    digest: str
    """Over all rows that are left."""
    rows: int
    lasting: int
    """Transitions among them that no clock on the wall adds: all but expiries."""


def digest_of(messages: Iterable[tuple[bytes, Facts]]) -> Digest:
    """A digest over the rows that are left."""
    model = ReplacingModel()
    for prospect, facts in messages:
        model.insert(prospect, facts)
    transitions = sorted(model.transitions().items())
    rows = [repr(item) for item in (*transitions, *sorted(model.standings().items()))]
    digest = hashlib.blake2b("\n".join(rows).encode(), digest_size=16).hexdigest()
    return Digest(digest, len(rows), sum(row.kind != "expired" for _, row in transitions))


def expected(events: Iterable[Keyed]) -> Digest:
    """The digest by the pure core alone, every prospect's events in one call: no broker, no runs, no state in between."""
    job = Job()

    def told() -> Iterator[tuple[bytes, Facts]]:
        arrivals = ((event.prospect, job.arrival(at, event.raw)) for at, event in enumerate(events))
        for prospect, received in by_prospect(arrivals).items():
            facts = job.take(prospect, None, received).facts
            if facts is not None:
                yield prospect, facts

    return digest_of(told())
