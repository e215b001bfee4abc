"""What the tests of whole populations share: letting one arrive, telling differences, and making a case that has some smaller."""

from __future__ import annotations

import random
import time
import traceback
from typing import Any, NamedTuple, Protocol

from funnel.identity import Bounds
from funnel.state import Terms
from tests.generators import smallest
from tests.generators.populations import PopulationCase
from tests.oracle import truth_of
from tests.simulator import OPENER, Simulator, record_of, records_that_declare
from tests.translation import SETTINGS, declaration_of, facts_of, handoffs_of, id_of, identity_facts_of, rules_of

ORDERS = 200
"""So many arrival orders are many."""
SHRINKING_ORDERS, SHRINKING_SECONDS = 20, 60
"""How hard it is tried to make a failing case smaller."""
COPIES = 0.3
"""Share of events and declarations that arrive twice."""


class Difference(Protocol):
    """Tells in what way a population ends otherwise than it should, when it arrives in the order of a seed; '' where it doesn't."""

    def __call__(self, case: PopulationCase, seed: int, *, crashes: int, stray: bool) -> str:
        """Args: crashes: at most so many; stray: whether what actors send comes in any order, and some of it twice."""


class Pinned(NamedTuple):
    """A population, and an order in which it once ended otherwise."""

    case: PopulationCase
    seed: int
    crashes: int
    stray: bool


class Population:
    """A population, and all of it that is the same in whatever order it arrives: its records, and what the oracle says of it."""

    def __init__(self, case: PopulationCase) -> None:
        """Ask the oracle, and make the records that intake would."""
        self.case = case
        bounds = Bounds(case.most_stronger, case.most_ever)
        self.terms = Terms(rules_of(case.funnels), OPENER, bounds=bounds)
        self.events = [[record_of(event, self.terms.rules)] for event in case.events]
        self.declarations = [records_that_declare(declaration_of(one)) for one in case.declarations]
        truth = truth_of(case.events, case.funnels, case.settings(SETTINGS), case.now, case.declarations)
        transitions, standings = facts_of(truth)
        self.rows: dict[str, dict[Any, Any]] = {
            "transitions": transitions,
            "standings": standings,
            "handoffs": handoffs_of(truth.handoffs),
            **identity_facts_of(truth)._asdict(),
        }
        self.counts = truth.accounting.counts
        self.circles = {(id_of(one.weaker), id_of(one.stronger)) for one in truth.circles}

    def difference(self, seed: int, *, crashes: int, stray: bool) -> str:
        """Let it arrive in a random order, and tell where it ends otherwise than the oracle; '' where it doesn't."""
        try:
            return "\n".join(self._arrive(random.Random(seed), crashes, stray))
        except Exception:  # a case that ends so is made smaller like any other
            return traceback.format_exc()

    def _arrive(self, rng: random.Random, crashes: int, stray: bool) -> list[str]:
        case = self.case
        simulator = Simulator(self.terms, rng, crashes=crashes, partitions=rng.randint(1, 8), stray=stray)
        copies = [records for records in self.events if rng.random() < COPIES]
        declared = [records for records in self.declarations if rng.random() < COPIES]
        arriving = [*self.events, *copies, *self.declarations, *declared]
        rng.shuffle(arriving)
        clock = min(event["occurred_at"] for event in case.events)
        while arriving:
            size = rng.randint(1, len(arriving))
            for records in arriving[:size]:
                for key, value in records:
                    simulator.append(key, value)
            arriving = arriving[size:]
            if rng.random() < 0.5:
                clock += int((case.now - clock) * rng.random())
                simulator.tick_until(clock)
        simulator.tick_until(case.now)
        found = self._differences(simulator)
        if not crashes and not found:
            counts = {name: self.counts.get(name, 0) for name in simulator.counts}
            counts["duplicate"] += len(copies)
            found = differing("counts", counts, simulator.counts)
        return found

    def _differences(self, simulator: Simulator) -> list[str]:
        tables = simulator.tables
        rows = {
            "transitions": tables.transitions(),
            "standings": tables.standings(),
            "handoffs": tables.handoffs(),
            **tables.identity()._asdict(),
        }
        found = [line for name, expected in self.rows.items() for line in differing(name, expected, rows[name])]
        if simulator.too_late:
            found.append(f"too late: {simulator.too_late}")
        # Of a pair that was declared more than once it depends on arrival which declaration is found first.
        if missed := self.circles - {(one.weaker, one.stronger) for one in simulator.circles}:
            found.append(f"circles not found: {missed}")
        return found


def differing(what: str, expected: dict[Any, Any], found: dict[Any, Any]) -> list[str]:
    """A line for each key with other values."""
    if expected == found:
        return []
    return [
        f"{what} {key}: expected {expected.get(key)}, found {found.get(key)}"
        for key in sorted(expected.keys() | found.keys(), key=repr)
        if expected.get(key) != found.get(key)
    ]


def difference(case: PopulationCase, seed: int, *, crashes: int, stray: bool) -> str:
    """Let a population arrive in one random order, and tell where it ends otherwise than the oracle; '' where it doesn't."""
    return Population(case).difference(seed, crashes=crashes, stray=stray)


def check(differs: Difference, case: PopulationCase, seed: int, *, crashes: int, stray: bool) -> None:
    """Fail with a smallest case that still differs in some order, if there is a difference in this one."""
    if not differs(case, seed, crashes=crashes, stray=stray):
        return
    orders = (seed, *range(SHRINKING_ORDERS))  # a smaller case that arrives by the same numbers arrives otherwise
    until = time.monotonic() + SHRINKING_SECONDS

    def differs_in(smaller: PopulationCase) -> int | None:
        return next((one for one in orders if differs(smaller, one, crashes=crashes, stray=stray)), None)

    small = smallest(case, lambda smaller: time.monotonic() < until and differs_in(smaller) is not None)
    order = differs_in(small)
    assert order is not None
    wrong = differs(small, order, crashes=crashes, stray=stray)
    pinned = Pinned(small, order, crashes, stray)
    raise AssertionError(
        f"order {seed} ends otherwise. To keep what is left of it, add to tests/property/pinned.py:\n{pinned}\n\n{wrong}"
    )
