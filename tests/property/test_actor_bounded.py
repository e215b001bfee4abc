"""A prospect whose history is bounded: what is too late is as the oracle says, and the rest gives the oracle's rows."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from funnel.history import Limits
from funnel.state import Terms
from tests.generators import Case, cases, smallest, strangers
from tests.generators.borders import lengths_in
from tests.oracle import truth_of
from tests.oracle.bounded import too_late
from tests.oracle.identity import Event
from tests.property.effort import tries
from tests.simulator import OPENER, Simulator
from tests.translation import SETTINGS, facts_of, prospect_of, rules_of


def without_differing_copies(events: list[Event]) -> list[Event]:
    """Leave one of the copies of each event.

    Copies that differ may lie on both sides of what is folded for good.
    """
    return list({(event["source"], event["event_id"], prospect_of(event)): event for event in events}.values())


def disagreement(case: Case, seed: int) -> str:
    """Let a case arrive at prospects that keep little, with crashes; say what differs from the oracle, '' if nothing."""
    rng = random.Random(seed)
    limits = Limits(lateness=rng.choice(sorted(lengths_in(case.funnels))), events=rng.randint(1, 6))
    events = without_differing_copies(case.events)
    arriving = events + [event for event in events if rng.random() < 0.3]
    rng.shuffle(arriving)
    late = too_late(arriving, case.funnels, SETTINGS, limits.lateness, limits.events)
    accepted = [event for index, event in enumerate(arriving) if index not in late]

    simulator = Simulator(Terms(rules_of(case.funnels), OPENER, limits), rng, crashes=rng.choice((0, 0, 2, 5)))
    simulator.deliver(arriving)
    simulator.tick_until(case.now)
    truth = truth_of(accepted, case.funnels, SETTINGS, case.now)
    if (simulator.tables.transitions(), simulator.tables.standings()) != facts_of(truth):
        return f"rows, with {limits}"
    refused = {position for _, position in simulator.too_late}
    if late - refused:
        return f"taken in though too late: {late - refused}, with {limits}"
    if any(arriving[index] not in accepted for index in refused - late):
        return f"refused though not too late: {refused - late}, with {limits}"
    return ""


@tries(250)
@given(cases(max_events=20).map(strangers), st.integers(0, 2**32))
def test_bounded_history_equals_the_oracle(case: Case, seed: int) -> None:
    """Dead letters `too_late` are the oracle's, and what is folded for good has led where it would have led anyway."""
    found = disagreement(case, seed)
    assert not found, f"{found}, seed {seed}: {smallest(case, lambda smaller: bool(disagreement(smaller, seed)))}"
