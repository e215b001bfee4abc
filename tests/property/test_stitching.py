"""Whole populations in the simulator equal the oracle: in any arrival order, with copies, strays, crashes and moves."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from funnel.identity import Bounds
from funnel.state import Terms
from tests.generators.populations import PopulationCase, populations
from tests.oracle import truth_of
from tests.property.effort import tries
from tests.property.populated import check, differing
from tests.simulator import OPENER, Simulator
from tests.translation import SETTINGS, declaration_of, facts_of, identity_facts_of, rules_of

COPIES = 0.3
"""Share of events and declarations that arrive twice."""


def difference(case: PopulationCase, seed: int, *, crashes: int, stray: bool) -> str:
    """Let a population arrive in a random order, and tell where it ends otherwise than the oracle; '' where it doesn't."""
    rng = random.Random(seed)
    bounds = Bounds(case.most_stronger, case.most_ever)
    terms = Terms(rules_of(case.funnels), OPENER, bounds=bounds)
    simulator = Simulator(terms, rng, crashes=crashes, partitions=rng.choice((1, 2, 4)), stray=stray)
    events = case.events + [event for event in case.events if rng.random() < COPIES]
    declared = case.declarations + [one for one in case.declarations if rng.random() < COPIES]
    arriving = [
        *((simulator.deliver, one) for one in events),
        *((simulator.declare, declaration_of(one)) for one in declared),
    ]
    rng.shuffle(arriving)
    clock = min(event["occurred_at"] for event in case.events)
    while arriving:
        size = rng.randint(1, len(arriving))
        for let, one in arriving[:size]:
            let([one])
        arriving = arriving[size:]
        if rng.random() < 0.5:
            clock += int((case.now - clock) * rng.random())
            simulator.tick_until(clock)
    simulator.tick_until(case.now)
    truth = truth_of(case.events, case.funnels, case.settings(SETTINGS), case.now, case.declarations)
    transitions, standings = facts_of(truth)
    tables = simulator.tables
    found = [
        *(
            line
            for name, rows in identity_facts_of(truth)._asdict().items()
            for line in differing(name, rows, tables.identity()._asdict()[name])
        ),
        *differing("transitions", transitions, tables.transitions()),
        *differing("standings", standings, tables.standings()),
    ]
    if simulator.too_late:
        found.append(f"too late: {simulator.too_late}")
    if not crashes and not found:
        copies = len(events) - len(case.events)
        expected = {name: truth.accounting.counts.get(name, 0) for name in simulator.counts}
        expected["duplicate"] += copies
        found += differing("counts", expected, simulator.counts)
    return "\n".join(found)


@tries(700)
@given(populations(), st.integers(0, 2**32))
def test_populations_equal_the_oracle_in_any_order(case: PopulationCase, seed: int) -> None:
    """Any order, 30% duplicates, any number of partitions: rows, identities and counts are the oracle's."""
    check(difference, case, seed, crashes=0, stray=False)


@tries(500)
@given(populations(), st.integers(0, 2**32))
def test_populations_survive_crashes_and_strays(case: PopulationCase, seed: int) -> None:
    """Crashes between changelog, facts, sends and commit; what actors send comes in any order and twice."""
    check(difference, case, seed, crashes=8, stray=True)
