"""Every report equals what counting by hand gives, from the events on: late ones, copies that differ, duplicates, people who turn out to be one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_driver import Client

from sinks.given import SEGMENTS, SPEND, TARGETS, give
from tests.clickhouse import ClickHouse, fresh_database
from tests.oracle import reports
from tests.oracle.reports_goals import Target, accounts, target_attainment
from tests.reporting import FILES, Population, days_ago, insert, messages_of, population, prepare, read, up_to_now

SEEDS = (11, 12)
Row = tuple[Any, ...]


class Given:
    """What people give, for a population."""

    def __init__(self, people: Population) -> None:
        self.people = people
        self.segments = {
            account: ("enterprise", "small")[number % 2] for number, account in enumerate(people.accounts) if number % 3
        }
        today = days_ago(people.now, 0)
        self.spend: dict[Row, Row] = {
            (today - dt.timedelta(days=days), group, campaign, currency): (Decimal(cents).scaleb(-2),)
            for days, group, campaign, currency, cents in (
                (60, "Paid Search", "spring-launch", "EUR", 1_234_56),
                (30, "Paid Search", "spring-launch", "EUR", 10_01),
                (30, "Display", "spring-launch", "EUR", 99),
                (30, "Display", "spring-launch", "GBP", 5_00),
                (2, "Display", "retargeting", "USD", 777_00),
                (2, "Display", "nobody came", "EUR", 50_00),
                (2, "", "", "EUR", 0),
            )
        }  # fmt: skip
        self.targets = [
            Target("won a month", "sales", "won", "", "", "monthly", None, reports.first_of_month(days_ago(people.now, 80)), None, 12.0),
            Target("euros", "three-step", "revenue", "", "EUR", "quarterly", None, _quarter(days_ago(people.now, 100)), None, 900.0),
            Target("dollars of a campaign", "three-step", "revenue", "", "USD", "campaign", "retargeting", days_ago(people.now, 60), days_ago(people.now, -30), 400.0),
            Target("interest", "sales", "entered", "interest", "", "campaign", "brand", days_ago(people.now, 200), days_ago(people.now, 10), 5.0),
            Target("rate", "b2b", "conversion_rate", "", "", "monthly", None, reports.first_of_month(days_ago(people.now, 80)), None, 0.25),
            Target("rate from mql", "b2b", "conversion_rate", "mql", "", "monthly", "brand", reports.first_of_month(days_ago(people.now, 80)), _end_of_month(days_ago(people.now, 40)), 0.5),
            Target("to come", "b2b", "won", "", "", "quarterly", None, dt.date(2098, 1, 1), None, 3.0),
            Target("rate to come", "b2b", "conversion_rate", "", "", "quarterly", None, dt.date(2098, 1, 1), None, 0.5),
            Target("next campaign", "b2b", "won", "", "", "campaign", "summer", days_ago(people.now, -10), days_ago(people.now, -40), 3.0),
        ]  # fmt: skip

    def to(self, client: Client) -> None:
        """Load it."""
        give(client, SPEND, self.spend)
        give(client, SEGMENTS, {(account,): (segment,) for account, segment in self.segments.items()})
        give(client, TARGETS, {target[:1]: target[1:] for target in self.targets})

    @property
    def spend_by_campaign(self) -> Mapping[tuple[str, str], Decimal]:
        """Give what was spent by campaign and currency."""
        total: dict[tuple[str, str], Decimal] = {}
        for (_, _, campaign, currency), (amount,) in self.spend.items():
            total[campaign, currency] = total.get((campaign, currency), Decimal(0)) + amount
        return total

    def expected(self) -> dict[str, Callable[[int], list[Row]]]:
        """Give the rows that each view must have, at a time."""
        visits, prospects = self.people.visits, self.people.truth.prospects
        return {
            "conversion_by_group": lambda _: reports.conversion_by_group(visits, self.segments),
            "stage_velocity_weekly": lambda now: reports.stage_velocity_weekly(visits, now),
            "cohorts": lambda now: reports.cohorts(visits, now),
            "campaigns": lambda _: reports.campaigns(visits, self.spend_by_campaign, FILES),
            "lost_reasons": lambda _: reports.lost_reasons(visits),
            "flow": lambda _: reports.flow(visits),
            "retention": lambda now: reports.retention(visits, now),
            "accounts": lambda _: accounts(visits, prospects, FILES, self.segments),
            "target_attainment": lambda now: target_attainment(visits, self.targets, FILES, now),
        }


KEYS = {"cohorts": 6, "campaigns": 3, "retention": 4, "accounts": 2, "target_attainment": 1}
"""By how many columns rows are told apart, where others can't be compared."""


def _quarter(day: dt.date) -> dt.date:
    return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)


def _end_of_month(day: dt.date) -> dt.date:
    return reports.months_later(day, 1) - dt.timedelta(days=1)


def differences(client: Client, given: Given) -> list[str]:
    """Give what the views say otherwise than counting by hand does."""
    wrong = []
    for view, rows_at in given.expected().items():
        found, now = read(client, view, order=KEYS.get(view))
        wanted = sorted(rows_at(now), key=lambda row: row[: KEYS.get(view)])
        assert wanted, f"{view}: a test that expects nothing is none"
        if len(found) != len(wanted) or not all(map(_same, found, wanted)):
            first = next(((a, b) for a, b in zip(found, wanted, strict=False) if not _same(a, b)), None)
            wrong.append(f"{view}: {len(found)} rows, expected {len(wanted)}; the first that differ: {first}")
    return wrong


def _same(found: Row, wanted: Row) -> bool:
    return len(found) == len(wanted) and all(
        a == b or (isinstance(a, float) and isinstance(b, float) and a == pytest.approx(b, rel=1e-9, abs=2e-6))
        for a, b in zip(found, wanted, strict=True)
    )


def test_every_report_equals_counting_by_hand(clickhouse: ClickHouse) -> None:
    """Of a few hundred prospects; and again after everything was told once more, in another order."""
    people = population(SEEDS[0], people=150, events=1_500)
    given = Given(people)
    messages = messages_of(people, SEEDS[0])
    assert any(facts.removed for _, facts in messages), "the test must see rows that are taken back"
    assert {visit.outcome for visit in people.visits} == {"won", "lost", "expired", "waiting"}
    assert any(len(visit.payments) > 1 for visit in people.visits), "the test must see repeats"
    client = prepare(clickhouse)
    given.to(client)
    for seed in SEEDS:
        insert(client, messages, seed)
        up_to_now(client)
        assert differences(client, given) == []


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_every_report_of_ten_thousand_prospects(clickhouse: ClickHouse) -> None:
    """The same at size, and the events themselves arrive in two orders, each into a database of its own."""
    people = population(SEEDS[1], people=5_000, events=50_000)
    assert len({visit.prospect for visit in people.visits}) >= 10_000
    given = Given(people)
    for seed in SEEDS:
        with fresh_database(clickhouse.server) as made:
            client = prepare(made)
            given.to(client)
            insert(client, messages_of(people, seed), seed)
            up_to_now(client)
            assert differences(client, given) == []
            client.disconnect()
