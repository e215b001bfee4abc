"""What is going on in a population: whose devices and phones are shared, who signs in late, how far ways lead."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import combinations
from typing import Any

from tests.generators.populations import PHONE_REGION, PopulationCase, random_population
from tests.oracle import Settings, identifiers_of
from tests.oracle.acceptance import accept
from tests.oracle.clauses import is_relevant
from tests.oracle.identity import STRENGTH, kind_of
from tests.oracle.stitching import Stitched, stitch

Event = dict[str, Any]

SETTINGS = Settings(id_key=b"k", phone_region=PHONE_REGION)
TO = " to "
CLIMBS = tuple(TO.join(kinds) for length in (1, 2, 3, 4) for kinds in combinations(reversed(STRENGTH), length))
"""Every way there is from kind to kind: from `anonymous_id`, a device of which nobody knows whose it is, to `anonymous_id to phone to email to user_id`."""
BY_MORE_THAN_50 = "phone shared by more than 50"
"""A switchboard with the bounds as they really are; else a few are many."""
TRAITS = (
    CLIMBS[0],  # of those of one identifier the device only: nearly every population has the others anyway
    *CLIMBS[4:],
    *("user_id to its alias", "email to user_id to its alias", "chain of aliases", "circle", "declared"),
    *("device of several", "late sign-in", "user_id conflict", "phone of several"),
    *("shared anonymous_id", "shared phone", "shared email", "shared on the way", "shared for good"),
    *(BY_MORE_THAN_50, "tie of kinds", "copy of others"),
)
"""What should be met in many orders."""


def traits_of(case: PopulationCase) -> set[str]:
    """Name what is going on in a population."""
    settings = case.settings(SETTINGS)
    distinct = [case.events[index] for index in accept(case.events, settings).distinct]
    stitched = stitch(distinct, case.declarations, settings)
    found = {f"shared {kind_of(one)}" for one in stitched.shared}
    if "shared phone" in found and case.most_stronger == 50:
        found.add(BY_MORE_THAN_50)
    if case.declarations and stitch(distinct, [], settings).owner != stitched.owner:
        found.add("declared")
    if stitched.circles:
        found.add("circle")
    if stitched.shared:
        unbounded = stitch(distinct, case.declarations, settings._replace(most_ever=10**9))
        found |= {"shared for good"} if stitched.shared.keys() - unbounded.shared.keys() else set()
    return found.union(
        _steps_in(stitched),
        _events_in(case, distinct, stitched),
        _seen_in(distinct, stitched),
        _ties_in(distinct),
        _copies_in(case.events),
    )


def _steps_in(stitched: Stitched) -> set[str]:
    """Name how identifiers lead on to others."""
    found = set()
    for identifier, steps in stitched.steps.items():
        kinds = [kind_of(identifier), *(kind_of(step.to) for step in steps)]
        if kinds[0] == "anonymous_id":
            found |= {"device of several"} if len(steps) > 1 else {"device of one"}
        elif kinds[:2] == ["phone", "email"]:
            further = stitched.steps.get(steps[0].to, [])
            if further and further[0].to in stitched.steps:
                found.add("phone to email to user_id and to its alias")
        elif kinds[0] == "user_id" and steps[0].to in stitched.steps:
            found.add("chain of aliases")
    return found


def _events_in(case: PopulationCase, distinct: list[Event], stitched: Stitched) -> set[str]:
    """Name the ways of events, and where they end; of those that some funnel cares for, every climb."""
    found = set()
    for event, owner, way in zip(distinct, stitched.owner, stitched.ways, strict=True):
        start = identifiers_of(event, PHONE_REGION)[0]
        relevant = any(is_relevant(funnel, event) for funnel in case.funnels)
        if owner is None:
            found.add("shared event" if relevant else "ignored though shared")
            if start not in stitched.shared:
                found.add("shared on the way")
        elif not relevant:
            found.add("ignored")
        else:
            found.add(_climb(way))
            if kind_of(start) == "anonymous_id" and len(way) > 1 and _is_late(event, way, distinct):
                found.add("late sign-in")
    return found


def _climb(way: list[str]) -> str:
    """Name a way by its kinds; however many aliases it ends with count as one."""
    kinds = list(dict.fromkeys(map(kind_of, way)))
    return TO.join(kinds if len(kinds) == len(way) else [*kinds, "its alias"])


def _is_late(event: Event, way: list[str], distinct: list[Event]) -> bool:
    """Whether an anonymous event is somebody's who signed in on the device only afterwards."""
    device, whose = way[:2]
    signed_in = [(one["occurred_at"], identifiers_of(one, PHONE_REGION)) for one in distinct]
    signed_in = [(at, identifiers) for at, identifiers in signed_in if device in identifiers[1:]]
    return any(whose in identifiers for _, identifiers in signed_in) and event["occurred_at"] < min(
        at for at, _ in signed_in
    )


def _seen_in(distinct: list[Event], stitched: Stitched) -> set[str]:
    """Name the ways in which identifiers that are somebody's were seen with more than one stronger one of a kind."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in distinct:
        identifiers = identifiers_of(event, PHONE_REGION)
        for weaker, stronger in combinations(reversed(identifiers), 2):
            if weaker not in stitched.shared:
                seen[weaker, kind_of(stronger)].add(stronger)
    several = {(kind_of(weaker), kind) for (weaker, kind), stronger in seen.items() if len(stronger) > 1}
    found = {"user_id conflict"} if any(kind == "user_id" for _, kind in several) else set()
    return found | ({"phone of several"} if any(weaker == "phone" for weaker, _ in several) else set())


def _ties_in(distinct: list[Event]) -> set[str]:
    """Name the ways in which only the strongest identifier tells an order."""
    starts: dict[Any, list[str]] = defaultdict(list)
    for event in distinct:
        kind = kind_of(identifiers_of(event, PHONE_REGION)[0])
        starts[event["occurred_at"], event["source"], event["event_id"]].append(kind)
    tied = [kinds for kinds in starts.values() if len(kinds) > 1]
    return {"tie of a kind" if len(set(kinds)) == 1 else "tie of kinds" for kinds in tied}


def _copies_in(events: list[Event]) -> set[str]:
    """Name what copies there are."""
    known: dict[Any, list[list[str]]] = defaultdict(list)
    for event in events:
        identifiers = identifiers_of(event, PHONE_REGION)
        known[event["source"], event["event_id"], identifiers[0]].append(identifiers[1:])
    copies = [weaker for weaker in known.values() if len(weaker) > 1]
    return {"copy" if all(one == weaker[0] for one in weaker) else "copy of others" for weaker in copies}


def population_with(trait: str, number: int, most: int = 20) -> PopulationCase:
    """Draw until a population has a trait; always the same one for the same arguments.

    Args:
        trait: one of those that `traits_of` names.
        number: which of the populations that have it.
        most: events beside those that make a crowd; larger ones are passed over. Of `BY_MORE_THAN_50` 20, as smaller ones have no such crowd.
    """
    rng = random.Random(f"{trait} {number}")
    usual = trait == BY_MORE_THAN_50
    while True:
        # With the usual bounds a crowd makes a case three times as large, so only who needs one has one.
        case = random_population(rng, max_events=most, usual_crowds=1 if usual else 0)
        if usual and (case.most_stronger != 50 or sum("phone" in event for event in case.events) <= 50):
            continue  # as `traits_of`, which takes its time, would find out
        if len(case.events) - case.most_stronger <= most and trait in traits_of(case):
            return case
