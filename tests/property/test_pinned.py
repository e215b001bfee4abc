"""What went wrong once goes well in every order that is tried."""

from __future__ import annotations

import pytest

from tests.property import populated, test_forgetting
from tests.property.pinned import PINNED


@pytest.mark.parametrize("what", PINNED)
def test_pinned_populations_equal_the_oracle(what: str) -> None:
    """In the order in which it went wrong, and in 200 others: what a seed means changes with the simulator."""
    case, seed, crashes, stray = PINNED[what]
    population = populated.Population(case)
    for order in (seed, *range(populated.ORDERS)):
        assert not population.difference(order, crashes=crashes, stray=stray)


@pytest.mark.parametrize("what", PINNED)
def test_the_forgotten_of_pinned_populations_leave_no_trace(what: str) -> None:
    """The same with somebody forgotten, in a few orders."""
    case, seed, crashes, stray = PINNED[what]
    for order in (seed, *range(20)):
        assert not test_forgetting.difference(case, order, crashes=crashes, stray=stray)
