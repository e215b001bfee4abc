"""The prospect as an actor equals the oracle: in any arrival order, with copies, ticks and crashes."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from funnel.events import Touch
from funnel.facts import RESPONSE, Standing
from funnel.prospect import Arrival, Message, Opener, State, Terms, Tick, empty, receive
from tests.generators import Case, cases, smallest, strangers
from tests.oracle import Truth, truth_of
from tests.property.effort import tries
from tests.replacing import ReplacingModel
from tests.simulator import Simulator, terms_of
from tests.translation import (
    SETTINGS,
    facts_of,
    handoffs_of,
    names_in,
    prospect_of,
    rules_of,
    touch_of,
    unanswered_in,
)

ORDERS = 200
"""Arrival orders for each history."""
COPIES = 0.3
"""Share of events that arrive twice."""


def arrive(touches: list[tuple[bytes, Touch]], terms: Terms, now: int, rng: random.Random) -> ReplacingModel:
    """Let touches arrive in a random order, some twice, in runs of random sizes, with ticks of the clock between."""
    arriving = touches + [touch for touch in touches if rng.random() < COPIES]
    rng.shuffle(arriving)
    tables = ReplacingModel()
    states: dict[bytes, State] = {}
    counted = position = 0
    arrived = len(arriving)
    clock = min(touch.occurred_at for _, touch in touches)

    def take(prospect: bytes, messages: list[Message]) -> None:
        nonlocal counted
        outcome = receive(prospect, states.get(prospect) or empty(terms.rules), messages, terms)
        states[prospect] = outcome.state
        counted += outcome.applied + outcome.duplicate + outcome.ignored
        assert not outcome.too_late
        if outcome.facts is not None:
            tables.insert(prospect, outcome.facts)

    while arriving:
        size = rng.choice((1, 1, 2, 4, 8))
        run, arriving = arriving[:size], arriving[size:]
        messages: dict[bytes, list[Message]] = {}
        for prospect, touch in run:
            messages.setdefault(prospect, []).append(Arrival(position, touch, touch.body))
            position += 1
        if rng.random() < 0.3:
            clock += int((now - clock) * rng.random())
            behind = rng.choice((0, 0, rng.randrange(86_400_000_000)))  # clocks of two workers may differ
            messages.setdefault(rng.choice(touches)[0], []).append(Tick(position, clock - behind))
            position += 1
        for prospect, received in messages.items():
            take(prospect, received)
    for prospect in states:
        take(prospect, [Tick(position, now)])
        position += 1
    assert counted == arrived
    return tables


def equals(tables: ReplacingModel, truth: Truth) -> bool:
    """Whether tables hold what is true: rows, hand-offs, and the episodes that go on."""
    expected = facts_of(truth)
    return (
        (tables.transitions(), tables.standings()) == expected
        and tables.handoffs() == handoffs_of(truth.handoffs)
        and tables.going_on() == stalled(expected[1])
        and tables.going_on(RESPONSE) == unanswered_in(truth.handoffs)
    )


def stalled(standings: dict[tuple[bytes, str], Standing]) -> dict[tuple[bytes, str], list[int]]:
    """Since when who is stalled in which funnel."""
    return {key: [one.stalled_since] for key, one in standings.items() if one.stalled_since is not None}


@tries(40)
@given(cases().map(strangers), st.integers(0, 2**32))
def test_actor_equals_the_oracle_in_any_order(case: Case, seed: int) -> None:
    """Each history ends with the oracle's rows in 200 random arrival orders, with 30% duplicates."""

    def check(case: Case) -> bool:
        truth = truth_of(case.events, case.funnels, SETTINGS, case.now)
        terms = Terms(rules_of(case.funnels), Opener(bytes, names_in, bytes.decode))
        touches = [(prospect_of(event), touch_of(event, terms.rules)) for event in case.events]
        rng = random.Random(seed)
        tables = (arrive(touches, terms, case.now, rng) for _ in range(ORDERS))
        return all(equals(table, truth) for table in tables)

    assert check(case), f"seed {seed}: {smallest(case, lambda smaller: not check(smaller))}"


@tries(250)
@given(cases(max_events=20), st.integers(0, 2**32))
def test_actor_survives_crashes(case: Case, seed: int) -> None:
    """Crashes between changelog, facts and commit, with runs in flight and ticks, end with the oracle's rows."""

    def check(case: Case) -> bool:
        rng = random.Random(seed)
        simulator = Simulator(terms_of(rules_of(case.funnels)), rng, crashes=rng.randint(1, 8))
        arriving = case.events + [event for event in case.events if rng.random() < COPIES]
        rng.shuffle(arriving)
        clock = min(event["occurred_at"] for event in case.events)
        while arriving:
            size = rng.randint(1, len(arriving))
            simulator.deliver(arriving[:size])
            arriving = arriving[size:]
            if rng.random() < 0.5:
                clock += int((case.now - clock) * rng.random())
                simulator.tick_until(clock)
        simulator.tick_until(case.now)
        return equals(simulator.tables, truth_of(case.events, case.funnels, SETTINGS, case.now))

    assert check(case), f"seed {seed}: {smallest(case, lambda smaller: not check(smaller))}"
