"""Attribution in ClickHouse against brute force in fractions over the same visits: every model, after corrections, in two orders."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from clickhouse_driver import Client

from funnel.definition import parse_funnel
from journey.local_clickhouse import EmbeddedClickHouse
from reports.attribution import OTHER, UNATTRIBUTED, attribute
from reports.half_life import set_half_life
from sinks.funnels import write_funnels
from sinks.refresh import refresh
from tests.attribution import CURRENCIES, FUNNELS, START, Key, Visit, by_rules, corrected, insert, rows_of, visits
from tests.clickhouse import ClickHouse, fresh_database
from tests.generators.funnels import funnel_toml
from tests.property.test_attribution_markov import Walk, effects_by_hand


def stored(client: Client, where: str = "model != 'markov'") -> dict[Key, list[Decimal]]:
    """`attribution_facts` as a reader sees it."""
    rows = client.execute(
        "SELECT funnel, model, day, currency, channel_group, campaign, conversions, value FROM attribution_facts "
        f"WHERE {where}"
    )
    found = {tuple(row[:6]): list(row[6:]) for row in rows}
    assert len(found) == len(rows)
    return found


def assert_same(got: Mapping[Key, Sequence[Decimal]], wanted: Mapping[Key, Sequence[Fraction]]) -> None:
    """The same cells, the same credits."""
    seen, right = ({key: [float(one) for one in cell] for key, cell in cells.items()} for cells in (got, wanted))
    for cells in (seen, right):  # next to nothing is left out by some
        for key in [key for key, cell in cells.items() if max(map(abs, cell)) < 1e-6]:
            del cells[key]
    assert seen.keys() == right.keys()
    for key, cell in right.items():
        assert seen[key] == pytest.approx(cell, abs=1e-6, rel=1e-12), key


@pytest.fixture(scope="module")
def database(clickhouse_server: EmbeddedClickHouse) -> Iterator[ClickHouse]:
    """A migrated database, with these funnels."""
    with fresh_database(clickhouse_server) as made:
        prepared(made).disconnect()
        yield made


@pytest.fixture
def client(database: ClickHouse) -> Iterator[Client]:
    """A client of it, without any rows of before."""
    with database.client() as made:
        for table in ("stage_transitions", "attribution_shares", "attribution_settings"):
            made.execute(f"TRUNCATE TABLE {table}")
        yield made


def prepared(clickhouse: ClickHouse) -> Client:
    """A client of the database, migrated."""
    clickhouse.migrate()
    made = clickhouse.client()
    write_funnels(made, [parse_funnel(funnel_toml(funnel), "test") for funnel in FUNNELS])
    return made


def test_models_equal_brute_force_in_two_orders(client: Client) -> None:
    """Corrected visits, told in one order and again in another, are credited as they are in the end, to the last digit alike."""
    final, chance = visits(1, 400), random.Random(2)
    told = list(corrected(visits(3, 500), final))
    chance.shuffle(told)
    insert(client, told)
    refresh(client)
    first = stored(client)
    assert_same(first, by_rules(final))
    assert {key[1] for key in first} == {"first", "last", "last_non_direct", "linear", "time_decay", "position_based"}
    totals = client.execute("SELECT model, currency, funnel, sum(conversions), sum(value) FROM attribution_facts GROUP BY ALL")  # fmt: skip
    for funnel in ("one", "two", "three"):
        for currency in CURRENCIES:
            of_it = [one for one in final if one.status == "won" and one.currency == currency and FUNNELS[one.funnel]["name"] == funnel]  # fmt: skip
            assert of_it
            wanted = (len(of_it), Decimal(sum(sum(one.amounts) for one in of_it)) / 100)
            assert {tuple(row[3:]) for row in totals if row[1:3] == (currency, funnel)} == {wanted}, (
                "exactly, by every model"
            )
    chance.shuffle(told)
    insert(client, told)
    client.execute("OPTIMIZE TABLE stage_transitions FINAL")
    refresh(client)
    assert stored(client) == first


def test_worked_example(client: Client) -> None:
    """docs/attribution.md: the credits of its four visits are those in its table."""
    text = (Path(__file__).parents[2] / "docs" / "attribution.md").read_text()
    _, example = text.split("## A worked example")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in example.splitlines() if line[:1] == "|"]
    told = [
        Visit(
            0, UUID(int=1), int(number), ended, START, "EUR", (100 * int(value or 0),),
            tuple((START - timedelta(weeks=9 - week), group, "") for week, group in enumerate(touches.split(", "))),
        )
        for number, touches, ended, value in lines[2:6]
    ]  # fmt: skip
    shown = {
        (model.strip("`"), group): [float(number) for number in cell.split(", ")]
        for model, *cells in lines[8:]
        for group, cell in zip(lines[6][1:], cells, strict=True)
        if cell
    }
    assert len(shown) == 19
    insert(client, [rows_of(visit, 1) for visit in told])
    refresh(client)
    attribute(client)
    rows = client.execute("SELECT model, channel_group, round(conversions, 4), round(value, 4) FROM attribution")
    assert {row[:2]: list(row[2:]) for row in rows} == shown


def test_half_life_is_a_setting(client: Client) -> None:
    """Touches fade as fast as it says, from the next refresh on."""
    final = visits(4, 200)
    insert(client, [rows_of(visit, 1) for visit in final])
    assert not set_half_life(client, 7 * 86_400)
    assert set_half_life(client, 3_600)
    refresh(client)
    assert_same(stored(client), by_rules(final, timedelta(hours=1)))


def markov_shares(made: Sequence[Visit], funnel: str) -> dict[Key, float]:
    """Each touch's share of the wins and of the amounts by currency, by brute force."""
    closed = [one for one in made if FUNNELS[one.funnel]["name"] == funnel and one.status != "open" and one.touches]
    touches = sorted({(group or UNATTRIBUTED, campaign) for one in closed for _, group, campaign in one.touches})
    letters = {touch: chr(0x4E00 + number) for number, touch in enumerate(touches)}
    of_group = {group: chr(0x3400 + number) for number, group in enumerate(sorted({touch[0] for touch in touches}))}
    found: dict[Key, float] = {}
    for currency in CURRENCIES:
        paths = {}
        for level in ("touch", "group"):
            paths[level] = [
                Walk(
                    "".join(
                        letters[group or UNATTRIBUTED, campaign] if level == "touch" else of_group[group or UNATTRIBUTED]
                        for _, group, campaign in one.touches
                    ),
                    int(one.status == "won" and one.currency == currency),
                    sum(one.amounts) if one.status == "won" and one.currency == currency else 0,
                )
                for one in closed
            ]  # fmt: skip
        if not any(path.won for path in paths["touch"]):
            continue
        fine, coarse = effects_by_hand(paths["touch"]), effects_by_hand(paths["group"])
        by_touch = dict(zip(sorted(letters.values()), fine, strict=True))
        by_group = dict(zip(sorted(of_group.values()), coarse, strict=True))
        for touch, letter in letters.items():
            members = [by_touch[letters[other]] for other in touches if other[0] == touch[0]]
            share = []
            for kind in (0, 1):
                whole = sum(effect[kind] for effect in coarse)
                inside = sum(effect[kind] for effect in members)
                part = by_touch[letter][kind] / inside if inside else 0.0
                share.append(by_group[of_group[touch[0]]][kind] / whole * part if whole else 0.0)
            found[currency, *touch] = (share[0], share[1])
    return found


def few(touches: Any) -> Any:
    """At most seven, of few kinds: fractions grow with every state."""
    return tuple((at, group, campaign and "spring") for at, group, campaign in touches[:7])


def test_markov_equals_brute_force(client: Client) -> None:
    """What `journey attribute` writes are the shares of the chain solved in fractions, and the view puts days and amounts to them."""
    final = [one._replace(amounts=tuple(map(abs, one.amounts)), touches=few(one.touches)) for one in visits(5, 150)]
    insert(client, [rows_of(visit, 1) for visit in final])
    refresh(client)
    assert {key[4] for key in stored(client, "model = 'markov'")} == {UNATTRIBUTED}, "before anything is worked out"
    attribute(client)
    days = by_rules(final)
    markov = stored(client, "model = 'markov'")
    for funnel in ("one", "two", "three"):
        shares = markov_shares(final, funnel)
        wanted: defaultdict[Key, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
        for visit in final:
            if visit.status == "won" and FUNNELS[visit.funnel]["name"] == funnel:
                day = visit.closed_at.astimezone(ZoneInfo(FUNNELS[visit.funnel]["timezone"])).date()
                value = Fraction(sum(visit.amounts), 100)
                parts = (
                    {touch[1:]: share for touch, share in shares.items() if touch[0] == visit.currency}
                    if visit.touches
                    else {(UNATTRIBUTED, ""): (1, 1)}
                )
                for touch, share in parts.items():
                    if any(share):
                        cell = wanted[funnel, "markov", day, visit.currency, *touch]
                        cell[0] += Fraction(share[0])
                        cell[1] += Fraction(share[1]) * value
        assert_same({key: cell for key, cell in markov.items() if key[0] == funnel}, wanted)
    totals: defaultdict[Key, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for (funnel, _, day, currency, _, _), cell in markov.items():
        totals[funnel, day, currency] = [a + b for a, b in zip(totals[funnel, day, currency], cell, strict=True)]
    linear: defaultdict[Key, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for (funnel, model, day, currency, _, _), credit in days.items():
        if model == "linear":
            linear[funnel, day, currency] = [a + b for a, b in zip(linear[funnel, day, currency], credit, strict=True)]
    assert_same(totals, linear)


def test_readers_see_one_run(client: Client) -> None:
    """A run replaces all of the one before, also what it finds no more; and one that finds nothing counts."""
    final = [one._replace(funnel=0, status="won") for one in visits(6, 30)]
    insert(client, [rows_of(visit, 1) for visit in final])
    refresh(client)
    first = attribute(client)
    insert(client, [rows_of(visit, 2, deleted=True) for visit in final[3:]])
    refresh(client)
    second = attribute(client)
    assert second.number > first.number
    assert {share[:4] for share in second.shares} < {share[:4] for share in first.shares}
    seen = {(key[3], key[4], key[5]) for key in stored(client, "model = 'markov'")}
    assert seen - {(currency, UNATTRIBUTED, "") for currency in CURRENCIES} <= {share[1:4] for share in second.shares}
    insert(client, [rows_of(visit, 3, deleted=True) for visit in final])
    refresh(client)
    assert attribute(client).shares == ()
    assert client.execute("SELECT count() FROM attribution") == [(0,)]


def test_too_many_campaigns_are_one(client: Client) -> None:
    """A hundred thousand campaigns do not become as many states: those with few touches share one state a group."""
    touch = START - timedelta(hours=1)
    final = [
        Visit(0, UUID(int=number + 1), 1, "won", START, "EUR", (100,), ((touch, "Email", f"n{number if number % 2 else 0}"),))
        for number in range(40)
    ]  # fmt: skip
    insert(client, [rows_of(visit, 1) for visit in final])
    refresh(client)
    shares = {share.campaign: share.conversions for share in attribute(client, most_states=1).shares}
    assert shares == pytest.approx({"n0": 0.5, OTHER: 0.5, "": 0.0})
