"""What populations are drawn for is in them: a trait that is named is there, and is not where it isn't."""

from __future__ import annotations

from typing import Any

from tests.generators import PopulationCase
from tests.generators.traits import BY_MORE_THAN_50, CLIMBS, TRAITS, population_with, traits_of
from tests.oracle import Declaration

FUNNEL = {"name": "f", "window": "1d", "stage": [{"name": "seen", "enter": [{"channel": "web"}]}]}
PHONE = "+14155550100"


def event(at: int, **identifiers: str) -> dict[str, Any]:
    """An event that the funnel cares for."""
    known = {"channel": "web", "event_id": str(at), "source": "s", "type": "page_view", "properties": {}}
    return {**known, "occurred_at": 1_709_251_199_000_000 + at, **identifiers}


def traits(*events: dict[str, Any], declarations: tuple[Declaration, ...] = (), most_stronger: int = 2) -> set[str]:
    """What is going on in a population of these events."""
    return traits_of(PopulationCase(list(events), list(declarations), [FUNNEL], 0, most_stronger, 128))


def test_every_climb_has_a_name() -> None:
    """Fifteen ways from kind to kind, each to be met in many orders but those that are in every population anyway."""
    assert len(set(CLIMBS)) == 15
    assert set(CLIMBS) - set(TRAITS) == {"phone", "email", "user_id"}
    assert traits(event(1, anonymous_id="d")) == {"anonymous_id"}
    longest = traits(
        event(1, anonymous_id="d"),
        event(2, anonymous_id="d", phone=PHONE),
        event(3, phone=PHONE, email="a@x.com"),
        event(4, email="a@x.com", user_id="u"),
    )
    assert "anonymous_id to phone to email to user_id" in longest


def test_aliases_make_a_climb_longer() -> None:
    """However many there are."""
    link = Declaration(1, "desk", "1", "link", "user_id:u", "user_id:v")
    further = Declaration(2, "desk", "2", "link", "user_id:v", "user_id:w")
    found = traits(event(1, email="a@x.com", user_id="u"), event(2, email="a@x.com"), declarations=(link, further))
    assert {"email to user_id to its alias", "user_id to its alias", "chain of aliases", "declared"} <= found


def test_a_sign_in_is_late_only_after_the_event() -> None:
    """One that came before is none."""
    anonymous, signed_in = event(5, anonymous_id="d"), {"anonymous_id": "d", "email": "a@x.com"}
    assert "late sign-in" in traits(anonymous, event(6, **signed_in))
    assert "late sign-in" not in traits(anonymous, event(4, **signed_in))
    assert "late sign-in" not in traits(anonymous, event(4, **signed_in), event(6, **signed_in))


def test_identifiers_of_several_are_told_from_shared_ones() -> None:
    """Two people are a conflict, three are too many here."""
    calls = [event(at, phone=PHONE, user_id=f"u{at}") for at in range(3)]
    of_two = traits(*calls[:2])
    assert {"user_id conflict", "phone of several"} <= of_two
    assert "shared phone" not in of_two
    of_three = traits(*calls)
    assert "shared phone" in of_three
    assert not {"user_id conflict", "phone of several", BY_MORE_THAN_50} & of_three
    assert "device of several" in traits(*(event(at, anonymous_id="d", user_id=f"u{at}") for at in range(2)))


def test_a_switchboard_of_the_usual_size() -> None:
    """With the bounds as they really are."""
    calls = [event(at, phone=PHONE, user_id=f"u{at}") for at in range(51)]
    assert BY_MORE_THAN_50 in traits(*calls, most_stronger=50)
    assert BY_MORE_THAN_50 not in traits(*calls[:50], most_stronger=50)


def test_populations_are_drawn_for_each_trait() -> None:
    """Always the same one for the same number, and another for another; none so large that hundreds of orders would take long."""
    for trait in set(TRAITS) - {BY_MORE_THAN_50}:  # that one takes long to draw, and `test_orders` draws it anyway
        case = population_with(trait, 0)
        assert trait in traits_of(case)
        assert len(case.events) <= 20 + case.most_stronger
    assert population_with("late sign-in", 1) == population_with("late sign-in", 1)
    assert population_with("late sign-in", 1) != population_with("late sign-in", 2)
