"""Generated populations are worth the name: everything that can go wrong with who people are is in some of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from tests.generators import (
    PopulationCase,
    generate_events,
    generate_population,
    random_case,
    random_population,
    smallest,
    strangers,
    with_sign_ins,
)
from tests.generators.populations import LONGEST
from tests.generators.traits import traits_of
from tests.oracle import Settings, identifiers_of, truth_of
from tests.oracle.acceptance import accept
from tests.oracle.bounded import too_late
from tests.oracle.declarations import refusal
from tests.oracle.stitching import stitch

SETTINGS = Settings(id_key=b"k", phone_region="US")
CASES = 300
DAY = 86_400_000_000
LATENESS = 90 * DAY


@pytest.fixture(scope="module")
def cases() -> list[PopulationCase]:
    """Many of them."""
    return [random_population(random.Random(seed)) for seed in range(CASES)]


def test_populations_have_every_trouble(cases: list[PopulationCase]) -> None:
    """Each in one of fifty at least, so that a few hundred examples meet it."""
    found = Counter(trouble for case in cases for trouble in traits_of(case))
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
        *("device of one", "device of several", "late sign-in", "user_id conflict", "phone of several"),
        *("phone to email to user_id", "phone to email to user_id and to its alias"),
        *("user_id to its alias", "anonymous_id to user_id to its alias"),
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


def test_smallest_leaves_out_what_funnels_can_do_without() -> None:
    """All that is optional, and all but one clause of each stage."""
    case = next(
        case
        for case in (random_population(random.Random(seed)) for seed in range(100))
        if len(case.funnels[0]["stage"][0]["enter"]) > 1 and {"lost", "back", "wake"} <= case.funnels[0].keys()
    )
    wanted = case.funnels[0]["stage"][0]["enter"][1]
    found = smallest(case, lambda smaller: wanted in smaller.funnels[0]["stage"][0]["enter"])
    (funnel,) = found.funnels
    assert funnel.keys() <= {"name", "version", "window", "stage"}
    assert funnel["stage"][0]["enter"] == [wanted]
    assert all(len(stage["enter"]) == 1 for stage in funnel["stage"])


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
    anonymous = []
    signs_in = defaultdict(list)
    for event in web:
        if identifiers_of(event, "US")[0].startswith("anonymous_id:"):
            anonymous.append(event)
        else:
            signs_in[event["anonymous_id"]].append(event["occurred_at"])
    assert len(anonymous) / len(web) == pytest.approx(0.6, abs=0.03)
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


def test_sign_ins_have_the_shares_that_are_told() -> None:
    """Six of ten events on the web are anonymous, two of ten of these signed in on later; everybody else stays who they were."""
    drawn = generate_events(3, 20_000, 700, duplicates=0.02, differing=0.005, shuffled=False)
    events = with_sign_ins(3, drawn)
    assert events == with_sign_ins(3, drawn)
    assert accept(events, SETTINGS).duplicate == accept(drawn, SETTINGS).duplicate
    web = [event for event in events[:19_500] if event["channel"] == "web"]
    anonymous = [event for event in web if identifiers_of(event, "US")[0].startswith("anonymous_id:")]
    assert len(anonymous) / len(web) == pytest.approx(0.6, abs=0.01)
    named = {event["anonymous_id"]: event["occurred_at"] for event in web if len(identifiers_of(event, "US")) > 1}
    later = [event for event in anonymous if named.get(event["anonymous_id"], 0) >= event["occurred_at"]]
    assert len(later) / len(anonymous) == pytest.approx(0.2, abs=0.001)
    assert len(stitch(events[:19_500], [], SETTINGS).shared) == 0
