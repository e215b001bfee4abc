"""Publishing: a database of views is switched from one installation's database to another's, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from journey.errors import JourneyError
from journey.publishing import before_that, history, switch
from sinks.migrations import VERSIONS
from tests.clickhouse import ClickHouse, fresh_database

WHO = "00000000-0000-5000-8000-00000000000"


def made(database: ClickHouse, *views: str) -> ClickHouse:
    """What looks like an installation's database: a table with as many rows as there are views, and those."""
    rows = ", ".join(f"('{WHO}{number}')" for number in range(1, 1 + len(views)))
    with database.client() as client:
        client.execute(f"CREATE TABLE {VERSIONS} (version UInt32) ENGINE = Log")
        client.execute("CREATE TABLE facts (prospect UUID) ENGINE = MergeTree ORDER BY prospect")
        client.execute(f"INSERT INTO facts VALUES {rows}")
        for view in views:
            where = "WHERE prospect = {prospect:UUID}" if view == "journey_of" else ""
            client.execute(f"CREATE VIEW {view} AS SELECT * FROM facts {where}")
    return database


@pytest.fixture
def databases(clickhouse: ClickHouse) -> Iterator[tuple[ClickHouse, ClickHouse, str]]:
    """Two installations' databases, and a name for what people read."""
    with fresh_database(clickhouse.server) as other:
        live = f"live_{clickhouse.database}"
        yield made(clickhouse, "funnel", "journey_of", "old_one"), made(other, "funnel", "journey_of"), live
        clickhouse.query(f"DROP DATABASE IF EXISTS {live}")


@pytest.fixture
def client(databases: tuple[ClickHouse, ClickHouse, str]) -> Iterator[Client]:
    """Of whoever publishes."""
    with databases[0].client() as connected:
        yield connected


def test_views_follow_and_go(databases: tuple[ClickHouse, ClickHouse, str], client: Any) -> None:
    """Views are those of the database that was published last, with their parameters; what it lacks is gone; it is written down."""
    old, new, live = databases
    assert switch(client, live, old.database).before == ""
    with pytest.raises(JourneyError, match="nothing else was published"):
        before_that(history(client, live), live)
    assert client.execute(f"SELECT count() FROM {live}.funnel") == [(3,)]
    client.execute(f"CREATE VIEW {live}.mine AS SELECT 1")
    done = switch(client, live, new.database)
    assert (done.before, done.views, done.gone) == (old.database, ("funnel", "journey_of"), ("old_one",))
    assert client.execute(f"SELECT count() FROM {live}.funnel") == [(2,)]
    assert client.execute(f"SELECT count() FROM {live}.journey_of(prospect = '{WHO}2')") == [(1,)]
    assert client.execute(f"SELECT count() FROM {live}.journey_of(prospect = '{WHO}3')") == [(0,)]
    left = client.execute("SELECT name FROM system.tables WHERE database = %(name)s ORDER BY name", {"name": live})
    assert [name for (name,) in left] == ["funnel", "journey_of", "mine", "publications"]
    assert before_that(history(client, live), live) == old.database
    switch(client, live, old.database)
    assert before_that(history(client, live), live) == new.database
    assert client.execute(f"SELECT count() FROM {live}.old_one") == [(3,)]


def test_publishing_again_finishes_what_was_cut_off(databases: tuple[ClickHouse, ClickHouse, str], client: Any) -> None:
    """Written down, and no view switched yet: the next run does it, as if nothing had been; views that are too much go later, too."""
    old, new, live = databases
    switch(client, live, old.database)
    client.execute(f"DROP VIEW {live}.journey_of")
    client.execute(f"INSERT INTO {live}.publications (database, views) VALUES", [(new.database, ["added", "funnel"])])
    client.execute(f"CREATE VIEW {live}.added AS SELECT 1 AS one")
    done = switch(client, live, new.database)
    assert (done.before, done.gone) == (new.database, ("added", "old_one"))
    assert client.execute(f"SELECT count() FROM {live}.funnel") == [(2,)]
    assert client.execute(f"SELECT count() FROM {live}.journey_of(prospect = '{WHO}2')") == [(1,)]
    assert before_that(history(client, live), live) == old.database


def test_what_cant_be_read_is_found_first(databases: tuple[ClickHouse, ClickHouse, str], client: Any) -> None:
    """A view whose table is gone stops it before readers notice anything."""
    old, new, live = databases
    switch(client, live, old.database)
    client.execute(f"DROP TABLE {new.database}.facts")
    with pytest.raises(ServerException):
        switch(client, live, new.database)
    assert client.execute(f"SELECT count() FROM {live}.funnel") == [(3,)]
    assert [one.database for one in history(client, live)] == [old.database]


def test_what_was_not_published_is_not_replaced(databases: tuple[ClickHouse, ClickHouse, str], client: Any) -> None:
    """An installation's own database, somebody's own view, a database that was never migrated, and odd names are refused, with nothing changed."""
    old, new, live = databases
    with pytest.raises(JourneyError, match="is the database of an installation"):
        switch(client, old.database, new.database)
    with pytest.raises(JourneyError, match="can't be published in itself"):
        switch(client, old.database, old.database)
    with pytest.raises(JourneyError, match="expected a name of letters"):
        switch(client, "live; DROP DATABASE x", old.database)
    client.execute(f"CREATE DATABASE {live}")
    with pytest.raises(JourneyError, match="no database of an installation"):
        switch(client, "anything", live)
    client.execute(f"CREATE VIEW {live}.funnel AS SELECT 'mine' AS whose")
    with pytest.raises(JourneyError, match="has something of its own that is called funnel"):
        switch(client, live, old.database)
    assert client.execute(f"SELECT whose FROM {live}.funnel") == [("mine",)]
    assert history(client, live) == []
