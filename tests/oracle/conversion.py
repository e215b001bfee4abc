"""`conversion_facts` by brute force, from nothing but transition rows and the funnel files (contract, section 5)."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

from tests.oracle.clauses import FunnelFile
from tests.oracle.rows import TransitionRow


class ConversionRow(NamedTuple):
    """One row of `conversion_facts`."""

    funnel: str
    stage: str
    entry_day: dt.date
    first_channel: str
    first_campaign: str
    currency: str
    entered: int
    moved_on: int
    won: int
    lost: int
    expired: int
    waiting: int
    seconds_to_move_on: float
    revenue: Decimal


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def day_of(microseconds: int, timezone: str) -> dt.date:
    """Give the day of an instant in a timezone."""
    instant = EPOCH + dt.timedelta(microseconds=microseconds)
    return instant.astimezone(zoneinfo.ZoneInfo(timezone)).date()


def conversion_facts(transitions: list[TransitionRow], funnels: list[FunnelFile]) -> list[ConversionRow]:
    """Aggregate the visits in the rows."""
    files = {funnel["name"]: funnel for funnel in funnels}
    visits: dict[tuple[Any, ...], list[TransitionRow]] = defaultdict(list)
    for row in transitions:
        visits[row.funnel, row.prospect_id, row.visit].append(row)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for rows in visits.values():
        rows.sort(key=lambda row: row.step)
        funnel = files[rows[0].funnel]
        stages = [stage["name"] for stage in funnel["stage"]]
        winning = [row for row in rows if row.to_stage == stages[-1] and row.kind != "repeat"]
        last_kind = rows[-1].kind
        outcome = "won" if winning else last_kind if last_kind in ("lost", "expired") else "waiting"
        paid = winning + [row for row in rows if row.kind == "repeat"]
        for index, stage in enumerate(stages):
            entries = [row for row in rows if row.to_stage == stage]
            if not entries:
                continue
            first = entries[0]
            further = [row for row in rows if row.step > first.step and row.to_stage in stages[index + 1 :]]
            key = (
                funnel["name"],
                stage,
                day_of(first.entered_at, funnel.get("timezone", "UTC")),
                first.first_channel,
                first.first_campaign,
                winning[0].currency if winning else "",
            )
            groups[key].append(
                {
                    "outcome": outcome,
                    "moved_on": bool(further),
                    "microseconds": further[0].entered_at - first.entered_at if further else 0,
                    "revenue": sum((row.amount for row in paid), Decimal(0)),
                }
            )
    result = []
    for key, entered in groups.items():
        outcomes = [visit["outcome"] for visit in entered]
        result.append(
            ConversionRow(
                *key,
                entered=len(entered),
                moved_on=sum(visit["moved_on"] for visit in entered),
                won=outcomes.count("won"),
                lost=outcomes.count("lost"),
                expired=outcomes.count("expired"),
                waiting=outcomes.count("waiting"),
                seconds_to_move_on=sum(visit["microseconds"] for visit in entered) / 1_000_000,
                revenue=sum((visit["revenue"] for visit in entered), Decimal(0)),
            )
        )
    return sorted(result)
