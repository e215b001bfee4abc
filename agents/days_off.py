"""Public holidays of countries and their parts, as the library `holidays` knows them: the days off of calendars in funnel files."""

from __future__ import annotations

from datetime import date

from funnel.calendar import DaysOff


def days_off(region: str) -> DaysOff:
    """The public holidays of each year.

    Args:
        region: an ISO 3166-1 country code, or with a hyphen one of its parts, such as `DE` or `DE-BE`.

    Raises:
        ValueError: the library knows no such country or part.
    """
    import holidays  # only those who count in working hours pay for its loading

    country, _, part = region.partition("-")

    def of(year: int) -> frozenset[date]:
        return frozenset(holidays.country_holidays(country, subdiv=part or None, years=year))

    try:
        of(2025)
    except NotImplementedError as error:
        raise ValueError(f"expected a country, or one of its parts, such as DE or DE-BE, not {region!r}") from error
    return of
