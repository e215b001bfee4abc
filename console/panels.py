"""A panel of a page: a picture, the table behind it, its SQL and its CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from console import text
from console.query import Query
from console.values import Answer
from console.warehouse import Problem

Row = Mapping[str, Any]
Show = Callable[[Any], str]


class Column(NamedTuple):
    """A column of a table for people."""

    key: str
    """Of the row."""
    label: str
    kind: str = "number"
    """How it is shown: one of `SHOWN`, or a kind that the template knows: prospect, outside, stage, contacts."""
    link: str = ""
    """The filter that a click on it sets."""


SHOWN: dict[str, Show] = {
    "number": text.number,
    "percent": text.percent,
    "duration": text.duration,
    "moment": text.moment,
    "day": text.day,
    "month": text.month,
    "amounts": text.amounts,
    "money": text.money,
    "measure": lambda value: text.NOTHING if value is None else text.plain(value),  # written with its unit already
    "yes": lambda value: text.NOTHING if value is None else ("yes" if value else "no"),
}
NUMERIC = frozenset({"number", "percent", "duration", "amounts", "money", "measure"})


@dataclass(frozen=True)
class Panel:
    """What the template draws."""

    name: str
    """Of its question: in the address of the CSV."""
    title: str
    query: Query
    csv: str
    """Address of the CSV."""
    about: str = ""
    columns: Sequence[Column] = ()
    rows: Sequence[Row] = ()
    chart: Mapping[str, Any] = field(default_factory=dict)
    """What charts.js draws; empty: the table is the picture."""
    problem: Problem | None = None
    empty: str = "Nothing here with these filters."
    total: int | None = None
    """How many rows there are where fewer are shown."""
    note: str = ""
    """What to say of that instead, where the answer has not all rows either."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return self.problem is None and not self.rows


def rows_of(found: Answer | Problem) -> list[dict[str, Any]]:
    """The rows; none where there is a problem."""
    return [dict(row) for row in found.rows] if isinstance(found, Answer) else []


def problem_of(found: Answer | Problem) -> Problem | None:
    """Why there is no answer."""
    return found if isinstance(found, Problem) else None
