"""What the rows of visits come to, by stage: as the views `funnel` and `stage_velocity` have it (docs/tables.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from funnel.definition import Funnel
from funnel.durations import MICROSECONDS
from funnel.facts import Transition


class Figures(NamedTuple):
    """One stage's."""

    stage: str
    entered: int = 0
    """Visits."""
    reached: int = 0
    """Those that entered this stage or a further one."""
    moved_on: int = 0
    won: int = 0
    lost: int = 0
    expired: int = 0
    waiting: int = 0
    """Still open: no drop-off."""
    median_seconds: float | None = None
    """To move on, of those that did; None where none did."""
    revenue: dict[str, int] = {}  # noqa: RUF012  never written to
    """Hundredths, by currency: of visits that entered this stage."""


class _Stage:
    """What is counted of one stage."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.revenue: Counter[str] = Counter()


class Tally:
    """Counts visits."""

    def __init__(self, funnel: Funnel) -> None:
        """Args: funnel: whose."""
        self._names = [stage.name for stage in funnel.stages]
        self._index = {name: number for number, name in enumerate(self._names)}
        self._stages = [_Stage() for _ in self._names]

    def add(self, rows: Sequence[Transition]) -> None:
        """Count visits of one prospect, from all of their rows, in the order."""
        start = 0
        for at in range(1, len(rows) + 1):
            if at == len(rows) or rows[at].visit != rows[start].visit:
                self._visit(rows[start:at])
                start = at

    def _visit(self, rows: Sequence[Transition]) -> None:
        index, last = self._index, len(self._names) - 1
        entries: dict[int, int] = {}
        further: dict[int, int] = {}
        outcome, currency, revenue = "waiting", "", 0
        for row in rows:
            stage = index.get(row.to_stage, -1)
            if stage < 0:
                outcome = row.kind  # lost or expired
                continue
            for earlier in entries:
                if earlier < stage:
                    further.setdefault(earlier, row.entered_at)
            entries.setdefault(stage, row.entered_at)
            if stage == last:
                revenue += row.amount
                if row.kind != "repeat":
                    outcome, currency = "won", row.currency
        furthest = max(entries)
        self._stages[furthest].counts["furthest"] += 1
        for stage, entered_at in entries.items():
            one = self._stages[stage]
            one.counts["entered"] += 1
            one.counts[outcome] += 1
            if stage in further:
                one.counts["moved_on"] += 1
                one.seconds.append((further[stage] - entered_at) / MICROSECONDS)
            if revenue:
                one.revenue[currency] += revenue

    def figures(self) -> list[Figures]:
        """By stage, in order."""
        found: list[Figures] = []
        reached = 0
        for name, one in zip(reversed(self._names), reversed(self._stages), strict=True):
            reached += one.counts["furthest"]
            counts = one.counts
            found.append(
                Figures(
                    name, counts["entered"], reached, counts["moved_on"],
                    counts["won"], counts["lost"], counts["expired"], counts["waiting"],
                    median(one.seconds) if one.seconds else None, dict(sorted(one.revenue.items())),
                )
            )  # fmt: skip
        return found[::-1]


def in_order_of_both(before: Iterable[str], now: Iterable[str]) -> list[str]:
    """Stages of two versions in one list: those of the newer in its order, each that is gone after the one it came after."""
    order = list(now)
    previous: str | None = None
    for name in before:
        if name not in order:
            order.insert(0 if previous is None else order.index(previous) + 1, name)
        previous = name
    return order
