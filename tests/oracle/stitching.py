"""Whose each event is (contract, section 4), from the whole set of accepted events and declarations at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tests.oracle.acceptance import Settings
from tests.oracle.declarations import Declaration, Pair, aliases_of, latest_of_each_pair
from tests.oracle.identity import STRENGTH, Event, Place, identifiers_of, kind_of, place


class Sighting(NamedTuple):
    """An identifier was seen with stronger ones on an event, or was linked to one."""

    before_all: bool
    """Of a link; it counts before every event."""
    place: Place
    stronger: tuple[str, ...]
    """Those it isn't split from, the strongest first; at least one."""

    @property
    def since(self) -> int:
        """When it occurred."""
        return self.place[0]


class Step(NamedTuple):
    """A way goes on from one identifier to another."""

    to: str
    since: int
    """When the event or the link that decided it occurred."""


class Stitched(NamedTuple):
    """Whose everything is."""

    owner: list[str | None]
    """By event: canonical form of the identifier where its way ends; None where it is shared."""
    ways: list[list[str]]
    """By event: every identifier on its way, from its start to its end, or up to the first that is shared."""
    end: dict[str, str | None]
    """The same for each identifier on an event."""
    steps: dict[str, list[Step]]
    """Where the events of an identifier may go on to: of a device, each that signed in on it. Nowhere from shared ones."""
    shared: dict[str, int]
    """The identifiers that are nobody's, and with how many different stronger ones each was seen."""
    circles: list[Declaration]
    """Links of user_ids that would close a circle."""


def stitch(events: Sequence[Event], declarations: Sequence[Declaration], settings: Settings) -> Stitched:
    """Say whose each event is.

    Args:
        events: accepted ones, without those that are copies of another.
        declarations: accepted ones.
        settings: see there.
    """
    latest = latest_of_each_pair(declarations)
    links = [one for one in latest.values() if one.type == "link"]
    whose = [identifiers_of(event, settings.phone_region) for event in events]
    sightings = _sightings(events, whose, latest, settings)
    shared = _shared(sightings, whose, declarations, settings)
    alias, circles = aliases_of(link for link in links if kind_of(link.weaker) == "user_id")

    def climb(way: list[str]) -> str | None:
        """Go on to the end of the way; None if something on it is shared."""
        while step := _climbs_to(way[-1], sightings, alias):
            way.append(step.to)
        return None if any(identifier in shared for identifier in way) else way[-1]

    owner = []
    ways = []
    for event, identifiers in zip(events, whose, strict=True):
        start = identifiers[0]
        on_device = _sign_in_for(event["occurred_at"], sightings[start]) if kind_of(start) == "anonymous_id" else None
        way = [start] if on_device is None else [start, on_device.stronger[0]]
        owner.append(climb(way))
        ways.append(way[: 1 + next((at for at, one in enumerate(way) if one in shared), len(way))])
    end = {}
    for identifier in {one for identifiers in whose for one in identifiers}:
        sign_ins = sightings[identifier] if kind_of(identifier) == "anonymous_id" else []
        end[identifier] = climb([identifier, sign_ins[-1].stronger[0]] if sign_ins else [identifier])
    steps = {}
    for identifier in [*sightings, *alias]:
        if identifier not in shared:
            steps[identifier] = _steps(identifier, sightings, alias)
    return Stitched(owner, ways, end, {of: found for of, found in steps.items() if found}, shared, circles)


def _sightings(
    events: Sequence[Event], whose: list[list[str]], latest: dict[Pair, Declaration], settings: Settings
) -> dict[str, list[Sighting]]:
    """Collect for each weaker identifier what it was seen with, in the order, links before all."""
    sightings: dict[str, list[Sighting]] = defaultdict(list)
    for (weaker, stronger), one in latest.items():
        if one.type == "link" and kind_of(weaker) != "user_id":
            link_place = (one.occurred_at, one.source, one.event_id, stronger)
            sightings[weaker].append(Sighting(True, link_place, (stronger,)))
    for event, identifiers in zip(events, whose, strict=True):
        for at, weaker in enumerate(identifiers):
            stronger = tuple(one for one in identifiers[:at] if not _is_split(latest.get((weaker, one))))
            if stronger:
                sightings[weaker].append(Sighting(False, place(event, settings.phone_region), stronger))
    for found in sightings.values():
        found.sort(key=lambda sighting: (not sighting.before_all, sighting.place))
    return sightings


def _is_split(declaration: Declaration | None) -> bool:
    return declaration is not None and declaration.type == "split"


def _shared(
    sightings: dict[str, list[Sighting]],
    whose: list[list[str]],
    declarations: Sequence[Declaration],
    settings: Settings,
) -> dict[str, int]:
    """Say which identifiers are nobody's, and with how many of the kind of which there are most they were seen or linked.

    What was split counts in that number, and against `most_ever`, but not against `most_stronger`.
    """
    ever: dict[str, set[str]] = defaultdict(set)
    for identifiers in whose:
        for at, weaker in enumerate(identifiers):
            ever[weaker].update(identifiers[:at])
    for one in declarations:
        if one.type == "link" and kind_of(one.weaker) != "user_id":
            ever[one.weaker].add(one.stronger)
    shared = {}
    for identifier, found in ever.items():
        now = {one for sighting in sightings[identifier] for one in sighting.stronger}
        if _most_of_a_kind(now) > settings.most_stronger or _most_of_a_kind(found) > settings.most_ever:
            shared[identifier] = min(_most_of_a_kind(found), settings.most_ever + 1)
    return shared


def _most_of_a_kind(identifiers: set[str]) -> int:
    return max(sum(kind_of(one) == kind for one in identifiers) for kind in STRENGTH)


def _sign_in_for(occurred_at: int, sign_ins: list[Sighting]) -> Sighting | None:
    """Give the latest sign-in on a device up to an instant, else the first after it, else none."""
    before = [one for one in sign_ins if one.before_all or one.place[0] <= occurred_at]
    if before:
        return before[-1]
    return sign_ins[0] if sign_ins else None


def _climbs_to(identifier: str, sightings: dict[str, list[Sighting]], alias: dict[str, Declaration]) -> Step | None:
    """Give the next step of the climb: of the kinds above, the strongest it was seen with; of that kind the earliest."""
    if identifier in alias:
        return Step(alias[identifier].stronger, alias[identifier].occurred_at)
    if kind_of(identifier) not in ("email", "phone"):
        return None
    for above in STRENGTH:
        for sighting in sightings.get(identifier, []):
            for one in sighting.stronger:
                if kind_of(one) == above:
                    return Step(one, sighting.since)
    return None


def _steps(identifier: str, sightings: dict[str, list[Sighting]], alias: dict[str, Declaration]) -> list[Step]:
    """Give where events of an identifier may go on to, each with what leads there first."""
    if kind_of(identifier) != "anonymous_id":
        step = _climbs_to(identifier, sightings, alias)
        return [] if step is None else [step]
    first: dict[str, int] = {}
    for sign_in in sightings[identifier]:
        first.setdefault(sign_in.stronger[0], sign_in.since)
    return [Step(to, since) for to, since in first.items()]
