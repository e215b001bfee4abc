"""Migrations on a real server: once, twice, at once, cut off, and refused."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from sinks.errors import MigrationRefusedError
from sinks.migrations import Migration, current_state, migrate, plan, shipped
from sinks.statements import Statement
from tests.clickhouse import ClickHouse
from tests.property.effort import EFFORT


class Connector:
    """Gives clients; those of the database fail at their n-th statement, as a crash would."""

    def __init__(self, clickhouse: ClickHouse, fail_at: int | None = None) -> None:
        self._server, self._left = clickhouse.server, fail_at

    def __call__(self, database: str) -> Any:
        """A client."""
        client = Client(self._server.host, port=self._server.native_port, database=database)
        execute = client.execute

        def failing(*arguments: Any, **named: Any) -> Any:
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    raise ConnectionError("cut off")
            return execute(*arguments, **named)

        client.execute = failing
        return client


def schema(clickhouse: ClickHouse) -> list[tuple[Any, ...]]:
    """Everything in the database, with its columns; not the names that ClickHouse makes up.

    Among those is the table that a materialized view fills while it is refreshed, at any moment: `_tmp_replace_...`.
    """
    return clickhouse.query(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() "
        "AND NOT startsWith(table, '.') AND NOT startsWith(table, '_tmp_replace_') ORDER BY ALL"
    )


def test_the_second_time_does_nothing_and_the_database_is_as_written(clickhouse: ClickHouse) -> None:
    """Migrating makes the tables of the contract; again, it changes nothing; the plan agrees with the server about types and orders."""
    assert len(migrate(Connector(clickhouse), clickhouse.database)) == len(shipped())
    before = schema(clickhouse)
    assert migrate(Connector(clickhouse), clickhouse.database) == []
    assert schema(clickhouse) == before
    state = current_state(clickhouse.client())
    unknown = type(state)(applied={}, tables=state.tables)
    assert plan(unknown, shipped()) == list(shipped()), "tables that are there are the same as those in the files"
    wanted = {
        table: set(statement.columns)
        for file in shipped()
        for statement in file.statements
        if (table := statement.creates)
    }
    for file in shipped():
        for statement in file.statements:
            if table := re.match(r"ALTER TABLE (\w+) ", statement.shape):
                wanted[table[1]] |= set(re.findall(r"ADD COLUMN IF NOT EXISTS (\w+) ", statement.shape))
    assert {table: set(found.columns) for table, found in state.tables.items() if table in wanted} == wanted


@pytest.mark.slow
def test_cut_off_anywhere_and_run_again(clickhouse: ClickHouse) -> None:
    """A migration that ends after any of its statements is completed by the next one; some are tried unless there is time."""
    name = clickhouse.database
    some = sum(len(migration.statements) for migration in shipped()) // 8
    migrate(Connector(clickhouse), name)
    whole = schema(clickhouse)
    clickhouse.query(f"DROP DATABASE {name}")
    steps = 0
    while True:
        try:
            migrate(Connector(clickhouse, fail_at=steps), name)
        except ConnectionError:
            steps += some if EFFORT <= 1 else 1
            migrate(Connector(clickhouse), name)
            assert schema(clickhouse) == whole
            Client(clickhouse.server.host, port=clickhouse.server.native_port).execute(f"DROP DATABASE {name} SYNC")
        else:
            break
    assert steps > 10


@pytest.mark.slow
def test_release_by_release_as_all_at_once(clickhouse: ClickHouse) -> None:
    """Migrated file by file, or all at once, which leaves out views that later files make anew: the same tables and views."""
    made = (
        "SELECT name, replaceRegexpAll(create_table_query, '[0-9a-f-]{36}', '') FROM system.tables "
        "WHERE database = currentDatabase() AND NOT startsWith(name, '.') AND NOT startsWith(name, '_tmp_replace_') ORDER BY name"
    )
    migrate(Connector(clickhouse), clickhouse.database)
    at_once = clickhouse.query(made)
    clickhouse.query(f"DROP DATABASE {clickhouse.database} SYNC")
    for number in range(1, len(shipped()) + 1):
        assert len(migrate(Connector(clickhouse), clickhouse.database, shipped()[:number])) == 1
    assert clickhouse.query(made) == at_once


def test_two_at_once(clickhouse: ClickHouse) -> None:
    """Migrators that start together all succeed and leave what one would."""
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate, Connector(clickhouse), clickhouse.database) for _ in range(4)]:
            done.result()
    assert clickhouse.query("SELECT count() FROM schema_migrations FINAL") == [(len(shipped()),)]
    assert migrate(Connector(clickhouse), clickhouse.database) == []


def test_losing_rows_is_refused_and_nothing_is_changed(clickhouse: ClickHouse) -> None:
    """A dropped column, refused while there are rows, is dropped once there are none."""
    migrate(Connector(clickhouse), clickhouse.database)
    clickhouse.query("INSERT INTO prospects (funnel, revision) SELECT 'f', 1")
    number = shipped()[-1].version + 1
    files = (
        *shipped(),
        Migration(number, "less", (Statement("ALTER TABLE prospects DROP COLUMN IF EXISTS account_id"),)),
    )
    before = schema(clickhouse)
    with pytest.raises(MigrationRefusedError, match="prospects, which has 1 rows"):
        migrate(Connector(clickhouse), clickhouse.database, files)
    assert schema(clickhouse) == before
    clickhouse.query("TRUNCATE TABLE prospects")
    assert [step.version for step in migrate(Connector(clickhouse), clickhouse.database, files)] == [number]
    with pytest.raises(MigrationRefusedError, match=f"the database has migration {number}"):
        migrate(Connector(clickhouse), clickhouse.database)


def test_a_strangers_table_is_refused(clickhouse: ClickHouse) -> None:
    """A table of one of our names with another shape is left alone."""
    clickhouse.query("CREATE TABLE prospects (funnel String) ENGINE = MergeTree ORDER BY funnel")
    with pytest.raises(MigrationRefusedError, match="there is a table prospects already"):
        migrate(Connector(clickhouse), clickhouse.database)
    assert schema(clickhouse) == [("prospects", "funnel", "String")]


@pytest.mark.parametrize("name", ["", "a-b", "x; DROP TABLE y", "1a", "a" * 65])
def test_odd_names_are_refused(clickhouse: ClickHouse, name: str) -> None:
    """A database's name goes into statements as it is, so it must be plain."""
    with pytest.raises(MigrationRefusedError, match="no name for a database"):
        migrate(Connector(clickhouse), name)


def test_a_database_is_made(clickhouse: ClickHouse) -> None:
    """Where there is none of that name."""
    name = f"{clickhouse.database}_new"
    try:
        migrate(Connector(clickhouse), name)
        assert clickhouse.query(f"SELECT count() FROM {name}.stage_transitions") == [(0,)]
    finally:
        clickhouse.query(f"DROP DATABASE IF EXISTS {name}")
    with pytest.raises(ServerException):
        clickhouse.query(f"SELECT 1 FROM {name}.stage_transitions")
