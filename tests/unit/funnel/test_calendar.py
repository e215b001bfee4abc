"""funnel.calendar: working hours, in words people write, across days off and changes of the clock."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from funnel.calendar import NEVER, BusinessTime, parse_calendar
from tests.unit.funnel.histories import HOUR

OFFICE = "mon-fri 09:00-18:00 Europe/Berlin"


def at(text: str, zone: str = "Europe/Berlin") -> int:
    """Microseconds of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def local(instant: int, zone: str = "Europe/Berlin") -> str:
    """The local time of microseconds."""
    return datetime.fromtimestamp(instant // 1_000_000, ZoneInfo(zone)).isoformat(timespec="minutes")[:16]


@pytest.mark.parametrize(
    ("calendar", "start", "hours", "end"),
    [
        (OFFICE, "2025-06-02T10:00", 2, "2025-06-02T12:00"),  # a Monday
        (OFFICE, "2025-06-02T08:00", 9, "2025-06-02T18:00"),  # a whole day ends when the office closes
        (OFFICE, "2025-06-02T08:00", 9.5, "2025-06-03T09:30"),
        (OFFICE, "2025-06-06T17:00", 2, "2025-06-09T10:00"),  # over a weekend
        (OFFICE, "2025-06-07T12:00", 1, "2025-06-09T10:00"),  # from within one
        (OFFICE, "2025-06-07T12:00", 0, "2025-06-07T12:00"),
        (OFFICE, "2025-12-31T17:00", 3, "2026-01-01T11:00"),
        ("mon 09:00-12:00 13:00-17:00 Europe/Berlin", "2025-06-02T11:00", 2, "2025-06-02T14:00"),
        ("mon-thu 09:00-18:00 fri 09:00-15:00 Europe/Berlin", "2025-06-06T14:00", 2, "2025-06-09T10:00"),
        ("sat-mon 22:00-24:00 Europe/Berlin", "2025-06-07T23:00", 3, "2025-06-08T24:00"),
        ("mon-sun 00:00-24:00 Europe/Berlin", "2025-03-29T12:00", 24, "2025-03-30T13:00"),  # the night is an hour short
        ("mon-sun 00:00-24:00 Europe/Berlin", "2025-10-25T12:00", 24, "2025-10-26T11:00"),  # and here an hour long
        ("sun 01:00-04:00 Europe/Berlin", "2025-03-30T00:00", 2, "2025-03-30T04:00"),  # no clock shows 02:30
        ("sun 02:30-04:00 Europe/Berlin", "2025-03-30T00:00", 1, "2025-03-30T04:00"),
        ("sun 01:00-04:00 Europe/Berlin", "2025-10-26T00:00", 4, "2025-10-26T04:00"),  # all show it twice
        ("mon-fri 09:00-18:00 Pacific/Apia", "2011-12-30T06:00", 1, "2012-01-01T21:00"),  # no Friday in that week
    ],
)
def test_working_time(calendar: str, start: str, hours: float, end: str) -> None:
    """So much of it has passed first at that time of the clock in Berlin."""
    end = f"{date.fromisoformat(end[:10]) + timedelta(days=1)}T00:00" if end.endswith("24:00") else end
    found = BusinessTime(parse_calendar(calendar, "UTC")).after(at(start), int(hours * HOUR))
    assert local(found) == end


def test_days_off() -> None:
    """Nobody works on them, and each year is asked for once."""
    asked: list[int] = []

    def days_off(year: int) -> list[date]:
        asked.append(year)
        return [date(year, 12, 25), date(year, 12, 26), date(year, 1, 1)]

    business = BusinessTime(parse_calendar(OFFICE, "UTC"), days_off)
    assert local(business.after(at("2025-12-24T17:00"), 2 * HOUR)) == "2025-12-29T10:00"
    assert local(business.after(at("2025-12-31T17:00"), 2 * HOUR)) == "2026-01-02T10:00"
    assert asked == [2025, 2026]


def test_nobody_ever_works() -> None:
    """Then no deadline comes."""
    business = BusinessTime(
        parse_calendar(OFFICE, "UTC"), lambda year: [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
    )
    assert business.after(at("2195-01-01T00:00"), 400 * 9 * HOUR) == NEVER


def test_the_time_zone_may_stand_elsewhere() -> None:
    """A calendar without one takes the funnel's."""
    assert parse_calendar("mon 09:00-10:00", "Asia/Kolkata").zone == "Asia/Kolkata"
    assert parse_calendar("mon 09:00-10:00 UTC", "Asia/Kolkata").zone == "UTC"


def test_units() -> None:
    """A day is an average working day, a week is what is worked in one."""
    calendar = parse_calendar("mon-thu 09:00-18:00 fri 09:00-13:00", "UTC")
    assert calendar.unit_seconds == {"s": 1, "m": 60, "h": 3_600, "d": 8 * 3_600, "w": 40 * 3_600}


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "Europe/Berlin", "mon-fri", "mon-fri Europe/Berlin", "09:00-18:00", "mon fri 09:00-18:00", 5, None, []),
        *("mon-fri 9:00-18:00", "mon-fri 09:00-25:00", "mon-fri 18:00-09:00", "mon-fri 09:60-10:00", "mon 09:00-09:00"),
        *("mon-fri 09:00-18:00 Mars/Base", "mon-fri 09:00-18:00 ../../etc/passwd", "foo-fri 09:00-18:00"),
        *("mon-fri 09:00-18:00 tue 17:00-19:00", "Mon-Fri 09:00-18:00", "mon-fri 09:00-18:00 UTC 19:00-20:00"),
    ],
)
def test_wrong_calendars(wrong: object) -> None:
    """They are refused with what was expected."""
    with pytest.raises(ValueError, match="expected"):
        parse_calendar(wrong, "UTC")
