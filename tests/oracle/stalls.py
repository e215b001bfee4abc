"""When a stage's time is over, and since when an open visit is stalled (contract, section 6); in working hours where the funnel file has a calendar."""

from __future__ import annotations

import datetime as dt
import math
import zoneinfo
from typing import Any

from tests.oracle.clauses import SECOND, UNITS, FunnelFile

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def stalled_since(
    funnel: FunnelFile, stage: dict[str, Any], clock: int, now: int, snoozed_until: int = 0
) -> int | None:
    """Give the deadline of an open visit with this clock if it has passed."""
    deadline = deadline_of(funnel, stage, "stall_after", clock)
    deadline = deadline if deadline is None else max(deadline, snoozed_until)
    return deadline if deadline is not None and deadline <= now else None


def deadline_of(funnel: FunnelFile, stage: dict[str, Any], key: str, clock: int) -> int | None:
    """Give when so long has passed since `clock` as a key of the stage allows; None where it says nothing."""
    if key not in stage:
        return None
    calendar = stage.get("calendar", funnel.get("calendar", "always"))
    count, unit = int(stage[key][:-1]), stage[key][-1]
    if calendar == "always":
        return int(clock + count * UNITS[unit])
    hours, zone = read(calendar, funnel.get("timezone", "UTC"))
    worked = [sum(until - begin for begin, until in spans) for spans in hours]
    minutes = {
        **{unit: length / 60 / SECOND for unit, length in UNITS.items()},
        "w": sum(worked),
        "d": sum(worked) * 60 // sum(map(bool, worked)) / 60,
    }
    return after(hours, zone, clock, round(count * minutes[unit] * 60 * SECOND))


def read(calendar: str, timezone: str) -> tuple[list[list[tuple[int, int]]], zoneinfo.ZoneInfo]:
    """Read a calendar: the hours of each weekday in minutes, and the time zone."""
    hours: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    days: list[str] = []
    for word in calendar.split():
        if word[0].isdigit():
            begin, until = (int(clock[:2]) * 60 + int(clock[3:]) for clock in word.split("-"))
            for day in days:
                hours[DAYS.index(day)].append((begin, until))
        elif word.split("-")[0] in DAYS:
            first, last = word.split("-")[0], word.split("-")[-1]
            days = [first]
            while days[-1] != last:
                days.append(DAYS[(DAYS.index(days[-1]) + 1) % 7])
        else:
            timezone = word
    return hours, zoneinfo.ZoneInfo(timezone)


def after(hours: list[list[tuple[int, int]]], zone: zoneinfo.ZoneInfo, clock: int, left: int) -> int:
    """Walk on from `clock`, in steps in which nobody comes or goes, until so much (microseconds) was worked."""
    step = math.gcd(15, *(minute for spans in hours for span in spans for minute in span)) * 60 * SECOND
    while left > 0:
        until = (clock // step + 1) * step
        local = dt.datetime.fromtimestamp(clock // SECOND, zone)
        minute = local.hour * 60 + local.minute
        if any(begin <= minute < end for begin, end in hours[local.weekday()]):
            if left <= until - clock:
                return clock + left
            left -= until - clock
        clock = until
    return clock
