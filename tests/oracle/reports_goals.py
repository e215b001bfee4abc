"""Accounts and targets by brute force, as `tests.oracle.reports` does the other views."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tests.oracle.clauses import FunnelFile
from tests.oracle.conversion import day_of
from tests.oracle.rows import ProspectRow
from tests.oracle.visits import Visit, months_later


def accounts(
    visits: list[Visit], prospects: Iterable[ProspectRow], funnels: Sequence[FunnelFile], segments: Mapping[str, str]
) -> list[tuple[Any, ...]]:
    """Give the rows of `accounts`, sorted by funnel and account."""
    people: dict[tuple[str, str], list[ProspectRow]] = defaultdict(list)
    for row in prospects:
        if row.account_id:
            people[row.funnel, row.account_id].append(row)
    revenue: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for visit in visits:
        if visit.outcome == "won" and visit.account and visit.revenue:
            revenue[visit.name, visit.account][visit.currency] += visit.revenue
    rows = []
    for funnel in funnels:
        stages = [stage["name"] for stage in funnel["stage"]]
        policy = funnel.get("accounts", {}).get("policy", "furthest")
        for name, account in sorted({*people, *revenue}):
            if name != funnel["name"]:
                continue
            members = people[name, account]
            standings = Counter(_standing(one, stages) for one in members)
            if policy == "furthest":
                best = max(standings, default=None)
            else:
                best = max(standings, key=lambda one: (standings[one], one), default=None)
            status = Counter(one.status for one in members)
            stage, position, stands = _named(best, stages)
            rows.append(
                (
                    *(name, account, segments.get(account, ""), policy, stage, position, stands),
                    *(len(members), status["open"], status["won"], status["lost"]),
                    *(dict(revenue[name, account]), max((one.last_activity_at for one in members), default=None)),
                )
            )
    return rows


def _standing(row: ProspectRow, stages: list[str]) -> tuple[int, int]:
    """How far somebody is: nobody is further than who was won; who was lost is further than who fell silent."""
    if row.status == "won":
        return 3, len(stages)
    if row.status == "open":
        return 2, stages.index(row.stage) + 1
    return (1, 0) if row.status == "lost" else (0, 0)


def _named(standing: tuple[int, int] | None, stages: list[str]) -> tuple[str, int, str]:
    if standing is None:
        return "", 0, ""
    level, position = standing
    return stages[position - 1] if position else "", position, ("expired", "lost", "open", "won")[level]


class Target(NamedTuple):
    """A target as the file has it."""

    name: str
    funnel: str
    metric: str
    stage: str
    currency: str
    period: str
    campaign: str | None
    starts: dt.date
    ends: dt.date | None
    value: float


def periods_of(target: Target, today: dt.date) -> list[tuple[dt.date, dt.date]]:
    """Give the periods that are shown: those that have begun, at least the first."""
    if target.period == "campaign":
        assert target.ends is not None
        return [(target.starts, target.ends)]
    months = {"monthly": 1, "quarterly": 3}[target.period]
    found = []
    starts = target.starts
    while not found or (starts <= today and (target.ends is None or starts <= target.ends)):
        after = months_later(starts, months)
        found.append((starts, after - dt.timedelta(days=1)))
        starts = after
    return found


def target_attainment(
    visits: list[Visit], targets: Iterable[Target], funnels: Sequence[FunnelFile], now: int
) -> list[tuple[Any, ...]]:
    """Give the rows of `target_attainment`, sorted by name and start."""
    files = {funnel["name"]: funnel for funnel in funnels}
    rows = []
    for target in targets:
        funnel = files[target.funnel]
        today = day_of(now, funnel.get("timezone", "UTC"))
        stage = target.stage
        if target.metric == "conversion_rate" and not stage:
            stage = funnel["stage"][0]["name"]
        own = [
            visit
            for visit in visits
            if visit.name == target.funnel and target.campaign in (None, visit.rows[0].first_campaign)
        ]
        for starts, ends in periods_of(target, today):
            actual = _actual(own, target, stage, starts, ends)
            begun = min(max((today - starts).days + 1, 0), (ends - starts).days + 1)
            expected = target.value * begun / ((ends - starts).days + 1)
            if target.metric == "conversion_rate":
                expected = target.value
            rows.append(
                (
                    *(target.name, target.funnel, target.metric, stage, target.currency, target.period),
                    *(target.campaign, starts, ends, target.value, actual),
                    None if actual is None else actual / target.value,
                    expected,
                    actual / expected if actual is not None and begun else None,
                )
            )
    return sorted(rows, key=lambda row: (row[0], row[7]))


def _actual(visits: list[Visit], target: Target, stage: str, starts: dt.date, ends: dt.date) -> float | None:
    if target.metric in ("entered", "conversion_rate"):
        entered = []
        for visit in visits:
            entry = visit.first_entry(stage)
            if entry is not None and starts <= visit.day(entry) <= ends:
                entered.append(visit.outcome)
        if target.metric == "entered":
            return float(len(entered))
        closed = [outcome for outcome in entered if outcome != "waiting"]
        return closed.count("won") / len(closed) if closed else None
    if target.metric == "won":
        return float(sum(v.winning is not None and starts <= v.day(v.winning) <= ends for v in visits))
    total = Decimal(0)
    for visit in visits:
        if visit.currency == target.currency and visit.winning is not None:
            total += sum((row.amount for row in visit.payments if starts <= visit.day(row) <= ends), Decimal(0))
    return float(total)
