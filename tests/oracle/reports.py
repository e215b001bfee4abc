"""The reporting views by brute force: each function gives the rows that a view must have, as its columns stand (docs/tables.md)."""

from __future__ import annotations

import datetime as dt
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.oracle.clauses import FunnelFile
from tests.oracle.conversion import day_of
from tests.oracle.visits import DAY, Visit, first_of_month, monday, months_between, months_later

Rows = list[tuple[Any, ...]]
COHORT_DAYS = (*range(15), 21, 28, 30, 45, 60, 75, 90, 120, 150, 180, 270, 365)


def conversion_by_group(visits: list[Visit], segments: Mapping[str, str]) -> Rows:
    """Give its rows, sorted."""
    groups: dict[tuple[Any, ...], list[tuple[Visit, int | None]]] = defaultdict(list)
    for visit in visits:
        for stage in visit.stages:
            entry = visit.first_entry(stage)
            if entry is None:
                continue
            further = visit.moved_on(entry)
            key = (
                *(visit.name, stage, visit.day(entry), entry.first_channel, visit.group, entry.first_campaign),
                *(segments.get(visit.account, ""), visit.currency),
            )
            groups[key].append((visit, further.entered_at - entry.entered_at if further else None))
    rows = []
    for key, members in groups.items():
        outcomes = Counter(visit.outcome for visit, _ in members)
        times = [after for _, after in members if after is not None]
        rows.append(
            (
                *(*key, len(members), len(times)),
                *(outcomes["won"], outcomes["lost"], outcomes["expired"], outcomes["waiting"]),
                *(round(sum(times) / 1_000_000, 6), sum((visit.revenue for visit, _ in members), Decimal(0))),
            )
        )
    return sorted(rows)


def stage_velocity_weekly(visits: list[Visit], now: int) -> Rows:
    """Give its rows, sorted, quantiles rounded to the microsecond."""
    times: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    waiting: Counter[tuple[Any, ...]] = Counter()
    zones = {visit.name: visit.funnel.get("timezone", "UTC") for visit in visits}
    for visit in visits:
        for position, stage in enumerate(visit.stages, 1):
            entry = visit.first_entry(stage)
            if entry is None:
                continue
            key = (visit.name, position, stage, monday(visit.day(entry)))
            further = visit.moved_on(entry)
            if further is not None:
                times[key].append((further.entered_at - entry.entered_at) / 1_000_000)
            elif visit.outcome == "waiting":
                waiting[key] += 1
    rows = []
    for key, found in times.items():
        cuts = statistics.quantiles(found, n=20, method="inclusive") if len(found) > 1 else found * 19
        over = day_of(now, zones[key[0]]) >= key[3] + dt.timedelta(days=7)
        quantiles = [round(one, 6) for one in (statistics.median(found), cuts[14], cuts[17])]
        rows.append((*key, len(found), *quantiles, waiting[key], over and not waiting[key]))
    return sorted(rows)


def cohorts(visits: list[Visit], now: int) -> Rows:
    """Give its rows, sorted."""
    weeks: dict[tuple[FunnelName, dt.date], list[Visit]] = defaultdict(list)
    for visit in visits:
        weeks[visit.name, monday(visit.day(visit.rows[0]))].append(visit)
    rows: Rows = []
    for (name, week), members in weeks.items():
        opened = [visit.rows[0].entered_at for visit in members]
        for position, stage in enumerate(members[0].stages, 1):
            took = []
            for visit in members:
                row = visit.reached(stage)
                if row is not None:
                    took.append(row.entered_at - visit.rows[0].entered_at)
            for day in COHORT_DAYS:
                if min(opened) + day * DAY > now:
                    continue
                mature = max(opened) + day * DAY <= now
                reached = sum(after <= day * DAY for after in took)
                share = reached / len(members) if mature else None
                rows.append((name, week, len(members), position, stage, day, reached, share, mature))
    return sorted(rows)


FunnelName = str


def campaigns(
    visits: list[Visit], spend: Mapping[tuple[str, str], Decimal], funnels: Sequence[FunnelFile]
) -> list[tuple[Any, ...]]:
    """Give its rows by funnel, campaign and currency; `spend` is by campaign and currency."""
    rows = []
    for funnel in funnels:
        own = [visit for visit in visits if visit.name == funnel["name"]]
        names = {visit.rows[0].first_campaign for visit in own} | {campaign for campaign, _ in spend}
        for campaign in names:
            members = [visit for visit in own if visit.rows[0].first_campaign == campaign]
            outcomes = Counter(visit.outcome for visit in members)
            second = funnel["stage"][1]["name"] if len(funnel["stage"]) > 1 else None
            leads = sum(second is not None and visit.reached(second) is not None for visit in members)
            earned: dict[str, Decimal] = defaultdict(Decimal)
            for visit in members:
                earned[visit.currency] += visit.revenue if visit.outcome == "won" else 0
            currencies = {one for one, amount in earned.items() if amount} | {c for of, c in spend if of == campaign}
            for currency in currencies or {""}:
                cost, won = spend.get((campaign, currency)), outcomes["won"]
                revenue = earned.get(currency, Decimal(0))
                rows.append(
                    (
                        *(funnel["name"], campaign, currency, len(members), leads),
                        *(won, outcomes["lost"], outcomes["waiting"], revenue, cost),
                        float(cost) / leads if cost is not None and leads else None,
                        float(cost) / won if cost is not None and won else None,
                        float(revenue) / float(cost) if cost else None,
                    )
                )
    return sorted(rows, key=lambda row: row[:3])


def lost_reasons(visits: list[Visit]) -> Rows:
    """Give its rows, sorted."""
    lost = [visit for visit in visits if visit.outcome == "lost"]
    counted = Counter(
        (visit.name, row.from_stage, row.reason, visit.group, row.first_campaign)
        for visit in lost
        for row in visit.rows[-1:]
    )
    of_funnel = Counter(visit.name for visit in lost)
    return sorted((*key, number, number / of_funnel[key[0]]) for key, number in counted.items())


def flow(visits: list[Visit]) -> Rows:
    """Give its rows, sorted."""
    moves: Counter[tuple[Any, ...]] = Counter()
    by: dict[tuple[Any, ...], set[Any]] = defaultdict(set)
    for visit in visits:
        for row in visit.rows:
            key = (row.funnel, row.from_stage, row.to_stage, row.kind)
            moves[key] += 1
            by[key].add((visit.prospect, row.visit))
    return sorted((*key, len(by[key]), number) for key, number in moves.items())


def retention(visits: list[Visit], now: int) -> Rows:
    """Give its rows, sorted."""
    paid: dict[tuple[str, Any], list[tuple[dt.date, str, Decimal]]] = defaultdict(list)
    zones = {visit.name: visit.funnel.get("timezone", "UTC") for visit in visits}
    for visit in visits:
        for row in visit.payments:
            paid[visit.name, visit.prospect].append((first_of_month(visit.day(row)), visit.currency, row.amount))
    cohort: dict[tuple[str, dt.date], list[list[tuple[dt.date, str, Decimal]]]] = defaultdict(list)
    for (name, _), payments in paid.items():
        cohort[name, min(month for month, _, _ in payments)].append(payments)
    rows: Rows = []
    for (name, month), customers in cohort.items():
        current = first_of_month(day_of(now, zones[name]))
        for after in range(months_between(month, current) + 1):
            then = months_later(month, after)
            repeated = 0
            revenue: dict[str, Decimal] = defaultdict(Decimal)
            for payments in customers:
                in_month = [one for one in payments if one[0] == then]
                repeated += len(in_month) > (1 if after == 0 else 0)
                for _, currency, amount in in_month:
                    revenue[currency] += amount
            mature = then < current
            share = repeated / len(customers) if mature else None
            money = {currency: amount for currency, amount in revenue.items() if amount}
            rows.append((name, month, len(customers), after, repeated, share, mature, money))
    return sorted(rows, key=lambda row: row[:4])
