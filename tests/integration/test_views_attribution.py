"""Attribution in ClickHouse against brute force in fractions over the same visits: every model, after corrections, in two orders."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from clickhouse_driver import Client

from funnel.definition import parse_funnel
from reports.attribution import OTHER, UNATTRIBUTED, attribute
from reports.half_life import set_half_life
from sinks.funnels import write_funnels
from sinks.migrations import migrate
from sinks.refresh import refresh
from tests.clickhouse import ClickHouse
from tests.generators.funnels import funnel_toml
from tests.property.test_attribution_markov import Path, effects_by_hand
from tests.sinking import funnel_file

FUNNELS = (
    funnel_file("one", "UTC", 1),
    funnel_file("two", "Europe/Berlin", 3),
    # In version 2 the last stage is another one.
    funnel_file("three", "America/New_York", 4),
    funnel_file("three", "Asia/Kathmandu", 3, version=2),
)
START = datetime(2025, 3, 28, tzinfo=UTC)
GROUPS = ("Direct", "Paid Search", "Email", "Sales Call", "")
CAMPAIGNS = ("", "spring", "Übergröße 'quoted'", "<script>")
CURRENCIES = ("EUR", "USD", "")
WEEK = timedelta(days=7)


class Visit(NamedTuple):
    """A visit as it is in the end. Amounts are cents; touches are (when, channel group, campaign)."""

    funnel: int
    prospect: UUID
    number: int
    status: str
    closed_at: datetime
    currency: str
    amounts: tuple[int, ...]
    touches: tuple[tuple[datetime, str, str], ...] | None
    """None: nothing is known of its path."""


def visits(seed: int, count: int) -> list[Visit]:
    """Visits of all kinds: some are won, some without touches or path; some amounts are large, 0 or below."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        closed = START + timedelta(microseconds=chance.randrange(10 * 86_400_000_000))
        # Touches may come at one moment, and long before the end.
        times = sorted(
            closed - chance.choice((1, 60, 1000)) * timedelta(hours=chance.random())
            for _ in range(chance.choice((0, 1, 1, 2, 3, 4, 7, 100)))
        )
        touches = tuple((at, chance.choice(GROUPS), chance.choice(CAMPAIGNS)) for at in times)
        amounts = tuple(chance.choice((0, 1, 1999, 10**9, -250)) for _ in range(chance.choice((1, 1, 1, 3))))
        made.append(
            Visit(
                chance.randrange(len(FUNNELS)), UUID(int=number // 3 + 1), number % 3 + 1, chance.choice(("won", "won", "lost", "expired", "open")),
                closed, chance.choice(CURRENCIES), amounts, touches if chance.random() < 0.9 else None,
            )
        )  # fmt: skip
    return made


def rows_of(visit: Visit, revision: int, *, deleted: bool = False) -> dict[str, list[dict[str, Any]]]:
    """What the sink would insert of it."""
    funnel = FUNNELS[visit.funnel]
    stages = [stage["name"] for stage in funnel["stage"]]
    key = {"funnel": funnel["name"], "prospect_id": visit.prospect, "visit": visit.number, "revision": revision}
    key["is_deleted"] = int(deleted)
    # The currency of rows that do not win it counts for nothing.
    first = {"kind": "enter", "to_stage": stages[0], "amount": 7, "currency": "XXX", "entered_at": START}
    moves = [first] if len(stages) > 1 else []
    if visit.status == "won":
        for number, amount in enumerate(visit.amounts):
            money = {
                "amount": Decimal(amount) / 100,
                "currency": "XXX" if number else visit.currency,
                "to_stage": stages[-1],
            }
            moves.append(
                {
                    "kind": "repeat" if number else "skip",
                    "entered_at": visit.closed_at + timedelta(days=40) * number,
                    **money,
                }
            )
    elif visit.status != "open":
        moves.append(first | {"kind": visit.status, "to_stage": visit.status, "entered_at": visit.closed_at})
    found = {
        "stage_transitions": [
            key | {"funnel_version": funnel["version"], "step": step} | move for step, move in enumerate(moves)
        ]
    }
    if visit.touches is not None and visit.status != "open":
        times, groups, names = ([touch[place] for touch in visit.touches] for place in range(3))
        path = {"status": visit.status, "opened_at": START, "closed_at": visit.closed_at, "left_out": 0}
        path |= {"touched_at": times, "channel_groups": groups, "campaigns": names}
        found["visit_paths"] = [key | path]
    return found


def corrected(before: Iterable[Visit], after: Iterable[Visit]) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """What is told of visits, and what is told instead later: rows that are no more are taken back."""
    key = ("funnel", "prospect_id", "visit", "step")
    later = [rows_of(visit, 9) for visit in after]
    kept = {(table, *map(row.get, key)) for tables in later for table, rows in tables.items() for row in rows}
    yield from later
    for visit in before:
        yield (earlier := rows_of(visit, 1))
        gone = {
            table: [row for row in rows if (table, *map(row.get, key)) not in kept] for table, rows in earlier.items()
        }
        yield {table: [row | {"revision": 9, "is_deleted": 1} for row in rows] for table, rows in gone.items()}


def insert(client: Client, told: Iterable[Mapping[str, Sequence[Mapping[str, Any]]]]) -> None:
    """Insert in a few batches, in this order."""
    batches: defaultdict[tuple[int, str], list[Mapping[str, Any]]] = defaultdict(list)
    for number, tables in enumerate(told):
        for table, rows in tables.items():
            batches[number // 400, table] += rows
    for (_, table), rows in batches.items():
        if rows:
            columns = ", ".join(rows[0])
            client.execute(f"INSERT INTO {table} ({columns}) VALUES", [[row[name] for name in rows[0]] for row in rows])


def weights(model: str, visit: Visit, half_life: timedelta) -> list[Fraction]:
    """What each touch gets, of 1, as docs/attribution.md says."""
    touches = visit.touches or ()
    count = len(touches)
    if model == "first":
        found = [Fraction(place == 0) for place in range(count)]
    elif model == "last":
        found = [Fraction(place == count - 1) for place in range(count)]
    elif model == "last_non_direct":
        others = [place for place, touch in enumerate(touches) if touch[1] != "Direct"] or [count - 1]
        found = [Fraction(place == others[-1]) for place in range(count)]
    elif model == "linear":
        found = [Fraction(1, count)] * count
    elif model == "time_decay":
        faded = [Fraction(2 ** ((touch[0] - touches[-1][0]) / half_life)) for touch in touches]
        found = [one / sum(faded) for one in faded]
    elif count <= 2:
        found = [Fraction(1, count)] * count
    else:
        found = [Fraction(2, 5), *[Fraction(1, 5 * (count - 2))] * (count - 2), Fraction(2, 5)]
    return found


Key = tuple[Any, ...]


def by_rules(made: Iterable[Visit], half_life: timedelta = WEEK) -> dict[Key, list[Fraction]]:
    """Credits by funnel, model, day, currency, channel group and campaign."""
    found: defaultdict[Key, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for visit in made:
        if visit.status != "won":
            continue
        funnel = FUNNELS[visit.funnel]
        day = visit.closed_at.astimezone(ZoneInfo(funnel["timezone"])).date()
        value = Fraction(sum(visit.amounts), 100)
        for model in ("first", "last", "last_non_direct", "linear", "time_decay", "position_based"):
            shared = (
                zip(visit.touches, weights(model, visit, half_life), strict=True)
                if visit.touches
                else [(("", "", ""), Fraction(1))]
            )
            for (_, group, campaign), weight in shared:
                if weight:
                    cell = found[funnel["name"], model, day, visit.currency, group or UNATTRIBUTED, campaign]
                    cell[0] += weight
                    cell[1] += weight * value
    return dict(found)


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
        for key in [key for key, cell in cells.items() if max(map(abs, cell)) < 1e-9]:
            del cells[key]
    assert seen.keys() == right.keys()
    for key, cell in right.items():
        assert seen[key] == pytest.approx(cell, abs=1e-9, rel=1e-12), key


@pytest.fixture
def client(clickhouse: ClickHouse) -> Any:
    """A client of a migrated database, with these funnels."""
    with prepared(clickhouse) as made:
        yield made


def prepared(clickhouse: ClickHouse) -> Client:
    """Migrate; and let no refresh come but those that are asked for."""
    migrate(
        lambda name: Client(clickhouse.server.host, port=clickhouse.server.native_port, database=name),
        clickhouse.database,
    )
    made = clickhouse.client()
    write_funnels(made, [parse_funnel(funnel_toml(funnel), "test") for funnel in FUNNELS])
    return made


def test_models_equal_brute_force_in_two_orders(client: Client) -> None:
    """Corrected visits, told in one order and again in another, are credited as they are in the end, to the last digit alike."""
    final, chance = visits(1, 600), random.Random(2)
    told = list(corrected(visits(3, 700), final))
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
    client.execute("OPTIMIZE TABLE visit_paths FINAL")
    refresh(client)
    assert stored(client) == first


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
    touches = sorted({(group or UNATTRIBUTED, campaign) for one in closed for _, group, campaign in one.touches or ()})
    letters = {touch: chr(0x4E00 + number) for number, touch in enumerate(touches)}
    of_group = {group: chr(0x3400 + number) for number, group in enumerate(sorted({touch[0] for touch in touches}))}
    found: dict[Key, float] = {}
    for currency in CURRENCIES:
        paths = {}
        for level in ("touch", "group"):
            paths[level] = [
                Path(
                    "".join(
                        letters[group or UNATTRIBUTED, campaign] if level == "touch" else of_group[group or UNATTRIBUTED]
                        for _, group, campaign in one.touches or ()
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
    return touches and tuple((at, group, campaign and "spring") for at, group, campaign in touches[:7])


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
    assert shares == pytest.approx({"n0": 0.5, OTHER: 0.5})
