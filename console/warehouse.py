"""ClickHouse as the console asks it: over HTTP, reading only, and saying what its user may see rather than failing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import httpx

from console.config import ClickHouseAccess
from console.query import Query
from console.values import Answer, read_answer

UNKNOWN_IDENTIFIER, UNKNOWN_TABLE, SETTING_READ_ONLY, ACCESS_DENIED = 47, 60, 164, 497
_UNKNOWN_FUNCTION = 46
"""What ClickHouse says of a parameterised view that isn't there."""
_LIMITS = {"max_execution_time": "30", "max_result_rows": "1000000", "result_overflow_mode": "throw"}
_KNOWN_FOR_SECONDS = 30.0
_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 40.0


class UnreachableError(Exception):
    """ClickHouse does not answer, or turns its user away; the message is for people, and holds no secret."""


@dataclass(frozen=True)
class Problem:
    """Why a question has no answer, for people."""

    kind: str
    """`missing`: an installation that wasn't migrated; `denied`: the user has no grant; `failed`: anything else."""
    text: str


class Warehouse:
    """A pool of connections, for one database and one user.

    Args:
        access: where it is, and as whom.
        transport: of httpx, for tests of what comes from it.
    """

    def __init__(self, access: ClickHouseAccess, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._access = access
        self._client = httpx.AsyncClient(
            base_url=access.url,
            headers={"X-ClickHouse-User": access.user, "X-ClickHouse-Key": access.password},
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=False,
            transport=transport,
        )
        self._settings: dict[str, str] | None = None
        self._columns: dict[str, tuple[float, frozenset[str]]] = {}

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def ask(self, query: Query) -> Answer | Problem:
        """The answer, or why there is none.

        Raises:
            UnreachableError: ClickHouse does not answer.
        """
        answer = await self._post(query, "JSONCompact")
        return read_answer(answer.content) if answer.is_success else self._problem(answer)

    async def csv(self, query: Query) -> AsyncGenerator[bytes, None] | Problem:
        """The answer as ClickHouse writes CSV, with a line of names, in pieces.

        Raises:
            UnreachableError: ClickHouse does not answer.
        """
        settings = await self._own_settings()
        # Kept back until the query has ended: an error must not look like the end of a file.
        request = self._request(query, "CSVWithNames", settings | {"wait_end_of_query": "1"})
        try:
            answer = await self._client.send(request, stream=True)
            if answer.is_success:
                return _pieces(answer)
            await answer.aread()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        return self._problem(answer)

    async def columns(self, name: str) -> frozenset[str]:
        """The columns of a table or view; none where it is not there, or the user may not read it. Remembered for half a minute."""
        until, known = self._columns.get(name, (0.0, frozenset()))
        if time.monotonic() < until:
            return known
        found = await self.ask(Query(f"DESCRIBE TABLE {name}"))
        columns = frozenset(str(row["name"]) for row in found.rows) if isinstance(found, Answer) else frozenset()
        self._columns[name] = (time.monotonic() + _KNOWN_FOR_SECONDS, columns)
        return columns

    async def schema(self, names: tuple[str, ...]) -> dict[str, frozenset[str]]:
        """The columns of several."""
        return dict(zip(names, await asyncio.gather(*(self.columns(name) for name in names)), strict=True))

    async def _post(self, query: Query, format_name: str) -> httpx.Response:
        settings = await self._own_settings()
        try:
            return await self._client.send(self._request(query, format_name, settings))
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _request(self, query: Query, format_name: str, settings: dict[str, str]) -> httpx.Request:
        parameters = {"database": self._access.database, "default_format": format_name, **settings, **query.sent}
        return self._client.build_request("POST", "/", params=parameters, content=query.sql.encode())

    async def _own_settings(self) -> dict[str, str]:
        """Settings of each query, as far as the user may change them: it may be limited to reading already, and to more than that."""
        if self._settings is None:
            for settings in ({"readonly": "2", **_LIMITS}, _LIMITS, {}):
                try:
                    answer = await self._client.send(self._request(Query("SELECT 1"), "JSONCompact", settings))
                except httpx.HTTPError as error:
                    raise self._unreachable(error) from error
                if answer.is_success:
                    self._settings = settings
                    return settings
                if _code_of(answer) not in (SETTING_READ_ONLY, 452):  # 452: out of what its profile allows
                    raise UnreachableError(self._problem(answer).text)
            raise UnreachableError(self._problem(answer).text)
        return self._settings

    def _unreachable(self, error: httpx.HTTPError) -> UnreachableError:
        return UnreachableError(
            f"ClickHouse's HTTP interface at {self._access.place} does not answer ({type(error).__name__}). "
            "Is it running, and are JOURNEY_CLICKHOUSE and JOURNEY_CLICKHOUSE_HTTP_PORT right?"
        )

    def _problem(self, answer: httpx.Response) -> Problem:
        code = _code_of(answer)
        if code in (UNKNOWN_TABLE, UNKNOWN_IDENTIFIER, _UNKNOWN_FUNCTION):
            return Problem(
                "missing",
                "The tables of this installation are of an earlier release. `journey migrate` brings them up to date.",
            )
        if code == ACCESS_DENIED:
            return Problem(
                "denied",
                f"The ClickHouse user {self._access.user} may not read this. Whoever administers it can grant SELECT on what the SQL names.",
            )
        text = answer.text.split("Stack trace:")[0].split("(version")[0].strip().splitlines()
        said = text[0].partition("DB::Exception: ")[2][:300] or text[0][:300] if text else "(nothing)"
        if self._access.password:
            said = said.replace(self._access.password, "**********")
        return Problem("failed", f"ClickHouse refused the query (code {code}): {said}")


async def _pieces(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in answer.aiter_bytes():
            yield piece
    finally:
        await answer.aclose()


def _code_of(answer: httpx.Response) -> int:
    try:
        return int(answer.headers.get("X-ClickHouse-Exception-Code", ""))
    except ValueError:
        return 0
