"""The fold equals the oracle, in one go and in any pieces."""

from __future__ import annotations

import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from funnel.facts import Handoff, HandoffKey, Transition
from funnel.journey import START, expiry, fold, standing
from funnel.stalls import noticed
from tests.generators import Case, cases, smallest
from tests.oracle import ProspectRow, TransitionRow, Truth, truth_of
from tests.oracle.clauses import clause_matches
from tests.oracle.identity import Event, Place, place
from tests.property.effort import tries
from tests.translation import SETTINGS, handoffs_of, prospect_row, rules_of, touch_of, transition_row


def in_the_order(event: Event) -> Place:
    """What to sort events by."""
    return place(event, SETTINGS.phone_region)


Told = tuple[list[TransitionRow], list[ProspectRow], dict[tuple[bytes, HandoffKey], Handoff]]


def rows_of(case: Case, truth: Truth, rng: random.Random) -> Told:
    """Fold a case's distinct events, which are whose the truth says, in the order, in random pieces."""
    rules = rules_of(case.funnels)
    histories: dict[bytes, list[Event]] = defaultdict(list)
    for index, owner in truth.owners.items():
        histories[owner.bytes].append(case.events[index])
    transitions: list[TransitionRow] = []
    prospects: list[ProspectRow] = []
    handoffs: dict[tuple[bytes, HandoffKey], Handoff] = {}
    for prospect, history in histories.items():
        touches = [touch_of(event, rules) for event in sorted(history, key=in_the_order)]
        for one in rules.funnels:
            progress, left = START, touches
            while left:
                size = rng.randint(1, len(left))
                progress, rows = fold(one, progress, left[:size])
                transitions += [transition_row(prospect, row) for row in rows if isinstance(row, Transition)]
                told = [row for row in rows if isinstance(row, Handoff)]
                handoffs |= {(prospect, row[:4]): row for row in told}
                assert len({row.key for row in rows}) == len(rows), "each is told once"
                left = left[size:]
                assert progress.untouched in (-1, progress.undecided)
                assert progress.stage >= 0 or progress.undecided == -1
            last = expiry(one, progress, case.now)
            transitions += [] if last is None else [transition_row(prospect, last)]
            stands = standing(one, progress, case.now)
            if stands is not None:
                patience = one.patience[progress.stage] if stands.status == "open" else None
                stall = noticed(stands, patience, None, case.now)
                since = None if stall is None else stall.deadline
                prospects.append(prospect_row(prospect, stands._replace(stalled_since=since)))
    return sorted(transitions), sorted(prospects), handoffs


@tries(600)
@given(cases(), st.integers(0, 2**32))
def test_fold_equals_the_oracle(case: Case, seed: int) -> None:
    """Rows, standings and hand-offs of every prospect are the oracle's, wherever the fold is interrupted."""

    def check(case: Case) -> bool:
        truth = truth_of(case.events, case.funnels, SETTINGS, case.now)
        expected = (truth.transitions, truth.prospects, handoffs_of(truth.handoffs))
        return rows_of(case, truth, random.Random(seed)) == expected

    assert check(case), f"seed {seed}: {smallest(case, lambda smaller: not check(smaller))}"


@tries(150)
@given(cases())
def test_clauses_match_as_the_oracle_says(case: Case) -> None:
    """Compiled clauses, with their shared bits, match just the events that the clauses as written match."""
    rules = rules_of(case.funnels)
    for file in case.funnels:
        for stage in file["stage"]:
            for clause in stage["enter"]:
                plain = {key: wanted for key, wanted in clause.items() if key not in ("at_least", "within")}
                alone = rules_of([{"name": "x", "activity": [plain], "stage": [{"name": "s", "enter": [plain]}]}])
                for event in case.events:
                    assert bool(alone.match(event)) == clause_matches(clause, event)
    alone_each = [rules_of([file]) for file in case.funnels]
    for event in case.events:
        relevant = [bool(rules.match(event) & one.bits) for one in rules.funnels]
        assert relevant == [bool(alone.match(event)) for alone in alone_each]
