"""Visits as reports count them, from nothing but transition rows and the funnel files (docs/tables.md). Plain loops, no cleverness."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from tests.oracle.clauses import FunnelFile
from tests.oracle.conversion import day_of
from tests.oracle.rows import TransitionRow

DAY = 86_400_000_000
GroupOf = Callable[[TransitionRow], str]
"""The channel group of the event that opened the visit of a row."""


@dataclass(frozen=True)
class Visit:
    """A visit, with all its rows in order."""

    funnel: FunnelFile
    rows: list[TransitionRow]
    group: str

    @property
    def name(self) -> str:
        """Give the funnel's name."""
        return str(self.funnel["name"])

    @property
    def prospect(self) -> uuid.UUID:
        """Give whose it is."""
        return self.rows[0].prospect_id

    @property
    def stages(self) -> list[str]:
        """Give the funnel's stages."""
        return [stage["name"] for stage in self.funnel["stage"]]

    def day(self, row: TransitionRow) -> dt.date:
        """Give the day of a row, in the funnel's time zone."""
        return day_of(row.entered_at, self.funnel.get("timezone", "UTC"))

    @property
    def winning(self) -> TransitionRow | None:
        """Give the row that won it."""
        for row in self.rows:
            if row.to_stage == self.stages[-1] and row.kind != "repeat":
                return row
        return None

    @property
    def outcome(self) -> str:
        """Give won, lost, expired or waiting."""
        if self.winning is not None:
            return "won"
        return self.rows[-1].kind if self.rows[-1].kind in ("lost", "expired") else "waiting"

    @property
    def payments(self) -> list[TransitionRow]:
        """Give the winning row and its repeats."""
        return [row for row in self.rows if row is self.winning or row.kind == "repeat"]

    @property
    def revenue(self) -> Decimal:
        """Give what was paid."""
        return sum((row.amount for row in self.payments), Decimal(0))

    @property
    def currency(self) -> str:
        """Give the currency it was won in, '' if it wasn't."""
        return self.winning.currency if self.winning else ""

    @property
    def account(self) -> str:
        """Give the account of its latest row."""
        return self.rows[-1].account_id

    def first_entry(self, stage: str) -> TransitionRow | None:
        """Give the row that first entered a stage."""
        return next((row for row in self.rows if row.to_stage == stage), None)

    def moved_on(self, entry: TransitionRow) -> TransitionRow | None:
        """Give the first row after `entry` that entered a further stage."""
        further = self.stages[self.stages.index(entry.to_stage) + 1 :]
        return next((row for row in self.rows if row.step > entry.step and row.to_stage in further), None)

    def reached(self, stage: str) -> TransitionRow | None:
        """Give the first row that entered a stage or any further one."""
        wanted = self.stages[self.stages.index(stage) :]
        return next((row for row in self.rows if row.to_stage in wanted), None)


def visits_of(transitions: Iterable[TransitionRow], funnels: Iterable[FunnelFile], group_of: GroupOf) -> list[Visit]:
    """Put the rows of each visit together."""
    files = {funnel["name"]: funnel for funnel in funnels}
    found: dict[tuple[str, uuid.UUID, int], list[TransitionRow]] = defaultdict(list)
    for row in transitions:
        found[row.funnel, row.prospect_id, row.visit].append(row)
    visits = []
    for (name, _, _), rows in found.items():
        rows.sort(key=lambda row: row.step)
        visits.append(Visit(files[name], rows, group_of(rows[0])))
    return visits


def monday(day: dt.date) -> dt.date:
    """Give the Monday of a day's week."""
    return day - dt.timedelta(days=day.weekday())


def first_of_month(day: dt.date) -> dt.date:
    """Give the first day of a day's month."""
    return day.replace(day=1)


def months_between(first: dt.date, second: dt.date) -> int:
    """Give how many months lie between two days' months."""
    return (second.year - first.year) * 12 + second.month - first.month


def months_later(day: dt.date, months: int) -> dt.date:
    """Give the first day of the month that is so many after a day's."""
    years, month = divmod(day.month - 1 + months, 12)
    return dt.date(day.year + years, month + 1, 1)
