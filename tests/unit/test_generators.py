"""Generated populations are worth the name: everything that can go wrong with who people are is in some of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import pytest

from tests.generators import (
    PopulationCase,
    generate_population,
    random_case,
    random_population,
    smallest,
    strangers,
)
from tests.generators.populations import LONGEST
from tests.oracle import Settings, identifiers_of, truth_of
from tests.oracle.acceptance import accept
from tests.oracle.bounded import too_late
from tests.oracle.clauses import is_relevant
from tests.oracle.declarations import refusal
from tests.oracle.identity import kind_of
from tests.oracle.stitching import stitch

SETTINGS = Settings(id_key=b"k", phone_region="US")
CASES = 300
DAY = 86_400_000_000
LATENESS = 90 * DAY


def troubles_in(case: PopulationCase) -> set[str]:
    """Name what is going on in a population."""
    settings = case.settings(SETTINGS)
    distinct = [case.events[index] for index in accept(case.events, settings).distinct]
    stitched = stitch(distinct, case.declarations, settings)
    plain = stitch(distinct, [], settings)
    found = {f"shared {kind_of(one)}" for one in stitched.shared}
    found |= {"declared"} if plain.owner != stitched.owner else set()
    found |= {"circle"} if stitched.circles else set()
    found |= (
        {"shared for good"}
        if stitched.shared.keys()
        - stitch(distinct, case.declarations, settings._replace(most_ever=10**9)).shared.keys()
        else set()
    )
    for identifier, steps in stitched.steps.items():
        kinds = [kind_of(identifier), *(kind_of(step.to) for step in steps)]
        if kinds[0] == "anonymous_id":
            found |= {"device of several"} if len(steps) > 1 else {"device of one"}
        elif kinds[0] == "phone" and kinds[1] == "email":
            further = stitched.steps.get(steps[0].to, [])
            if further:
                found.add("phone to email to user_id")
                if further[0].to in stitched.steps:
                    found.add("and to its alias")
        elif kinds[0] == "user_id" and steps[0].to in stitched.steps:
            found.add("chain of aliases")
    for event, owner in zip(distinct, stitched.owner, strict=True):
        start = identifiers_of(event, "US")[0]
        relevant = any(is_relevant(funnel, event) for funnel in case.funnels)
        if owner is None:
            found.add("shared event" if relevant else "ignored though shared")
            if start not in stitched.shared:
                found.add("shared on the way")
        elif not relevant:
            found.add("ignored")
    return found | ties_in(distinct) | copies_in(case.events)


def ties_in(distinct: list[dict[str, Any]]) -> set[str]:
    """Name the ways in which only the strongest identifier tells an order."""
    starts: dict[Any, list[str]] = defaultdict(list)
    for event in distinct:
        kind = kind_of(identifiers_of(event, "US")[0])
        starts[event["occurred_at"], event["source"], event["event_id"]].append(kind)
    tied = [kinds for kinds in starts.values() if len(kinds) > 1]
    return {"tie of a kind" if len(set(kinds)) == 1 else "tie of kinds" for kinds in tied}


def copies_in(events: list[dict[str, Any]]) -> set[str]:
    """Name what copies there are."""
    known: dict[Any, list[list[str]]] = defaultdict(list)
    for event in events:
        identifiers = identifiers_of(event, "US")
        known[event["source"], event["event_id"], identifiers[0]].append(identifiers[1:])
    copies = [weaker for weaker in known.values() if len(weaker) > 1]
    return {"copy" if all(one == weaker[0] for one in weaker) else "copy of others" for weaker in copies}


@pytest.fixture(scope="module")
def cases() -> list[PopulationCase]:
    """Many of them."""
    return [random_population(random.Random(seed)) for seed in range(CASES)]


def test_populations_have_every_trouble(cases: list[PopulationCase]) -> None:
    """Each in one of fifty at least, so that a few hundred examples meet it."""
    found = Counter(trouble for case in cases for trouble in troubles_in(case))
    everything = {
        *(
            "shared anonymous_id",
            "shared phone",
            "shared email",
            "shared for good",
            "shared event",
            "shared on the way",
        ),
        *("ignored", "ignored though shared", "declared", "circle", "chain of aliases"),
        *("device of one", "device of several", "phone to email to user_id", "and to its alias"),
        *("tie of a kind", "tie of kinds", "copy", "copy of others"),
    }
    assert everything <= {trouble for trouble, count in found.items() if count >= CASES / 50}, found


def test_populations_stay_within_bounds(cases: list[PopulationCase]) -> None:
    """Every event and declaration is acceptable, and nobody's history is long or old enough to be folded for good."""
    for case in cases:
        assert accept(case.events, SETTINGS).dead == {}
        assert [refusal(one, SETTINGS) for one in case.declarations] == [None] * len(case.declarations)
        names = [(one.source, one.event_id) for one in case.declarations]
        assert len(set(names)) == len(names)
        times = [event["occurred_at"] for event in case.events]
        assert max(times) - min(times) < LONGEST + 20 * DAY < LATENESS
        assert len(case.events) < 500


def test_a_population_is_its_seed() -> None:
    """And large ones have several hundred events."""
    assert random_population(random.Random(1)) == random_population(random.Random(1))
    assert max(len(random_population(random.Random(seed), 400).events) for seed in range(10)) > 300


def test_smallest_finds_what_matters() -> None:
    """Of a large population, the two events and the declaration that are needed."""
    case = next(
        case
        for case in (random_population(random.Random(seed), 200) for seed in range(100))
        if len(case.events) > 100 and len(case.declarations) > 10
    )
    first, second, said = case.events[17], case.events[40], case.declarations[3]

    def fails(smaller: PopulationCase) -> bool:
        return first in smaller.events and second in smaller.events and said in smaller.declarations

    found = smallest(case, fails)
    assert (found.events, found.declarations, len(found.funnels)) == ([first, second], [said], 1)


def test_strangers_are_never_joined() -> None:
    """So the bounds of a history can be told of each by itself."""
    for seed in range(50):
        case = strangers(random_case(random.Random(seed), 20))
        truth = truth_of(case.events, case.funnels, SETTINGS, case.now)
        assert truth.aliases == []
        assert too_late(case.events, case.funnels, SETTINGS, 10**18, 10**6) == set()


def test_big_populations_have_realistic_shares() -> None:
    """Most of the web is anonymous, some of it signs in later; all crowds are shared; nobody is beyond the bounds."""
    events = generate_population(3, 20_000, 1_500)
    assert len(events) == 20_000
    assert events[:50] == generate_population(3, 20_000, 1_500)[:50]
    accepted = accept(events, SETTINGS)
    assert accepted.dead == {}
    assert len(accepted.duplicate) == pytest.approx(2_400, rel=0.02)
    distinct = [events[index] for index in accepted.distinct]
    web = [event for event in distinct if event["channel"] == "web"]
    anonymous = [event for event in web if identifiers_of(event, "US")[0].startswith("anonymous_id:")]
    assert len(anonymous) / len(web) == pytest.approx(0.6, abs=0.03)
    signs_in = defaultdict(list)
    for event in web:
        if event not in anonymous:
            signs_in[event["anonymous_id"]].append(event["occurred_at"])
    later = [event for event in anonymous if max(signs_in[event["anonymous_id"]], default=0) >= event["occurred_at"]]
    assert len(later) / len(anonymous) == pytest.approx(0.2, abs=0.05)

    stitched = stitch(distinct, [], SETTINGS)
    assert stitched.shared == {
        "anonymous_id:kiosk-1": 60,
        "anonymous_id:kiosk-2": 129,
        "phone:+14159999999": 60,
        "email:info@shop.example": 60,
    }
    busiest = Counter(stitched.owner).most_common(2)
    assert max(count for owner, count in busiest if owner is not None) < 1_000
    times = [event["occurred_at"] for event in distinct]
    assert max(times) - min(times) < LATENESS
    length = Counter(len(identifiers_of(event, "US")) for event in distinct)
    assert min(length[1], length[2], length[3]) > 0
