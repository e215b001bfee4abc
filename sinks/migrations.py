"""The database's tables and views, as numbered SQL files, each applied once.

Every statement can be run again without harm, so a migration that was cut off is simply run again from its start, and two migrators at once
do the same twice. A file that holds only views may change: it is applied again, and so are those with views after it. Any other change is a new file, and it is refused where rows
could be lost by it.
"""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from clickhouse_driver.errors import ServerException

from sinks.errors import MigrationRefusedError
from sinks.statements import Statement, checksum, split

VERSIONS = "schema_migrations"
_FILE = re.compile(r"^(\d{3})_(\w+)\.sql$")
_DATABASE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
_ATTEMPTS = 5
# Another migrator made or replaced the same thing at the same moment: no such table, it exists, it is being dropped or renamed.
_BUSY = {57, 60, 81, 82, 218, 219, 305, 473, 741}
_CREATE_VERSIONS = f"""CREATE TABLE IF NOT EXISTS {VERSIONS}
(version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = ReplacingMergeTree(applied_at) ORDER BY version"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    statements: tuple[Statement, ...]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.version:03d}_{self.name}.sql"

    @property
    def checksum(self) -> str:
        """Changes when the statements do, not when comments do."""
        return checksum(self.statements)

    @property
    def is_derived(self) -> bool:
        """Whether it holds nothing but views."""
        return all(statement.is_derived for statement in self.statements)


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is in the database."""

    columns: dict[str, str]
    """Name to type, without spaces."""
    sorting_key: str
    """Without spaces."""
    rows: int


@dataclass(frozen=True, slots=True)
class Current:
    """What the database is now."""

    applied: dict[int, str] = field(default_factory=dict)
    """Version to checksum."""
    tables: dict[str, Table] = field(default_factory=dict)


def plan(current: Current, files: Sequence[Migration]) -> list[Migration]:
    """The migrations to run, in order; none where the database is up to date.

    Raises:
        MigrationRefusedError: one would lose data, an applied one was changed, or the database is newer than the files.
    """
    known = {migration.version for migration in files}
    if unknown := sorted(set(current.applied) - known):
        raise MigrationRefusedError(
            f"the database has migration {unknown[-1]}, this release only those up to {max(known, default=0)}: run the release that migrated it, or a newer one"
        )
    grown = [found for migration in files for statement in migration.statements if (found := statement.longer_key)]
    steps = []
    views_go_again = False
    for migration in sorted(files, key=lambda one: one.version):
        applied = current.applied.get(migration.version)
        if applied == migration.checksum and not (views_go_again and migration.is_derived):
            continue
        # Views of later files may replace those of earlier ones, and read them.
        views_go_again |= applied is not None
        if applied is not None and not migration.is_derived:
            raise MigrationRefusedError(
                f"{migration.file} was changed after it was applied: put it back as it was, and the change into a new file with the next number"
            )
        for statement in migration.statements:
            _check(statement, migration.file, current, grown)
        steps.append(migration)
    return steps


def _check(statement: Statement, file: str, current: Current, grown: Sequence[tuple[str, str]]) -> None:
    if (name := statement.creates) and (table := current.tables.get(name)):
        _check_same(statement, file, table, (statement.sorting_key, *(key for of, key in grown if of == name)))
    endangered = statement.endangers
    if endangered is None:
        return
    if endangered == "":
        raise MigrationRefusedError(
            f"{file}: can't tell what this does to data: {statement.shape[:80]}; expected CREATE TABLE IF NOT EXISTS, CREATE OR REPLACE VIEW or ALTER TABLE ... ADD COLUMN IF NOT EXISTS"
        )
    table = current.tables.get(endangered)
    if table is not None and table.rows:
        raise MigrationRefusedError(
            f"{file}: this could lose data of {endangered}, which has {table.rows} rows: {statement.shape[:80]}; add a column or a table instead, or empty that table first"
        )


def _check_same(statement: Statement, file: str, table: Table, keys: Sequence[str]) -> None:
    """A table that is there already must be the one that the file would make, its key perhaps longer by now: `IF NOT EXISTS` would not say."""
    differences = [
        f"column {column} is {table.columns.get(column, 'missing')}, expected {kind}"
        for column, kind in statement.columns.items()
        if table.columns.get(column) != kind
    ]
    if table.sorting_key not in keys:
        differences.append(f"it is ordered by {table.sorting_key}, expected {statement.sorting_key}")
    if differences:
        raise MigrationRefusedError(
            f"{file}: there is a table {statement.creates} already, and it differs: {'; '.join(differences)}; rename it, or use another database"
        )


def shipped() -> tuple[Migration, ...]:
    """The migrations that come with this release, in order."""
    entries = resources.files("sinks").joinpath("tables").iterdir()
    found = [
        Migration(int(match[1]), match[2], split(entry.read_text(encoding="utf-8")))
        for entry in entries
        if (match := _FILE.match(entry.name))
    ]
    return tuple(sorted(found, key=lambda migration: migration.version))


def current_state(client: Any) -> Current:
    """What the database of `client` is now."""
    rows = client.execute(
        "SELECT name, replaceAll(sorting_key, ' ', ''), coalesce(total_rows, 1) FROM system.tables "
        "WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name NOT LIKE '.%'"
    )
    columns: dict[str, dict[str, str]] = {name: {} for name, _, _ in rows}
    for table, name, kind in client.execute(
        "SELECT table, name, replaceAll(type, ' ', '') FROM system.columns WHERE database = currentDatabase() ORDER BY table, position"
    ):
        if table in columns:
            columns[table][name] = kind
    applied = applied_versions(client) if VERSIONS in columns else {}
    return Current(applied, {name: Table(columns[name], key, count) for name, key, count in rows})


def applied_versions(client: Any) -> dict[int, str]:
    """Which migrations the database of `client` has: version to checksum.

    Raises:
        clickhouse_driver.errors.ServerException: code 60 where none ever ran there; 497 where the user may not see them.
    """
    return dict(client.execute(f"SELECT version, checksum FROM {VERSIONS} FINAL"))  # noqa: S608  a constant


def migrate(
    connect: Callable[[str], Any],
    database: str = "journey",
    files: Sequence[Migration] | None = None,
    *,
    progress: Callable[[Migration], None] = lambda _: None,
) -> list[Migration]:
    """Bring the database up to date; creates it if need be. May run twice at once, and again after a crash.

    Args:
        connect: gives a clickhouse-driver client of the database named, '' for none in particular; it is closed here.
        database: its name.
        files: the migrations; those that ship unless given.
        progress: called before each migration that is run.

    Returns:
        The migrations that were run.

    Raises:
        MigrationRefusedError: see `plan`; nothing was changed.
        clickhouse_driver.errors.Error: the server is away, or refuses.
    """
    if not _DATABASE.match(database):
        raise MigrationRefusedError(
            f"{database!r} is no name for a database: expected letters, digits and underscores, not starting with a digit"
        )
    with contextlib.closing(_Client(connect(""))) as client:
        if not client.execute("SELECT 1 FROM system.databases WHERE name = %(name)s", {"name": database}):
            client.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    with contextlib.closing(_Client(connect(database))) as client:
        steps = plan(current_state(client), files if files is not None else shipped())
        if steps:
            client.execute(_CREATE_VERSIONS)
        for migration in steps:
            progress(migration)
            _patiently(functools.partial(_run, client, migration))
        return steps


def _run(client: Any, migration: Migration) -> None:
    for statement in migration.statements:
        client.execute(statement.sql)
    client.execute(
        f"INSERT INTO {VERSIONS} (version, name, checksum) VALUES",
        [(migration.version, migration.name, migration.checksum)],
    )


def _patiently(action: Callable[[], None]) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return action()
        except ServerException as error:
            if error.code not in _BUSY or attempt == _ATTEMPTS:
                raise
            time.sleep(0.2 * attempt)
    return None


class _Client:
    """A clickhouse-driver client that `contextlib.closing` can close."""

    def __init__(self, client: Any) -> None:
        self.execute = client.execute
        self.close = client.disconnect
