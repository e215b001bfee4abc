"""A backtest equals the oracle: it makes of any population what two full runs would, and finds exactly the prospects that differ."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from statistics import median
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backtest.clauses import compiled
from backtest.comparison import compare, rows_of
from backtest.figures import Figures
from backtest.reasons import Rules, parting
from backtest.stitching import stitch
from funnel.identity import Bounds
from tests.generators.funnels import FunnelFile, random_funnel
from tests.generators.populations import PopulationCase, populations
from tests.oracle import TransitionRow, Truth, truth_of
from tests.oracle.forgetting import left_of
from tests.property.effort import tries
from tests.property.test_forgetting import _named, _without_ties
from tests.replaying import gathered, oracle_rows, records_of, shown_rows
from tests.translation import SETTINGS, rules_of

COPIES = 0.3


def other_funnel(case: PopulationCase, rng: random.Random) -> FunnelFile:
    """The funnel to try: another one altogether, the case's second, or the first with one thing changed."""
    drawn = rng.random()
    if len(case.funnels) > 1 and drawn < 0.3:
        return case.funnels[1]
    if drawn < 0.6:
        return random_funnel(rng, "g")
    changed = {**case.funnels[0], "name": "g"}
    other = random_funnel(rng, "g")
    key = rng.choice(("window", "rest", "lost", "activity"))
    changed.pop(key, None)
    return {**changed, **({key: other[key]} if key in other else {})}


def oracle_of(case: PopulationCase, funnel: FunnelFile) -> Truth:
    """A full run with one funnel."""
    return truth_of(case.events, [funnel], case.settings(SETTINGS), case.now, case.declarations)


@tries(150)
@given(populations(), st.integers(0, 2**32))
def test_a_backtest_is_two_full_runs(case: PopulationCase, seed: int) -> None:
    """Rows of both, counts, figures by stage and the prospects that differ are the oracle's, from records in any order with copies."""
    rng = random.Random(seed)
    funnels = [case.funnels[0], other_funnel(case, rng)]
    rules = rules_of(funnels)
    before, now = rules.funnels
    truths = [oracle_of(case, funnel) for funnel in funnels]
    records = records_of(case.events, case.declarations)
    records += [one for one in records if rng.random() < COPIES]
    rng.shuffle(records)

    stitched = stitch(gathered(records, rules), Bounds(case.most_stronger, case.most_ever))
    found = [
        oracle_rows((prospect, rows_of(one, history, case.now)) for prospect, history in stitched.histories.items())
        for one in (before, now)
    ]
    assert found == [truth.transitions for truth in truths]
    both = truth_of(case.events, funnels, case.settings(SETTINGS), case.now, case.declarations)
    counts = both.accounting.counts
    expected = [counts.get(name, 0) for name in ("applied", "ignored", "shared")]
    assert list(stitched[1:4]) == expected
    assert {(one.weaker, one.stronger) for one in both.circles} == set() or stitched.invalid

    comparison = compare(stitched, before, now, case.now)
    was, would_be = (shown_rows(truth.transitions) for truth in truths)
    differing = {prospect for prospect in was.keys() | would_be.keys() if was.get(prospect) != would_be.get(prospect)}
    assert comparison.differing == sorted(prospect.bytes for prospect in differing)
    assert comparison.prospects == len(was.keys() | would_be.keys())
    for figures, truth, funnel in zip((comparison.before, comparison.now), truths, funnels, strict=True):
        assert figures == brute_figures(truth.transitions, funnel)

    sides = [Rules(one, compiled(rules, one)) for one in (before, now)]
    for prospect in comparison.differing:
        one = parting(stitched.histories[prospect], *sides, case.now)
        for side in (one.before, one.now):
            moved_by_event = side.row is not None and one.event is not None
            assert bool(side.clauses) == moved_by_event, (one, side)
            assert bool(side.why) != moved_by_event, (one, side)


@tries(40)
@given(populations(), st.integers(0, 2**32))
def test_the_forgotten_are_left_out(case: PopulationCase, seed: int) -> None:
    """As the pipeline leaves them out that was told to forget them."""
    rng = random.Random(seed)
    case = _without_ties(case)
    rules = rules_of(case.funnels)
    named = _named(case, rng)
    left = left_of(case.events, case.funnels, case.settings(SETTINGS), case.now, case.declarations, named)
    records = records_of(case.events, case.declarations, named)
    rng.shuffle(records)
    stitched = stitch(gathered(records, rules), Bounds(case.most_stronger, case.most_ever))
    found = oracle_rows(
        (prospect, rows_of(one, history, case.now))
        for prospect, history in stitched.histories.items()
        for one in rules.funnels
    )
    assert found == left.truth.transitions
    assert stitched.forgotten == len(left.forgotten)


@tries(40)
@given(populations(), st.integers(0, 2**32))
def test_since_counts_visits_that_opened_since(case: PopulationCase, seed: int) -> None:
    """They are what they are in the whole history; only the others are not counted."""
    rng = random.Random(seed)
    funnels = [case.funnels[0], other_funnel(case, rng)]
    rules = rules_of(funnels)
    since = rng.choice(case.events)["occurred_at"] + rng.choice((0, 0, 1))
    stitched = stitch(
        gathered(records_of(case.events, case.declarations), rules), Bounds(case.most_stronger, case.most_ever)
    )
    comparison = compare(stitched, *rules.funnels, case.now, since)
    rows = [[row for row in oracle_of(case, funnel).transitions if row.visit_opened_at >= since] for funnel in funnels]
    assert comparison.before == brute_figures(rows[0], funnels[0])
    was, would_be = map(shown_rows, rows)
    differing = {prospect for prospect in was.keys() | would_be.keys() if was.get(prospect) != would_be.get(prospect)}
    assert comparison.differing == sorted(prospect.bytes for prospect in differing)


def brute_figures(rows: list[TransitionRow], funnel: FunnelFile) -> list[Figures]:
    """By stage, from rows alone, as the contract defines the numbers."""
    stages = [stage["name"] for stage in funnel["stage"]]
    visits: dict[Any, list[TransitionRow]] = defaultdict(list)
    for row in rows:
        visits[row.prospect_id, row.visit].append(row)
    found = []
    for number, stage in enumerate(stages):
        entered = [visit for visit in visits.values() if any(row.to_stage == stage for row in visit)]
        reached = [visit for visit in visits.values() if any(row.to_stage in stages[number:] for row in visit)]
        outcomes = [outcome_of(visit, stages) for visit in entered]
        seconds = []
        revenue: dict[str, int] = defaultdict(int)
        for visit in entered:
            first = next(row for row in visit if row.to_stage == stage)
            further = [row for row in visit if row.step > first.step and row.to_stage in stages[number + 1 :]]
            if further:
                seconds.append((further[0].entered_at - first.entered_at) / 1_000_000)
            paid = [row for row in visit if row.to_stage == stages[-1]]
            if amount := sum((row.amount for row in paid), Decimal(0)):
                revenue[paid[0].currency] += int(amount * 100)
        found.append(
            Figures(
                stage, len(entered), len(reached), len(seconds),
                *(outcomes.count(outcome) for outcome in ("won", "lost", "expired", "waiting")),
                median(seconds) if seconds else None,
                dict(revenue),
            )
        )  # fmt: skip
    return found


def outcome_of(visit: list[TransitionRow], stages: list[str]) -> str:
    """How a visit ended."""
    if any(row.to_stage == stages[-1] for row in visit):
        return "won"
    return visit[-1].kind if visit[-1].kind in ("lost", "expired") else "waiting"
