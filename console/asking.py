"""One request: its filters, its questions, and the panels that come of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request

from console.config import ConsoleConfig
from console.filters import Filters, read_filters
from console.panels import Column, Panel, problem_of, rows_of
from console.query import Query
from console.questions import QUESTIONS, Asked
from console.values import Answer
from console.warehouse import Problem, Warehouse

_REMEMBERED_SECONDS = 15.0
_ABOUT_NOBODY = "00000000-0000-0000-0000-000000000000"


class Memory:
    """What every page asks again: the names of funnels, channels and campaigns. Kept for some seconds, for few keys."""

    def __init__(self, most: int = 500) -> None:
        self._kept: dict[tuple[str, str], tuple[float, Any]] = {}
        self._most = most

    def get(self, key: tuple[str, str]) -> Any:
        """What is kept; None for nothing."""
        until, value = self._kept.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def keep(self, key: tuple[str, str], value: Any) -> None:
        """Keep it for a while."""
        if len(self._kept) >= self._most:
            self._kept.clear()
        self._kept[key] = (time.monotonic() + _REMEMBERED_SECONDS, value)


@dataclass(frozen=True)
class Asking:
    """What a page has at hand."""

    request: Request
    filters: Filters
    warehouse: Warehouse
    config: ConsoleConfig
    memory: Memory
    funnels: tuple[str, ...] = ()
    prospect: str = ""
    found: dict[str, Answer | Problem] = field(default_factory=dict)
    """The answers so far, by question."""
    queries: dict[str, Query] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Of the page."""
        return self.request.url.path

    async def ask(self, *names: str) -> None:
        """Ask all of these at once."""
        await asyncio.gather(*(self._ask(name) for name in names))

    async def _ask(self, name: str) -> None:
        query = await self.query(name)
        self.queries[name] = query
        self.found[name] = await self.warehouse.ask(query)

    async def query(self, name: str) -> Query:
        """What a question sends, with the filters that it heeds."""
        question = QUESTIONS[name]
        schema = await self.warehouse.schema(question.looks_at)
        asked = Asked(self.filters.only(question.takes), schema, self.prospect or _ABOUT_NOBODY)
        return question.ask(asked)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of an answer; none where there is a problem."""
        return rows_of(self.found[name])

    def problem(self, name: str) -> Problem | None:
        """Why a question has no answer."""
        return problem_of(self.found[name])

    def panel(
        self,
        name: str,
        title: str,
        columns: Sequence[Column] = (),
        *,
        about: str = "",
        rows: Sequence[Mapping[str, Any]] | None = None,
        chart: Mapping[str, Any] | None = None,
        empty: str = "Nothing here with these filters.",
        most: int = 100,
        note: str = "",
    ) -> Panel:
        """The panel of a question that was asked.

        Args:
            name: of the question.
            title: what people read.
            columns: of the table.
            about: a sentence on how to read it.
            rows: other than the answer's own.
            chart: what charts.js draws.
            empty: what to say where there is nothing.
            most: how many rows the table shows.
            note: below the table, in place of how many rows it lacks.
        """
        shown = self.rows(name) if rows is None else rows
        path = f"/csv/{name}" if not self.prospect else f"/csv/{name}/{self.prospect}"
        return Panel(
            name=name,
            title=title,
            query=self.queries[name],
            csv=self.filters.address(path),
            about=about,
            columns=columns,
            rows=list(shown)[:most],
            chart=chart or {},
            problem=self.problem(name),
            empty=empty,
            total=len(shown) if len(shown) > most else None,
            note=note,
        )

    async def choices(self, name: str) -> list[str]:
        """The values that a filter can have, the most frequent first."""
        key = (name, self.filters.funnel)
        kept = self.memory.get(key)
        if kept is None:
            answer = await self.warehouse.ask(await self.query(f"{name}-choices"))
            kept = [str(row["value"]) for row in rows_of(answer)]
            self.memory.keep(key, kept)
        return list(kept)


async def begin(request: Request, *, prospect: str = "") -> Asking:
    """Read the filters of a request; without a funnel, the largest one is meant.

    Raises:
        UnreachableError: ClickHouse does not answer.
    """
    state = request.app.state
    filters = read_filters(request.query_params)
    asking = Asking(request, filters, state.warehouse, state.config, state.memory, prospect=prospect)
    funnels = state.memory.get(("funnels", ""))
    if funnels is None:
        funnels = tuple(str(row["funnel"]) for row in rows_of(await state.warehouse.ask(await asking.query("funnels"))))
        if funnels:  # where there are none yet, the first one shows at once
            state.memory.keep(("funnels", ""), funnels)
    if not filters.funnel and funnels:
        filters = replace(filters, funnel=funnels[0])
    return replace(asking, filters=filters, funnels=funnels)
