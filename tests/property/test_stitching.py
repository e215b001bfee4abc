"""Whole populations in the simulator equal the oracle: in any arrival order, with copies, strays, crashes and moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.generators.populations import PopulationCase, populations
from tests.property.effort import tries
from tests.property.populated import check, difference


@tries(200)
@given(populations(), st.integers(0, 2**32))
def test_populations_equal_the_oracle_in_any_order(case: PopulationCase, seed: int) -> None:
    """Any order, 30% duplicates, any number of partitions: rows, identities and counts are the oracle's."""
    check(difference, case, seed, crashes=0, stray=False)


@tries(200)
@given(populations(), st.integers(0, 2**32))
def test_populations_survive_crashes_and_strays(case: PopulationCase, seed: int) -> None:
    """Crashes between changelog, facts, sends and commit; what actors send comes in any order and twice."""
    check(difference, case, seed, crashes=8, stray=True)
