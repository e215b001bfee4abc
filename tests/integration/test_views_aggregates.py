"""The aggregates and the views on them against brute force over the same rows."""

from __future__ import annotations

import datetime as dt
import random
import statistics
import uuid
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from funnel.definition import parse_funnel
from funnel.facts import Facts, Transition
from schemas.messages import encode_facts
from sinks.clickhouse import Writer
from sinks.config import ClickHouseConfig
from sinks.errors import FunnelRefusedError
from sinks.facts import FactsCollector
from sinks.funnels import write_funnels
from sinks.identifiers import Opener
from sinks.refresh import refresh
from tests.clickhouse import ClickHouse
from tests.generators.funnels import funnel_toml
from tests.oracle.conversion import conversion_facts
from tests.sinking import FUNNELS, HOUR, START, Message, conversations, expected, funnel_file, history, prepare, stored
from tests.translation import SETTINGS


class _Record:
    """What the collector reads of a record."""

    topic, partition, offset, timestamp, key, headers = "facts", 0, 0, 0, None, ()

    def __init__(self, message: Message) -> None:
        self.value = encode_facts(*message)


def insert(clickhouse: ClickHouse, messages: list[Message]) -> None:
    """Insert without Kafka, as the sink does, in batches of chance size."""
    writer = Writer(ClickHouseConfig(clickhouse.server.host, clickhouse.server.native_port, clickhouse.database))
    collector, chance = FactsCollector(Opener(SETTINGS.id_key, "clear")), random.Random(1)
    for message in messages:
        collector.add(_Record(message))
        if chance.random() < 0.01:
            for rows in collector.take():
                writer.insert(rows)
    for rows in collector.take():
        writer.insert(rows)
    writer.close()


def refreshed(clickhouse: ClickHouse) -> None:
    """Bring the aggregates up to now."""
    client = clickhouse.client()
    refresh(client)
    client.disconnect()


def aggregates(clickhouse: ClickHouse) -> list[tuple[Any, ...]]:
    """`conversion_facts` as a reader sees it, sums of times rounded to the microsecond."""
    rows = clickhouse.query(
        "SELECT funnel, stage, entry_day, first_channel, first_campaign, currency, entered, moved_on, won, lost, expired, waiting, "
        "round(seconds_to_move_on, 6), revenue FROM conversion_facts"
    )
    return sorted(rows)


def brute_force(rows: list[Any]) -> list[tuple[Any, ...]]:
    """The same by the oracle."""
    return sorted(
        (*row[:-2], round(row.seconds_to_move_on, 6), row.revenue) for row in conversion_facts(rows, list(FUNNELS))
    )


def test_aggregates_equal_brute_force_after_corrections(clickhouse: ClickHouse) -> None:
    """Shuffled, doubled and corrected rows, in five time zones over a change of clocks, aggregate to what counting by hand gives."""
    prepare(clickhouse, reports=True)
    messages = list(conversations(seed=7, prospects=600))
    shuffled = messages + random.Random(2).sample(messages, len(messages) // 3)
    random.Random(3).shuffle(shuffled)
    insert(clickhouse, shuffled)
    refreshed(clickhouse)
    transitions, standings = expected(messages)
    assert stored(clickhouse) == (transitions, standings)
    counted = aggregates(clickhouse)
    assert counted == brute_force(transitions)
    assert all(row[6] == sum(row[8:12]) for row in counted)
    kinds = {row.kind for row in transitions}
    assert kinds == {"enter", "advance", "skip", "back", "repeat", "lost", "expired"}, "the test must see everything"
    assert {row[5] for row in counted} == {"", "EUR", "USD"}
    insert(clickhouse, shuffled)
    refreshed(clickhouse)
    assert aggregates(clickhouse) == counted, "all of it again changes nothing"


def test_funnel_and_velocity(clickhouse: ClickHouse) -> None:
    """`funnel` gives every stage in order with how many reached it, `stage_velocity` the exact quantiles."""
    prepare(clickhouse, reports=True)
    messages = list(conversations(seed=8, prospects=300))
    insert(clickhouse, messages)
    refreshed(clickhouse)
    transitions, _ = expected(messages)
    visits: dict[Any, list[Any]] = defaultdict(list)
    for row in transitions:
        visits[row.funnel, row.prospect_id, row.visit].append(row)
    order = {funnel["name"]: [stage["name"] for stage in funnel["stage"]] for funnel in FUNNELS}
    reached: dict[Any, int] = defaultdict(int)
    times: dict[Any, list[float]] = defaultdict(list)
    for (funnel, _, _), rows in visits.items():
        rows.sort(key=lambda row: row.step)
        stages = order[funnel]
        entries = [(stages.index(row.to_stage), row.entered_at) for row in rows if row.to_stage in stages]
        for position in range(max(entries)[0] + 1 if entries else 0):
            reached[funnel, stages[position]] += 1
        for position in {entry[0] for entry in entries}:
            index = next(index for index, entry in enumerate(entries) if entry[0] == position)
            later = [at for further, at in entries[index + 1 :] if further > position]
            if later:
                times[funnel, stages[position]].append((later[0] - entries[index][1]) / 1_000_000)
    rows = clickhouse.query("SELECT funnel, stage, position, reached, entered, moved_on FROM funnel")
    assert [(row[0], row[1]) for row in rows] == [(name, stage) for name in sorted(order) for stage in order[name]]
    assert {row[:2]: row[3] for row in rows} == {
        (name, stage): reached[name, stage] for name in order for stage in order[name]
    }
    assert {row[:2]: row[5] for row in rows if row[5]} == {key: len(found) for key, found in times.items()}
    velocity = clickhouse.query(
        "SELECT funnel, stage, moved_on, median_seconds, p75_seconds, p90_seconds FROM stage_velocity"
    )
    assert len(velocity) == len(times)
    for funnel, stage, moved_on, *quantiles in velocity:
        found = times[funnel, stage]
        assert moved_on == len(found)
        cuts = statistics.quantiles(found, n=20, method="inclusive")
        assert quantiles == pytest.approx([statistics.median(found), cuts[14], cuts[17]])


@pytest.mark.slow
def test_day_is_of_the_funnels_time_zone(clickhouse: ClickHouse) -> None:
    """An instant is counted on the day that it has in the funnel's own zone, by the clock of that season."""
    prepare(clickhouse, reports=True)
    instants = [  # on either side of midnight, in winter and in summer
        (dt.datetime(2025, 1, 31, 22, 59, 59, 999_999, dt.UTC), dt.date(2025, 1, 31)),
        (dt.datetime(2025, 1, 31, 23, 0, tzinfo=dt.UTC), dt.date(2025, 2, 1)),
        (dt.datetime(2025, 7, 31, 21, 59, 59, tzinfo=dt.UTC), dt.date(2025, 7, 31)),
        (dt.datetime(2025, 7, 31, 22, 0, tzinfo=dt.UTC), dt.date(2025, 8, 1)),
    ]
    template = history(random.Random(4), FUNNELS[1]) or history(random.Random(5), FUNNELS[1])
    for number, (instant, day) in enumerate(instants):
        at = round((instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1))
        row = template[0]._replace(
            visit=1, step=0, kind="enter", to_stage="stage 0", entered_at=at, first_campaign=str(number)
        )
        insert(clickhouse, [(uuid.uuid4().bytes, Facts(1, (row,)))])
        refreshed(clickhouse)
        found = clickhouse.query(
            "SELECT entry_day FROM conversion_facts WHERE first_campaign = %(n)s", {"n": str(number)}
        )
        assert found == [(day,)]


def test_rows_of_two_versions_of_a_funnel(clickhouse: ClickHouse) -> None:
    """Each row's stage is looked up in the version that wrote it, within one visit too."""
    first, second = funnel_file("grown", "UTC", 2, version=1), funnel_file("grown", "UTC", 4, version=2)
    prepare(clickhouse, [first], reports=True)
    prepare(clickhouse, [second], reports=True)
    base = Transition(
        "grown", 1, 1, 0, "enter", "", "stage 0", START, START, 0.0, "", "", "", "", "", "web", "", "", 0, "", "", ""
    )
    rows = (
        base,
        base._replace(
            funnel_version=2, step=1, kind="advance", from_stage="stage 0", to_stage="stage 1", entered_at=START + HOUR
        ),
    )
    won = (
        base,
        base._replace(step=1, kind="advance", from_stage="stage 0", to_stage="stage 1", entered_at=START + HOUR),
    )
    insert(clickhouse, [(b"a" * 16, Facts(1, rows)), (b"b" * 16, Facts(1, won))])
    refreshed(clickhouse)
    found = clickhouse.query(
        "SELECT stage, sum(entered), sum(moved_on), sum(won), sum(waiting) FROM conversion_facts GROUP BY stage ORDER BY stage"
    )
    assert found == [("stage 0", 2, 2, 1, 1), ("stage 1", 2, 0, 1, 1)], "stage 1 is the last one of version 1 only"
    assert [row[0] for row in clickhouse.query("SELECT stage FROM funnel")] == [f"stage {n}" for n in range(4)]


def test_journey_of_tells_one_prospects_story(clickhouse: ClickHouse) -> None:
    """The parameterised view gives that prospect's rows in order, and finds them by the table's key."""
    prepare(clickhouse, reports=True)
    messages = list(conversations(seed=9, prospects=50))
    insert(clickhouse, messages)
    transitions, _ = expected(messages)
    prospect = transitions[0].prospect_id
    wanted = [(row.funnel, row.visit, row.step, row.to_stage) for row in transitions if row.prospect_id == prospect]
    named = f"{clickhouse.database}.journey_of(prospect = %(prospect)s)"
    assert clickhouse.query(f"SELECT funnel, visit, step, to_stage FROM {named}", {"prospect": prospect}) == sorted(
        wanted
    )
    assert "PrimaryKey" in str(clickhouse.query(f"EXPLAIN indexes = 1 SELECT * FROM {named}", {"prospect": prospect}))


def test_funnels_are_written_once_and_shrink(clickhouse: ClickHouse) -> None:
    """Writing the same funnels again writes nothing; a stage taken out goes; other versions stay."""
    prepare(clickhouse, [funnel_file("f", "UTC", 3), funnel_file("g", "UTC", 1)], reports=True)
    client = clickhouse.client()
    shorter = parse_funnel(funnel_toml(funnel_file("f", "UTC", 2)), "f")
    assert write_funnels(client, [parse_funnel(funnel_toml(funnel_file("f", "UTC", 3)), "f")]) == 0
    assert write_funnels(client, [shorter]) == 1
    assert write_funnels(client, [shorter]) == 0
    assert client.execute("SELECT funnel, count() FROM funnel_stages FINAL GROUP BY funnel ORDER BY funnel") == [
        ("f", 2),
        ("g", 1),
    ]
    client.disconnect()


def test_a_funnel_in_an_unknown_zone_is_refused(clickhouse: ClickHouse) -> None:
    """One wrong zone would stop every refresh, so it is refused by name."""
    prepare(clickhouse, reports=True)
    client = clickhouse.client()
    funnel = parse_funnel(funnel_toml(funnel_file("lunar", "UTC", 2)), "lunar")
    odd = type(funnel)(**{name: getattr(funnel, name) for name in funnel.__slots__} | {"timezone": "Moon/Tycho"})
    with pytest.raises(FunnelRefusedError, match=r"Moon/Tycho.*lunar"):
        write_funnels(client, [odd])
    client.disconnect()


def test_an_empty_database_has_empty_views(clickhouse: ClickHouse) -> None:
    """Before anything came in, the views answer: stages with nothing in them."""
    prepare(clickhouse, reports=True)
    refreshed(clickhouse)
    assert aggregates(clickhouse) == []
    assert clickhouse.query("SELECT sum(entered), sum(reached), count() FROM funnel") == [(0, 0, 15)]
    assert clickhouse.query("SELECT count() FROM stage_velocity") == [(0,)]
    assert clickhouse.query("SELECT revenue FROM funnel LIMIT 1") == [({},)]


def test_revenue_is_kept_apart_by_currency(clickhouse: ClickHouse) -> None:
    """A won visit's amounts, repeats among them, count at each stage it entered, under the currency it was won in."""
    prepare(clickhouse, reports=True)
    base = Transition(
        "two", 1, 1, 0, "enter", "", "stage 0", START, START, 0.0, "", "", "", "", "", "web", "", "", 777, "EUR", "", ""
    )
    won = base._replace(step=1, kind="skip", from_stage="stage 0", to_stage="stage 3", amount=1001, currency="USD")
    again = won._replace(step=2, kind="repeat", from_stage="stage 3", amount=99, currency="EUR")
    insert(clickhouse, [(b"a" * 16, Facts(1, (base, won, again)))])
    refreshed(clickhouse)
    rows = clickhouse.query("SELECT stage, entered, won, revenue FROM funnel WHERE funnel = 'two'")
    usd = {"USD": Decimal("11.00")}
    assert rows == [("stage 0", 1, 1, usd), ("stage 1", 0, 0, {}), ("stage 2", 0, 0, {}), ("stage 3", 1, 1, usd)]
