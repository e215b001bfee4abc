"""agents.days_off: which days are holidays, by country and part."""

from __future__ import annotations

from datetime import date

import pytest

from agents.days_off import days_off


def test_holidays_of_a_country_and_of_its_part() -> None:
    """Berlin has one more than Germany; each year has its own."""
    assert date(2025, 10, 3) in days_off("DE")(2025)
    assert date(2025, 3, 8) not in days_off("DE")(2025)
    assert date(2025, 3, 8) in days_off("DE-BE")(2025)
    assert {day.year for day in days_off("DE-BE")(2031)} == {2031}


@pytest.mark.parametrize("wrong", ["XX", "DE-XX", "de"])
def test_unknown_regions(wrong: str) -> None:
    """They are refused with what was expected, and what it was."""
    with pytest.raises(ValueError, match=f"such as DE or DE-BE, not '{wrong}'"):
        days_off(wrong)
