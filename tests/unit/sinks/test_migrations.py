"""Planning migrations: pure, so every refusal is tested without a server."""

from __future__ import annotations

import pytest

from sinks.errors import MigrationRefusedError
from sinks.migrations import Current, Migration, Table, plan, shipped
from sinks.statements import checksum, split

TABLE = """CREATE TABLE IF NOT EXISTS t
(
    a LowCardinality(String),
    b Decimal(18, 2) DEFAULT 0, -- a comment; with (a semicolon
    c DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(b) ORDER BY (a, c)"""
COLUMNS = {"a": "LowCardinality(String)", "b": "Decimal(18,2)", "c": "DateTime64(6,'UTC')"}
VIEW = "CREATE OR REPLACE VIEW v AS SELECT 1"


def migration(version: int, *sql: str) -> Migration:
    """One file."""
    return Migration(version, f"m{version}", split(";\n".join(sql)))


def refused(current: Current, *files: Migration) -> str:
    """Why the plan is refused."""
    with pytest.raises(MigrationRefusedError) as caught:
        plan(current, files)
    return str(caught.value)


def test_everything_on_an_empty_database_in_order() -> None:
    """All files run, by number, whatever order they are given in."""
    first, second = migration(1, TABLE), migration(2, VIEW)
    assert plan(Current(), [second, first]) == [first, second]


def test_what_is_applied_is_not_run_again() -> None:
    """A second migration of an up-to-date database does nothing."""
    first, second = migration(1, TABLE), migration(2, VIEW)
    assert plan(Current({1: first.checksum, 2: second.checksum}), [first, second]) == []
    assert plan(Current({1: first.checksum}), [first, second]) == [second]


def test_views_after_changed_views_go_again() -> None:
    """They may replace those before, which would be the old ones otherwise; what made tables is done."""
    first, table, last = migration(1, VIEW), migration(2, TABLE), migration(3, VIEW)
    applied = {1: "as it was", 2: table.checksum, 3: last.checksum}
    assert plan(Current(applied), [first, table, last]) == [first, last]


def test_a_changed_file_is_refused_unless_it_holds_only_views() -> None:
    """Tables are changed by new files; views are simply made anew."""
    table, view = migration(1, TABLE), migration(2, VIEW)
    applied = Current({1: "other", 2: "other"})
    assert "001_m1.sql was changed after it was applied" in refused(applied, table, view)
    assert plan(Current({1: table.checksum, 2: "other"}), [table, view]) == [view]


def test_a_database_newer_than_the_release_is_refused() -> None:
    """An old release must not work on tables that it does not know."""
    assert "the database has migration 3" in refused(Current({3: "x"}), migration(1, TABLE))


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE t DROP COLUMN b",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS d String, DROP COLUMN IF EXISTS b",
        "ALTER TABLE t MODIFY COLUMN b String",
        "ALTER TABLE t RENAME COLUMN b TO d",
        "ALTER TABLE t MODIFY ORDER BY a",
        "ALTER TABLE t MODIFY ORDER BY (a, c, b)",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS d String, MODIFY ORDER BY (a, c, b)",
        "ALTER TABLE t CLEAR COLUMN b",
        "ALTER TABLE t DELETE WHERE a = ''",
        "ALTER TABLE t UPDATE b = 0 WHERE 1",
        "ALTER TABLE t DROP PARTITION tuple()",
        "ALTER TABLE t MODIFY TTL c + INTERVAL 1 DAY",
        "DROP TABLE t",
        "drop  table\n if exists t",
        "TRUNCATE TABLE t",
        "RENAME TABLE t TO u",
        "DELETE FROM t WHERE 1",
    ],
)
def test_what_could_lose_rows_is_refused_unless_there_are_none(sql: str) -> None:
    """The refusal names file, table and rows; an empty or missing table has nothing to lose."""
    file = migration(4, sql)
    message = refused(Current(tables={"t": Table(COLUMNS, "a,c", 7)}), file)
    assert "004_m4.sql" in message
    assert "t, which has 7 rows" in message
    assert plan(Current(tables={"t": Table(COLUMNS, "a,c", 0)}), [file]) == [file]
    assert plan(Current(), [file]) == [file]


def test_what_can_not_be_understood_is_refused() -> None:
    """Also on an empty database: it may do anything."""
    assert "can't tell" in refused(Current(), migration(1, "DROP DATABASE other"))
    assert "can't tell" in refused(Current(), migration(1, "CREATE OR REPLACE TABLE t (a String) ENGINE = Memory"))


def test_adding_is_allowed() -> None:
    """Columns and indexes may be added to a table with rows."""
    full = Current(tables={"t": Table(COLUMNS, "a,c", 7)})
    file = migration(
        2, "ALTER TABLE t ADD COLUMN IF NOT EXISTS d String DEFAULT 'DROP', ADD INDEX IF NOT EXISTS i d TYPE minmax"
    )
    assert plan(full, [file]) == [file]


def test_a_key_may_grow_by_a_column_that_is_new() -> None:
    """As long as it comes last: all rows have the same in it, so none of them replaces another."""
    full = Current(tables={"t": Table(COLUMNS, "a,c", 7)})
    file = migration(2, "ALTER TABLE t ADD COLUMN IF NOT EXISTS d Enum8('x' = 0, 'y' = 1), MODIFY ORDER BY (a, c, d)")
    assert plan(full, [file]) == [file]
    grown = Current(tables={"t": Table(COLUMNS | {"d": "Enum8('x'=0,'y'=1)"}, "a,c,d", 7)})
    assert plan(grown, [migration(1, TABLE), file]) == [migration(1, TABLE), file], "the table is still the same"
    assert "ordered by a,c,d" in refused(grown, migration(1, TABLE))


def test_a_table_that_is_there_must_be_the_same() -> None:
    """After a crash it is; a stranger's table of that name, a retyped column or another order is refused."""
    file = migration(1, TABLE)
    assert plan(Current(tables={"t": Table(COLUMNS, "a,c", 7)}), [file]) == [file]
    message = refused(Current(tables={"t": Table(COLUMNS | {"b": "Float64"}, "a", 7)}), file)
    assert "column b is Float64, expected Decimal(18,2)" in message
    assert "ordered by a, expected a,c" in message
    assert "column b is missing" in refused(
        Current(tables={"t": Table({"a": "LowCardinality(String)"}, "a,c", 0)}), file
    )


def test_statements_are_read_as_written() -> None:
    """Comments and brackets in types do not confuse the reading; comments do not change the checksum, types do."""
    (statement,) = split(TABLE + ";\n-- the end;")
    assert statement.creates == "t"
    assert statement.columns == COLUMNS
    assert statement.sorting_key == "a,c"
    assert checksum(split(TABLE)) == checksum(split("-- why\n" + TABLE.replace("\n", "\n\n")))
    assert checksum(split(TABLE)) != checksum(split(TABLE.replace("18, 2", "18, 4")))


def test_the_shipped_files_lose_nothing() -> None:
    """Numbered without gaps, each statement understood, none of them a danger to rows."""
    files = shipped()
    assert [file.version for file in files] == list(range(1, len(files) + 1))
    statements = [statement for file in files for statement in file.statements]
    assert all(statement.endangers is None for statement in statements)
    assert {name for statement in statements if (name := statement.creates)} >= {
        "stage_transitions",
        "prospects",
        "dead_letters",
    }
    transitions = next(statement for statement in statements if statement.creates == "stage_transitions")
    assert transitions.sorting_key == "funnel,prospect_id,visit,step"
    assert "PARTITION" not in transitions.sql
