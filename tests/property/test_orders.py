"""Each population equals the oracle in 200 orders: shared devices, late sign-ins, conflicts, switchboards, climbs of every length.

`test_stitching` has many populations and few orders; this has few populations, each drawn for a trait, and many orders.
"""

from __future__ import annotations

import pytest

from tests.generators.traits import BY_MORE_THAN_50, TRAITS, population_with
from tests.property.effort import EFFORT, FIRST
from tests.property.populated import ORDERS, Population, check, difference

FIRST_ORDERS = 25
"""So many of them in `make test`, which everybody waits for; the others are drawn by `make test-slow`."""
SEEDS = [
    pytest.param(range(FIRST_ORDERS), id=f"the-first-{FIRST_ORDERS}"),
    pytest.param(range(FIRST_ORDERS, ORDERS), id="the-others", marks=pytest.mark.slow),
]
DRAWN = [(trait, number) for number in range(FIRST, FIRST + max(1, int(EFFORT))) for trait in TRAITS]
FEW, MANY = 12, 20
"""Events of the first population of a trait, which every run has, and of the others: what an order takes grows faster than they do."""


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize(
    ("trait", "number"), DRAWN, ids=(f"{trait.replace(' ', '-')}-{number}" for trait, number in DRAWN)
)
def test_a_population_equals_the_oracle_in_200_orders(trait: str, number: int, seeds: range) -> None:
    """The first orders and the others are 200 together. With 30% duplicates, any number of partitions, and ticks; every other one with crashes, moves and strays, too."""
    few = number == 0 and trait != BY_MORE_THAN_50
    population = Population(population_with(trait, number, FEW if few else MANY))
    crashing = (TRAITS.index(trait) + number) % 2 == 1
    crashes = 8 if crashing else 0
    for seed in seeds:
        if population.difference(seed, crashes=crashes, stray=crashing):
            check(difference, population.case, seed, crashes=crashes, stray=crashing)
