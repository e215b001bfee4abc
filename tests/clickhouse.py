"""ClickHouse for tests: one embedded server a session, a database of its own for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from clickhouse_driver import Client

from journey.local_clickhouse import EmbeddedClickHouse
from sinks.migrations import migrate, shipped
from sinks.refresh import refresh_every

FIRST_OF_REPORTS = 17
"""The migration from which on there are only views of reports, and tables that they read."""
SELDOM = 3_600
"""Seconds. A test that wants aggregates refreshes them; those that nobody asked for are half of an idle server's work."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class ClickHouse:
    """A real server, and an empty database on it that only this test uses."""

    server: EmbeddedClickHouse
    database: str

    def client(self, **settings: Any) -> Client:
        """A new client of the database. Also while the server is away: it connects when used."""
        return Client(self.server.host, port=self.server.native_port, database=self.database, settings=settings)

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query, through a connection of its own."""
        client = self.client()
        try:
            rows: list[tuple[Any, ...]] = client.execute(sql, parameters)
        finally:
            client.disconnect()
        return rows

    def migrate(self, *, reports: bool = True) -> None:
        """Make tables and views.

        Args:
            reports: also what reports are counted by, and read. It takes most of the time; who only looks at the tables needs none of it.
        """
        files = [one for one in shipped() if reports or one.version < FIRST_OF_REPORTS]
        migrate(
            lambda name: Client(self.server.host, port=self.server.native_port, database=name), self.database, files
        )
        with self.client() as client:
            refresh_every(client, SELDOM)


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """The session's server. Not to be stopped by a test: one that breaks things starts its own."""
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def clickhouse(clickhouse_server: EmbeddedClickHouse) -> Iterator[ClickHouse]:
    """An empty database on the session's server; dropped afterwards."""
    with fresh_database(clickhouse_server) as made:
        yield made


@contextmanager
def fresh_database(server: EmbeddedClickHouse) -> Iterator[ClickHouse]:
    """A database for one test, dropped when the test is done with it."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    client = Client(server.host, port=server.native_port)
    client.execute(f"CREATE DATABASE {name}")
    client.disconnect()
    yield ClickHouse(server, name)
    if server.pid is None:  # a test that kills it need not start it for us
        server.start()
    client.execute(f"DROP DATABASE IF EXISTS {name}")
    client.disconnect()
