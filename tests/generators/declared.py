"""What people declare of identifiers: links, splits, second thoughts, chains, circles."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.oracle import Declaration, identifiers_of
from tests.oracle.declarations import Pair
from tests.oracle.identity import STRENGTH, kind_of

Event = dict[str, Any]


def random_declarations(
    rng: random.Random, events: Sequence[Event], phone_region: str | None, count: int
) -> list[Declaration]:
    """Draw about so many declarations on identifiers of events, all acceptable, each with an event_id of its own in its source.

    Pairs that were seen together are likely, and so is a pair that something was declared of already. Some links of
    user_ids close circles. Times are those of events, give or take a little.
    """
    known = sorted({one for event in events for one in identifiers_of(event, phone_region)})
    seen = sorted({pair for event in events for pair in _pairs_on(identifiers_of(event, phone_region))})
    said: list[tuple[str, Pair]] = []
    while len(said) < count:
        burst = _random_burst(rng, known, seen, [pair for _, pair in said])
        if not burst:
            break
        said += burst
    # A relink is later only by chance, and numbers fall as strings while they grow: no order is that of drawing.
    times = [event["occurred_at"] + rng.choice((-1, 0, 0, 1, 60_000_000)) for event in rng.choices(events, k=4)]
    declared = [
        Declaration(rng.choice(times), rng.choice(("desk", "desk", "crm")), str(number), kind, *pair)
        for number, (kind, pair) in enumerate(said)
    ]
    rng.shuffle(declared)
    return declared


def _pairs_on(identifiers: list[str]) -> list[Pair]:
    return [(weaker, stronger) for at, weaker in enumerate(identifiers) for stronger in identifiers[:at]]


def _random_burst(
    rng: random.Random, known: list[str], seen: list[Pair], declared: list[Pair]
) -> list[tuple[str, Pair]]:
    """Draw what somebody declares in one go; nothing if there is nothing to declare."""
    drawn = rng.random()
    users = [one for one in known if kind_of(one) == "user_id"]
    if declared and drawn < 0.3:  # a second thought
        return [(rng.choice(("link", "split")), rng.choice(declared))]
    if len(users) > 1 and drawn < 0.6:  # a chain, at times closed to a circle
        chain = rng.sample(users, min(len(users), rng.choice((2, 2, 3, 4))))
        pairs = list(pairwise(chain))
        if rng.random() < 0.3:
            pairs.append((chain[-1], chain[0]))
        return [("link", pair) for pair in pairs]
    if seen and drawn < 0.7:  # an identifier is taken from nearly all that it was seen with
        weaker = rng.choice(seen)[0]
        return [("split", pair) for pair in seen if pair[0] == weaker and rng.random() < 0.8]
    if seen and drawn < 0.85:
        return [(rng.choice(("link", "split")), rng.choice(seen))]
    pair = _any_pair(rng, known)
    return [] if pair is None else [(rng.choice(("link", "link", "split")), pair)]


def _any_pair(rng: random.Random, known: list[str]) -> Pair | None:
    """Draw two identifiers, seen together or not; `u900` is on no event, so it is known only by the declaration."""
    weaker = [one for one in known if kind_of(one) != "user_id"]
    if not weaker:
        return None
    first = rng.choice(weaker)
    above = STRENGTH[: STRENGTH.index(kind_of(first))]
    return first, rng.choice([*(one for one in known if kind_of(one) in above), "user_id:u900"])
