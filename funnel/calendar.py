"""Business time: the hours of the week in which somebody is there to act.

A lead that comes on Friday evening is not two days late on Monday morning. So a stage may count its deadlines in the working hours of those
who have to act; days off, time zones and changes to summer time are taken into account.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from funnel.durations import MICROSECONDS, UNIT_SECONDS

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXPECTED = 'expected weekdays with hours, and a time zone, such as "mon-fri 09:00-18:00 Europe/Berlin"'
LAST_YEAR = 2200
"""Deadlines that would come later never come."""
NEVER = 2**63 - 1
"""A time (microseconds) after all others."""

_DAYS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?")
_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_DAY_MINUTES = 24 * 60
_MINUTE = 60 * MICROSECONDS

Hours = tuple[tuple[int, int], ...]
"""From when until when, in minutes after midnight; in order, apart from one another."""
DaysOff = Callable[[int], Collection[date]]
"""The days of a year on which nobody works."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Working hours as somebody wrote them down."""

    week: tuple[Hours, ...]
    """For each weekday from Monday on."""
    zone: str
    """An IANA time zone."""
    holidays: str = ""
    """Whose holidays are days off: a country, or one of its parts, such as `DE` or `DE-BE`; '' for nobody's."""

    @property
    def unit_seconds(self) -> Mapping[str, int]:
        """What the units of durations mean: a day is an average working day, a week what is worked in one."""
        minutes = [sum(until - begin for begin, until in hours) for hours in self.week]
        a_week = sum(minutes) * 60
        return {**UNIT_SECONDS, "d": a_week // sum(map(bool, minutes)), "w": a_week}


def parse_calendar(text: object, zone: str, holidays: str = "") -> Calendar:
    """Working hours from text: weekdays, their hours, more of both, and a time zone.

    Args:
        text: such as `mon-thu 09:00-12:30 13:30-18:00 fri 09:00-15:00 Europe/Berlin`.
        zone: where the text names no time zone.
        holidays: see `Calendar`.

    Raises:
        ValueError: it is none; says what was expected.
    """
    words = text.split() if isinstance(text, str) else []
    if words and not _DAYS.fullmatch(words[-1]) and not _HOURS.fullmatch(words[-1]):
        zone = parse_zone(words.pop())
    week: list[list[tuple[int, int]]] = [[] for _ in WEEKDAYS]
    days: list[int] = []
    used = True
    for word in words:
        if _HOURS.fullmatch(word) and days:
            for day in days:
                week[day].append(_hours(word))
            used = True
        elif used:
            days, used = _weekdays(word), False
        else:
            raise ValueError(EXPECTED)
    if not used or not any(week):
        raise ValueError(EXPECTED)
    for name, hours in zip(WEEKDAYS, week, strict=True):
        hours.sort()
        if any(later[0] < earlier[1] for earlier, later in pairwise(hours)):
            raise ValueError(f"expected hours that don't overlap; those of {name} do")
    return Calendar(tuple(map(tuple, week)), zone, holidays)


class BusinessTime:
    """Counts time by a calendar. Times are microseconds since the epoch, durations microseconds."""

    def __init__(self, calendar: Calendar, days_off: DaysOff = lambda _: ()) -> None:
        """Args: days_off: the holidays the calendar names, by year."""
        self._calendar, self._days_off = calendar, days_off
        self._zone = ZoneInfo(calendar.zone)
        self._years: dict[int, _Year] = {}

    def after(self, start: int, duration: int) -> int:
        """The first instant at which `duration` of working time has passed since `start`; `NEVER` after `LAST_YEAR`."""
        if duration <= 0:
            return start
        number = datetime.fromtimestamp(start // MICROSECONDS, self._zone).year
        year = self._year(number)
        worked = year.worked_until(start) + duration
        while worked > year.total:
            if number >= LAST_YEAR:
                return NEVER
            worked -= year.total
            number += 1
            year = self._year(number)
        return year.when(worked)

    def _year(self, number: int) -> _Year:
        year = self._years.get(number)
        if year is None:
            year = self._years[number] = _Year(self._spans(number))
        return year

    def _spans(self, number: int) -> list[tuple[int, int]]:
        """The working hours of a year, from when until when."""
        off = frozenset(self._days_off(number))
        day, found = date(number, 1, 1), []
        while day.year == number:
            hours = () if day in off else self._calendar.week[day.weekday()]
            if hours and self._is_changing(day):
                found += self._minute_by_minute(day, hours)
            else:
                found += [(self._instant(day, begin), self._instant(day, until)) for begin, until in hours]
            day += timedelta(days=1)
        return found

    def _instant(self, day: date, minute: int) -> int:
        if minute == _DAY_MINUTES:
            day, minute = day + timedelta(days=1), 0
        local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=self._zone)
        return int(local.timestamp()) * MICROSECONDS

    def _is_changing(self, day: date) -> bool:
        """Whether clocks are changed on a day, as for summer time."""
        begin = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return begin.utcoffset() != (begin + timedelta(days=1)).utcoffset()

    def _minute_by_minute(self, day: date, hours: Hours) -> list[tuple[int, int]]:
        """The hours of a day on which clocks are changed: what a clock on the wall shows counts, even if it shows it twice or never."""
        found: list[tuple[int, int]] = []
        for instant in range(self._instant(day, 0), self._instant(day, _DAY_MINUTES), _MINUTE):
            local = datetime.fromtimestamp(instant // MICROSECONDS, self._zone)
            shown = local.hour * 60 + local.minute
            if not any(begin <= shown < until for begin, until in hours):
                continue
            if found and found[-1][1] == instant:
                found[-1] = (found[-1][0], instant + _MINUTE)
            else:
                found.append((instant, instant + _MINUTE))
        return found


class _Year:
    """The working hours of one year."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self._begins = [begin for begin, _ in spans]
        self._untils = [until for _, until in spans]
        self._before = [0]
        """How much was worked before each span, and at last in the whole year."""
        for begin, until in spans:
            self._before.append(self._before[-1] + until - begin)
        self.total = self._before[-1]

    def worked_until(self, instant: int) -> int:
        """How much of the year's work lies before an instant."""
        at = bisect_right(self._begins, instant) - 1
        return 0 if at < 0 else self._before[at] + min(instant, self._untils[at]) - self._begins[at]

    def when(self, worked: int) -> int:
        """The first instant at which so much (more than nothing) is done."""
        at = bisect_right(self._before, worked - 1) - 1
        return self._begins[at] + worked - self._before[at]


def parse_zone(name: str) -> str:
    """The name of a time zone. Raises ValueError where there is none of that name."""
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"{EXPECTED}; {name!r} is no IANA time zone") from error


def _weekdays(word: str) -> list[int]:
    found = _DAYS.fullmatch(word)
    names = [name for name in found.groups() if name is not None] if found else []
    if not names or any(name not in WEEKDAYS for name in names):
        raise ValueError(f"{EXPECTED}; {word!r} is none of {', '.join(WEEKDAYS)}, nor hours of them")
    first, last = WEEKDAYS.index(names[0]), WEEKDAYS.index(names[-1])
    # `sat-mon` goes over the weekend.
    return [(first + number) % 7 for number in range((last - first) % 7 + 1)]


def _hours(word: str) -> tuple[int, int]:
    found = _HOURS.fullmatch(word)
    assert found is not None
    from_hour, from_minute, until_hour, until_minute = map(int, found.groups())
    begin, until = from_hour * 60 + from_minute, until_hour * 60 + until_minute
    if from_minute > 59 or until_minute > 59 or not begin < until <= _DAY_MINUTES:
        raise ValueError(f"expected hours between 00:00 and 24:00, the first before the second, not {word}")
    return begin, until
