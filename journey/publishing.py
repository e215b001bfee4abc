"""Which installation's numbers people read: a database that holds nothing but views on another one's views.

To switch, each view is replaced by one on the other database, which ClickHouse does at once, so there is never none; what was granted on
a name stays. A table in it says what was published when. Nothing here looks at how current the numbers are (`journey.behind` does).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from journey.errors import JourneyError
from sinks.migrations import VERSIONS

PUBLICATIONS = "publications"
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
_AS_US = "DEFINER = CURRENT_USER SQL SECURITY DEFINER"
_CREATE_BOOK = """CREATE TABLE IF NOT EXISTS {database}.{book}
(
    database String COMMENT 'whose views were published',
    published_at DateTime64(3, 'UTC') DEFAULT now64(3),
    published_by String DEFAULT currentUser(),
    views Array(String) COMMENT 'names of the views'
)
ENGINE = MergeTree ORDER BY published_at"""


class Publication(NamedTuple):
    """Once that a database was published."""

    database: str
    published_at: datetime
    views: tuple[str, ...]


class Switched(NamedTuple):
    """What publishing did. Names of views are sorted."""

    before: str
    """The database that was published before; '' where none was."""
    now: str
    views: tuple[str, ...]
    gone: tuple[str, ...]
    """Views that the database before had, and this one doesn't."""


def history(client: Any, live: str) -> list[Publication]:
    """What was published in the database `live`, the latest first; nothing where nothing was, or there is no such database.

    Raises:
        JourneyError: its name is none.
    """
    _checked(live)
    if PUBLICATIONS not in _objects(client, live):
        return []
    rows = client.execute(
        f"SELECT database, published_at, views FROM {live}.{PUBLICATIONS} ORDER BY published_at DESC"  # noqa: S608  checked
    )
    return [Publication(database, at, tuple(views)) for database, at, views in rows]


def before_that(published: Sequence[Publication], live: str) -> str:
    """The database that was published before the one that is now.

    Args:
        published: as `history` gives it.
        live: where.

    Raises:
        JourneyError: there is none.
    """
    for one in published:
        if one.database != published[0].database:
            return one.database
    raise JourneyError(f"nothing else was published in {live} before, so there is nothing to go back to")


def switch(client: Any, live: str, source: str) -> Switched:
    """Let the views of `live` be those of `source`. Run again after an error, it does the rest.

    Args:
        client: of a user who may read `source`, and make views and a table in `live`. The views run with that user's rights.
        live: the database to publish in; made where there is none.
        source: the database of an installation.

    Raises:
        JourneyError: `live` holds something that was not published, or `source` is no installation's database; nothing was changed.
        clickhouse_driver.errors.Error: the server is away, or refuses.
    """
    views = _views_of(client, source)
    published = history(client, live)
    ours = {view for one in published for view in one.views}
    there = _objects(client, live)
    _refuse_what_is_not_ours(live, source, there, set(views) - ours)
    for name, parameters in views.items():
        if not parameters:  # one that can't be read is found before anything is changed
            client.execute(f"EXPLAIN {_select(source, name, parameters)}")
    if not client.execute("SELECT 1 FROM system.databases WHERE name = %(name)s", {"name": live}):
        client.execute(f"CREATE DATABASE IF NOT EXISTS {live}")
    client.execute(_CREATE_BOOK.format(database=live, book=PUBLICATIONS))
    # Written down first: after an error, the next run knows which views are ours.
    client.execute(f"INSERT INTO {live}.{PUBLICATIONS} (database, views) VALUES", [(source, sorted(views))])
    for name, parameters in views.items():
        client.execute(f"CREATE OR REPLACE VIEW {live}.{name} {_AS_US} AS {_select(source, name, parameters)}")
    gone = sorted((ours & there) - set(views))
    for name in gone:
        client.execute(f"DROP VIEW IF EXISTS {live}.{name}")
    return Switched(published[0].database if published else "", source, tuple(sorted(views)), tuple(gone))


def _select(source: str, name: str, parameters: Mapping[str, str]) -> str:
    given = ", ".join(f"{parameter} = {{{parameter}:{kind}}}" for parameter, kind in parameters.items())
    return f"SELECT * FROM {source}.{name}" + (f"({given})" if given else "")  # noqa: S608  names that were checked


def _views_of(client: Any, source: str) -> dict[str, dict[str, str]]:
    """The views of an installation's database, and the parameters that they take."""
    _checked(source)
    objects = _objects(client, source)
    if VERSIONS not in objects:
        raise JourneyError(
            f"{source} is no database of an installation: it was never migrated",
            hint="name it in JOURNEY_CLICKHOUSE; `journey migrate` makes it one",
        )
    rows = client.execute(
        "SELECT name, parameterized_view_parameters FROM system.tables WHERE database = %(name)s AND engine = 'View' AND NOT endsWith(name, '_parts') ORDER BY name",
        {"name": source},
    )
    return {_checked(name): {_checked(one): kind for one, kind in parameters} for name, parameters in rows}


def _refuse_what_is_not_ours(live: str, source: str, there: set[str], new: set[str]) -> None:
    if live == source:
        raise JourneyError(f"{live} can't be published in itself", hint="`--database` names another one")
    if VERSIONS in there:
        raise JourneyError(
            f"{live} is the database of an installation: its own views would be lost",
            hint="`--database` names one that is only for publishing",
        )
    if taken := sorted(new & there):
        raise JourneyError(
            f"{live} has something of its own that is called {', '.join(taken)}",
            hint="rename that, or publish in another database (`--database`)",
        )


def _objects(client: Any, database: str) -> set[str]:
    rows = client.execute("SELECT name FROM system.tables WHERE database = %(name)s", {"name": database})
    return {name for (name,) in rows}


def _checked(name: str) -> str:
    """The name, which goes into statements as it is.

    Raises:
        JourneyError: it is more than a plain name.
    """
    if not _NAME.match(name):
        raise JourneyError(f"{name!r}: expected a name of letters, digits and underscores, not starting with a digit")
    return name
