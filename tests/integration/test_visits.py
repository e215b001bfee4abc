"""`visits`, put together from a rebuild some time ago and from the prospects who changed since, is what a rebuild now would give."""

from __future__ import annotations

import random
from typing import Any

import pytest
from clickhouse_driver import Client

from funnel.definition import parse_funnel
from sinks.funnels import write_funnels
from sinks.refresh import AGGREGATES, CHANGED, COUNTED, CREDITS, REBUILT, VISITS, rebuild, refresh
from tests.clickhouse import ClickHouse
from tests.generators.funnels import funnel_toml
from tests.integration.test_views_aggregates import insert
from tests.sinking import FUNNELS, Message, conversations, prepare

pytestmark = pytest.mark.slow
Rows = list[tuple[Any, ...]]


def age(client: Client, minutes: int) -> None:
    """All that was written so far was written so many minutes earlier."""
    for table in ("stage_transitions", "funnel_stages"):
        client.execute(
            f"ALTER TABLE {table} UPDATE written_at = written_at - INTERVAL {minutes} MINUTE WHERE true SETTINGS mutations_sync = 1"
        )


def changed(client: Client) -> int | None:
    """How many prospects are computed anew at each refresh; None where all are."""
    ((number, everybody),) = client.execute("SELECT count(), max(is_everybody) FROM changed_prospects")
    return None if everybody else int(number) - 1  # one row is nobody's


def rows(client: Client, relation: str) -> Rows:
    """All rows, in order."""
    found: Rows = client.execute(f"SELECT * FROM {relation} ORDER BY funnel, prospect_id, visit")
    return found


def aggregates(client: Client) -> dict[str, Rows]:
    """All rows of all aggregates, in order."""
    return {
        name: client.execute(f"SELECT * FROM {name} ORDER BY toString(tuple(*))") for name in (*AGGREGATES, CREDITS)
    }


def counted_by_differences(client: Client) -> set[str]:
    """Which aggregates are now those of the rebuilt visits with what changed since."""
    fitting = "SELECT count() FROM visits_changed WHERE built_at = (SELECT max(built_at) FROM {}) AND NOT is_everybody"
    return {name for name in COUNTED if client.execute(fitting.format(name)) != [(0,)]}


def told_later(messages: list[Message], seed: int) -> tuple[list[Message], list[Message]]:
    """Cut what is told in two: of some prospects the corrections come later, of some everything, of most nothing."""
    chance = random.Random(seed)
    lot = {prospect: chance.random() for prospect, _ in messages}
    later = [one for one in messages if lot[one[0]] < 0.03 or (lot[one[0]] < 0.2 and one[1].revision > 8)]
    return [one for one in messages if one not in later], later


def test_changes_since_a_rebuild_count(clickhouse: ClickHouse) -> None:
    """Corrections, visits that went, prospects who went and who came: all are seen; those who did not change are taken from the rebuild."""
    prepare(clickhouse, reports=True)
    messages = list(conversations(seed=21, prospects=400))
    first, later = told_later(messages, seed=22)
    client = clickhouse.client()
    insert(clickhouse, first)
    age(client, minutes=60)
    rebuild(client)
    assert changed(client) == 0, "all of it was written long before the rebuild"
    before = rows(client, "visits")
    assert before == rows(client, "visits_now")
    insert(clickhouse, later)
    refresh(client)
    after = rows(client, "visits")
    assert after == rows(client, "visits_now")
    assert 0 < (changed(client) or 0) <= len({prospect for prospect, _ in later})
    assert counted_by_differences(client) == set(COUNTED)
    by_differences = aggregates(client)
    assert all(by_differences.values())
    for view in (REBUILT, CHANGED, VISITS):
        client.execute(f"SYSTEM REFRESH VIEW {view}")
        client.execute(f"SYSTEM WAIT VIEW {view}")
    assert counted_by_differences(client) == set(), "rebuilt, and not counted yet"
    refresh(client)
    assert aggregates(client) == by_differences, "all counted at once"
    for parts, which in ((3, "visits"), (2, "prospects")):
        earlier, now = ({row[:parts] for row in some} for some in (before, after))
        assert earlier - now, f"the test must see {which} that went"
        assert now - earlier, f"the test must see {which} that came"
    rebuild(client)
    assert rows(client, "visits") == after, "the next rebuild changes nothing"
    assert counted_by_differences(client) == set(COUNTED)
    assert aggregates(client) == by_differences
    gone = after[0][1]
    client.execute(
        "ALTER TABLE stage_transitions DELETE WHERE prospect_id = %(gone)s SETTINGS mutations_sync = 1", {"gone": gone}
    )
    rebuild(client)
    assert rows(client, "visits") == [row for row in after if row[1] != gone], "who was forgotten"
    client.disconnect()


def test_what_was_on_its_way_during_a_rebuild(clickhouse: ClickHouse) -> None:
    """A batch that the server took before the rebuild began, and that was seen only after it, counts."""
    prepare(clickhouse, reports=True)
    messages = list(conversations(seed=23, prospects=60))
    client = clickhouse.client()
    insert(clickhouse, messages[:50])
    age(client, minutes=60)
    rebuild(client)
    insert(clickhouse, messages[50:])
    client.execute(
        f"ALTER TABLE stage_transitions UPDATE written_at = (SELECT max(built_at) FROM {REBUILT}) - INTERVAL 5 MINUTE "
        f"WHERE written_at > now() - INTERVAL 30 MINUTE SETTINGS mutations_sync = 1"
    )
    refresh(client)
    assert 0 < (changed(client) or 0) <= len(messages) - 50
    assert rows(client, "visits") == rows(client, "visits_now")
    client.disconnect()


def test_other_stages_concern_every_prospect(clickhouse: ClickHouse) -> None:
    """Stages that are written after the rebuild count at once, for visits of long ago too."""
    prepare(clickhouse, FUNNELS[:3], reports=True)
    client = clickhouse.client()
    insert(clickhouse, list(conversations(seed=24, prospects=60)))
    age(client, minutes=60)
    rebuild(client)
    assert changed(client) == 0
    before = rows(client, "visits")
    write_funnels(client, [parse_funnel(funnel_toml(funnel), funnel["name"]) for funnel in FUNNELS])
    refresh(client)
    assert changed(client) is None
    after = rows(client, "visits")
    assert after == rows(client, "visits_now") != before
    client.disconnect()
