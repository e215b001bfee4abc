"""Whose each event is (contract, section 4), from the whole set of accepted events and declarations at once.

Not yet part of `truth_of`: the pipeline takes an event to its own strongest identifier so far.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tests.oracle.identity import STRENGTH, Event, normalise

MOST_STRONGER = 50
"""An identifier seen with more different stronger ones of one kind than this is shared."""
BEFORE_ALL = (-1, "", "", "")

Order = tuple[int, str, str, str]
"""occurred_at, source, event_id, canonical form of the strongest identifier."""


class Declaration(NamedTuple):
    """Somebody says that an identifier is (`link`), or is not (`split`), another's; canonical forms."""

    occurred_at: int
    source: str
    event_id: str
    type: str
    weaker: str
    stronger: str


class Stitched(NamedTuple):
    """Whose each event is, and what was said in vain."""

    owner: list[str | None]
    """By event: canonical form of the identifier where its way ends; None where it is shared."""
    shared: set[str]
    """The identifiers that are nobody's."""
    invalid: list[Declaration]
    """Links of user_ids that would close a circle."""


def kind_of(canonical: str) -> str:
    """The kind of an identifier in canonical form."""
    return canonical.partition(":")[0]


def identifiers_of(event: Event, phone_region: str | None) -> list[str]:
    """All usable identifiers of an event in canonical form, the strongest first."""
    values = ((kind, normalise(kind, event.get(kind), phone_region)) for kind in STRENGTH)
    return [f"{kind}:{value}" for kind, value in values if value is not None]


def stitch(events: Sequence[Event], declarations: Sequence[Declaration], phone_region: str | None) -> Stitched:
    """Say whose each event is.

    Args:
        events: accepted ones, without those that are copies of another; each has an identifier.
        declarations: all of them.
        phone_region: as in the settings.
    """
    latest: dict[tuple[str, str], Declaration] = {}
    for declaration in sorted(set(declarations)):
        latest[declaration.weaker, declaration.stronger] = declaration
    split = {pair for pair, one in latest.items() if one.type == "split"}
    links = sorted(one for one in latest.values() if one.type == "link")

    seen: dict[str, list[tuple[Order, list[str]]]] = defaultdict(list)
    for link in links:
        if kind_of(link.weaker) != "user_id":
            seen[link.weaker].append((BEFORE_ALL, [link.stronger]))
    whose = [identifiers_of(event, phone_region) for event in events]
    for event, identifiers in zip(events, whose, strict=True):
        order = (event["occurred_at"], event["source"], event["event_id"], identifiers[0])
        for at, weaker in enumerate(identifiers):
            stronger = [one for one in identifiers[:at] if (weaker, one) not in split]
            if stronger:
                seen[weaker].append((order, stronger))
    for sightings in seen.values():
        sightings.sort(key=lambda sighting: sighting[0])  # stable: links stay in their own order

    shared = {weaker for weaker, sightings in seen.items() if _is_shared([s for _, s in sightings])}
    alias, invalid = _aliases(links)
    owner: list[str | None] = []
    for event, identifiers in zip(events, whose, strict=True):
        way = [identifiers[0]]
        if kind_of(way[0]) == "anonymous_id":
            way += _signed_in(seen[way[0]], event)
        while step := _owner(way[-1], seen, alias):
            way.append(step)
        owner.append(None if shared & set(way) else way[-1])
    return Stitched(owner, shared, invalid)


def _is_shared(sightings: list[list[str]]) -> bool:
    for kind in STRENGTH:
        different = {one for stronger in sightings for one in stronger if kind_of(one) == kind}
        if len(different) > MOST_STRONGER:
            return True
    return False


def _signed_in(sign_ins: list[tuple[Order, list[str]]], event: Event) -> list[str]:
    """Who had signed in on the device, or else was the first to; nobody where it never had a sign-in."""
    before = [stronger for order, stronger in sign_ins if order[0] <= event["occurred_at"]]
    after = [stronger for order, stronger in sign_ins if order[0] > event["occurred_at"]]
    strongest = before[-1] if before else after[0] if after else []
    return strongest[:1]


def _owner(identifier: str, seen: dict[str, list[tuple[Order, list[str]]]], alias: dict[str, str]) -> str | None:
    """The next step of the climb: of the kinds above the identifier's, the strongest it was seen with."""
    kind = kind_of(identifier)
    if kind == "user_id":
        return alias.get(identifier)
    if kind == "anonymous_id":
        return None
    for above in STRENGTH[: STRENGTH.index(kind)]:
        for _, stronger in seen.get(identifier, []):
            for one in stronger:
                if kind_of(one) == above:
                    return one
    return None


def _aliases(links: list[Declaration]) -> tuple[dict[str, str], list[Declaration]]:
    """Of two user_ids that were linked, which stands for which: the earliest link counts, unless it closes a circle."""
    alias: dict[str, str] = {}
    invalid = []
    for link in links:
        if kind_of(link.weaker) != "user_id" or link.weaker in alias:
            continue
        at: str | None = link.stronger
        while at is not None and at != link.weaker:
            at = alias.get(at)
        if at is None:
            alias[link.weaker] = link.stronger
        else:
            invalid.append(link)
    return alias, invalid
