"""The reports where generated data seldom leads: moves back, equal times, weeks that are not over, funnels that changed. Counted by hand."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_driver import Client

from journey.local_clickhouse import EmbeddedClickHouse
from sinks.given import SPEND, TARGETS, give
from tests.clickhouse import fresh_database
from tests.reporting import prepare, put, up_to_now

DAY = dt.timedelta(days=1)


def monday(now: dt.datetime) -> dt.datetime:
    """When this week began. Funnels here are in UTC."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - now.weekday() * DAY


def funnel(name: str, stages: tuple[str, ...], version: int = 1, policy: str = "furthest") -> str:
    """A funnel file; nothing here is derived by its clauses."""
    entered = "".join(f'[[stage]]\nname = "{stage}"\nenter = [ {{ type = "{stage}" }} ]\n' for stage in stages)
    return f'name = "{name}"\nversion = {version}\n{entered}[accounts]\npolicy = "{policy}"\n'


def visit(
    client: Client, name: str, moves: list[tuple[str, str, dt.datetime]], *, version: int = 1, **fields: Any
) -> uuid.UUID:
    """Put a visit of somebody new there: kind, stage and time of each of its rows."""
    prospect = uuid.uuid4()
    before = ["", *(stage for _, stage, _ in moves)]
    common = {"funnel": name, "funnel_version": version, "prospect_id": prospect, "visit": 1, "revision": 1, **fields}
    put(
        client,
        "stage_transitions",
        [
            {**common, "step": step, "kind": kind, "from_stage": before[step], "to_stage": stage, "entered_at": at}
            for step, (kind, stage, at) in enumerate(moves)
        ],
    )
    return prospect


@pytest.fixture(scope="module")
def now() -> dt.datetime:
    """The wall clock when the database was made."""
    return dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def client(clickhouse_server: EmbeddedClickHouse, now: dt.datetime) -> Iterator[Client]:
    """A database with all that these tests look at, each in a funnel of its own."""
    with fresh_database(clickhouse_server) as made:
        client = prepare(
            made,
            [
                *(funnel(name, ("one", "two", "three")) for name in ("back", "same", "weeks", "money")),
                funnel("grown", ("one", "three")),
                funnel("votes", ("one", "two", "three"), policy="majority"),
            ],
        )
        prepare(made, [funnel("grown", ("one", "two", "three"), version=2)]).disconnect()
        put_visits(client, monday(now))
        up_to_now(client)
        yield client
        client.disconnect()


def put_visits(client: Client, this_week: dt.datetime) -> None:
    """Put everything there."""
    then = this_week - 70 * DAY
    visit(client, "back", [("enter", "two", then), ("back", "one", then + DAY), ("advance", "two", then + 3 * DAY)])
    visit(client, "same", [("enter", "one", then), ("advance", "two", then)])
    visit(client, "same", [("enter", "one", then), ("advance", "two", then + DAY)])
    visit(client, "same", [("enter", "one", then), ("advance", "two", then + DAY + dt.timedelta(microseconds=1))])
    for week in (this_week, this_week - 7 * DAY, this_week - 14 * DAY):
        visit(client, "weeks", [("enter", "one", week), ("advance", "two", week)])
    visit(client, "weeks", [("enter", "one", this_week - 14 * DAY)])
    visit(client, "grown", [("enter", "one", then), ("advance", "three", then + DAY)])
    visit(client, "grown", [("enter", "one", then), ("skip", "three", then + 2 * DAY)], version=2)
    visit(client, "grown", [("enter", "one", then), ("advance", "two", then + 2 * DAY)], version=2)
    won = [("enter", "one", then), ("skip", "three", then + DAY)]
    visit(client, "money", won, first_campaign="c", amount=Decimal(7), currency="EUR", account_id="left")
    visit(client, "money", [("enter", "one", then)], first_campaign="c")
    visit(client, "money", [("enter", "one", then)], first_campaign="free")
    day = then.date()
    give(
        client,
        SPEND,
        {
            (day, "", "c", "USD"): (Decimal(3),),
            (day, "", "c", "EUR"): (Decimal(14),),
            (day, "", "d", "EUR"): (Decimal(0),),
        },
    )
    standings = [("open", "two"), ("open", "two"), ("won", ""), ("lost", ""), ("lost", "")]
    for name in ("votes", "back"):
        put(
            client,
            "prospects",
            [
                {"funnel": name, "prospect_id": uuid.uuid4(), "stage": stage, "status": status, "account_id": "acme", "revision": 1}
                for status, stage in standings
            ],
        )  # fmt: skip
    give(
        client,
        TARGETS,
        {("t",): ("money", "won", "", "", "monthly", None, day.replace(day=1), None, 4.0)},
    )


def test_a_move_back_is_no_entry_from_before(client: Client) -> None:
    """Whoever comes back to an earlier stage moves on from it later, not before; the stage that was entered again counts once."""
    rows = client.execute(
        "SELECT stage, entered, moved_on, waiting, seconds_to_move_on FROM conversion_by_group WHERE funnel = 'back' ORDER BY stage"
    )
    assert rows == [("one", 1, 1, 1, 2 * 86_400.0), ("two", 1, 0, 1, 0.0)]
    flows = client.execute(
        "SELECT from_stage, to_stage, kind, visits, moves FROM flow WHERE funnel = 'back' ORDER BY ALL"
    )
    assert flows == [("", "two", "enter", 1, 1), ("one", "two", "advance", 1, 1), ("two", "one", "back", 1, 1)]


def test_a_day_is_over_to_the_microsecond(client: Client) -> None:
    """By day 1 is within 24 hours, at most; by day 0 is at once."""
    rows = client.execute(
        "SELECT day, reached, share, is_mature FROM cohorts WHERE funnel = 'same' AND stage = 'two' AND day < 3 ORDER BY day"
    )
    assert rows == [(0, 1, 1 / 3, True), (1, 2, 2 / 3, True), (2, 3, 1.0, True)]


def test_a_week_that_runs_or_waits_is_not_mature(client: Client, now: dt.datetime) -> None:
    """This week's velocity is not known before it is over, and one of before not as long as somebody may still move on."""
    rows = client.execute(
        "SELECT week, moved_on, waiting, is_mature FROM stage_velocity_weekly WHERE funnel = 'weeks' ORDER BY week"
    )
    weeks = [(monday(now) - days * DAY).date() for days in (14, 7, 0)]
    assert rows == [(weeks[0], 1, 1, False), (weeks[1], 1, 0, True), (weeks[2], 1, 0, False)]


def test_the_young_part_of_a_cohort_is_marked(client: Client, now: dt.datetime) -> None:
    """Shares are known up to the age of the youngest visit, and days that none has seen are left out."""
    rows = client.execute(
        "SELECT max(day), maxIf(day, is_mature), countIf(is_mature != isNotNull(share)) FROM cohorts WHERE funnel = 'weeks' AND week = %(week)s",
        {"week": monday(now).date()},
    )
    assert rows == [(now.weekday(), now.weekday(), 0)]


def test_places_are_those_of_the_newest_version(client: Client) -> None:
    """A visit of an old version that came to the last stage has passed the one that is new between."""
    rows = client.execute(
        "SELECT position, stage, maxIf(reached, day = 1), maxIf(reached, day = 2) FROM cohorts WHERE funnel = 'grown' GROUP BY ALL ORDER BY ALL"
    )
    assert rows == [(1, "one", 3, 3), (2, "two", 1, 3), (3, "three", 1, 2)]


def test_campaigns_with_and_without_money(client: Client) -> None:
    """Counts are the campaign's on each row; what was spent in vain is shown, and costs nothing per lead that there is none of."""
    rows = client.execute(
        "SELECT campaign, currency, reach, leads, won, waiting, revenue, spend, cost_per_lead, cac, roas FROM campaigns "
        "WHERE funnel = 'money' ORDER BY campaign, currency"
    )
    assert rows == [
        ("c", "EUR", 2, 1, 1, 1, Decimal(7), Decimal(14), 14.0, 14.0, 0.5),
        ("c", "USD", 2, 1, 1, 1, Decimal(0), Decimal(3), 3.0, 3.0, 0.0),
        ("d", "EUR", 0, 0, 0, 0, Decimal(0), Decimal(0), None, None, None),
        ("free", "", 1, 0, 0, 1, Decimal(0), None, None, None, None),
    ]


def test_accounts_by_policy(client: Client) -> None:
    """The furthest is won; most stand in `two`, which is further than lost, of whom there are as many."""
    rows = client.execute(
        "SELECT funnel, policy, stage, position, status, buying_group, open, won, lost FROM accounts WHERE account_id = 'acme' ORDER BY funnel"
    )
    assert rows == [
        ("back", "furthest", "three", 3, "won", 5, 2, 1, 2),
        ("votes", "majority", "two", 2, "open", 5, 2, 1, 2),
    ]


def test_an_account_that_nobody_is_of_any_more(client: Client) -> None:
    """What it paid stays with it."""
    rows = client.execute(
        "SELECT stage, position, status, policy, buying_group, revenue, last_activity_at FROM accounts WHERE account_id = 'left'"
    )
    assert rows == [("", 0, "", "furthest", 0, {"EUR": Decimal(7)}, None)]


def test_a_target_of_months_that_are_over(client: Client, now: dt.datetime) -> None:
    """A month that is over is measured whole; the one that runs by the days that have begun, today included."""
    won_on = (monday(now) - 69 * DAY).date()
    rows = client.execute(
        "SELECT starts, ends, actual, attainment, expected_by_now, pace FROM target_attainment WHERE name = 't' ORDER BY starts"
    )
    assert [row[0].day for row in rows] == [1] * len(rows)
    for starts, ends, actual, attainment, expected, pace in rows:
        won = float(starts <= won_on <= ends)
        begun = min((now.date() - starts).days + 1, (ends - starts).days + 1)
        assert (actual, attainment) == (won, won / 4)
        assert expected == pytest.approx(4 * begun / ((ends - starts).days + 1))
        assert pace == pytest.approx(won / expected)
    assert sum(row[2] for row in rows) == 1
