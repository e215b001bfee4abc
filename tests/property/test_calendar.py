"""Working time equals a walk through the hours, as the oracle goes it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from funnel.calendar import BusinessTime, parse_calendar
from tests.oracle.stalls import after, read
from tests.property.effort import tries

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca")
QUARTER = 15 * 60 * 1_000_000
YEARS = 10 * 365 * 96 * QUARTER
EPOCH = 1_577_836_800_000_000
"""2020-01-01."""


def random_calendar(rng: random.Random) -> str:
    """Draw working hours, as people write them."""
    words: list[str] = []
    for day in rng.sample(DAYS, rng.randint(1, 7)):
        cuts = sorted(rng.sample(range(97), rng.choice((2, 2, 4))))
        words.append(day)
        words += [
            f"{begin // 4:02}:{begin % 4 * 15:02}-{until // 4:02}:{until % 4 * 15:02}"
            for begin, until in zip(cuts[::2], cuts[1::2], strict=True)
        ]
    return " ".join((*words, rng.choice(ZONES)))


@tries(300)
@given(st.integers(0, 2**63 - 1))
def test_working_time_equals_the_oracle(seed: int) -> None:
    """The first instant at which so much was worked, whatever the clocks do; and what was worked adds up."""
    rng = random.Random(seed)
    calendar = random_calendar(rng)
    business = BusinessTime(parse_calendar(calendar, "UTC"))
    start = EPOCH + rng.randrange(YEARS)
    durations = [rng.choice((1, QUARTER - 1, QUARTER, rng.randrange(60 * QUARTER))) for _ in range(2)]
    first = business.after(start, durations[0])
    assert first == after(*read(calendar, "UTC"), start, durations[0]), calendar
    assert business.after(first, durations[1]) == business.after(start, sum(durations)), calendar
