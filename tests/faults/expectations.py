"""What must be true of the input, as the oracle says: the only place where a verifier asks it."""

from __future__ import annotations

import json
import time
import tomllib
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.registry import FileRegistry
from tests.faults.evidence import CHANNEL_OF_TOPIC, Place
from tests.oracle import Settings, Truth, identifiers_of, prospect_id_of, strongest_identifier, truth_of
from tests.oracle.identity import Event, canonical_json
from tests.translation import SETTINGS, id_of

MOST_BYTES = 65_536
"""Of an event, as the workers of these tests are set up."""
NEVER = 0
"""A wall clock that expires nothing."""
EventKey = tuple[uuid.UUID, str, str]
"""What copies of an event share: the prospect of its strongest identifier, source and event_id."""


class Expectations(NamedTuple):
    """What must become of the input records."""

    truth: Truth
    dead: Mapping[Place, str]
    """Reason by record."""
    applied: frozenset[Place]
    ignored: frozenset[Place]
    shared: frozenset[Place]
    duplicate: frozenset[Place]
    key_of: Mapping[Place, EventKey]
    """Of every accepted record."""
    events: Mapping[Place, Event]
    """All that can be decoded, dead letters too."""
    truth_of: Callable[[Collection[Place], bool], Truth]
    """The truth if only these accepted records had come; else than with `expired`, before the wall clock has expired anything: what holds
    until the ticks come."""

    def related(self, places: Iterable[Place]) -> dict[bytes, bytes]:
        """Each identifier on these accepted records, and one that stands for all that it is connected with, however far.

        What happens to others changes nothing that is told of it.
        """
        leads: dict[bytes, bytes] = {}

        def end(one: bytes) -> bytes:
            while (to := leads.setdefault(one, one)) != one:
                leads[one] = leads[to]
                one = to
            return one

        for place in places:
            first, *others = map(id_of, identifiers_of(self.events[place], SETTINGS.phone_region))
            for other in (first, *others):
                leads[end(other)] = end(first)
        return {one: end(one) for one in tuple(leads)}


def decode(inputs: Mapping[Place, tuple[bytes | None, int]]) -> tuple[dict[Place, Event], dict[Place, str]]:
    """Events by where they are, and the reasons of the records that are none or too large a one."""
    codec = EventCodec(FileRegistry())
    events, dead = {}, {}
    for place, (value, _) in inputs.items():
        try:
            events[place] = codec.decode(CHANNEL_OF_TOPIC[place.topic], value)
        except Undecodable:
            dead[place] = "undecodable"
        if value is not None and len(value) > MOST_BYTES:
            dead[place] = "too_large"
    return events, dead


def expect(inputs: Mapping[Place, tuple[bytes | None, int]], funnels: Sequence[Path]) -> Expectations:
    """Ask the oracle.

    Args:
        inputs: all records of the input topics: value, and timestamp in milliseconds.
        funnels: funnel files.
    """
    events, dead = decode(inputs)
    places = [place for place in events if place not in dead]
    listed = [events[place] for place in places]
    settings = SETTINGS._replace(record_time=1_000 * max((at for _, at in inputs.values()), default=0))
    files = [tomllib.loads(path.read_text()) for path in funnels]
    now = time.time_ns() // 1_000
    truth = truth_of(listed, files, settings, now)
    accounting = truth.accounting
    dead |= {places[index]: reason for index, reason in accounting.dead.items()}

    def named(indexes: Sequence[int]) -> frozenset[Place]:
        return frozenset(places[index] for index in indexes)

    keys = {place: key_of(event, settings) for place, event in events.items() if place not in dead}

    def truth_of_some(some: Collection[Place], expired: bool) -> Truth:
        if expired and len(some) == len(keys):
            return truth
        return truth_of([events[place] for place in some], files, settings, now if expired else NEVER)

    return Expectations(
        truth,
        dead,
        named(accounting.applied),
        named(accounting.ignored),
        named(accounting.shared),
        named(accounting.duplicate),
        keys,
        events,
        truth_of_some,
    )


def key_of(event: Event, settings: Settings = SETTINGS) -> EventKey:
    """What the event's copies share."""
    identifier = strongest_identifier(event, settings.phone_region)
    assert identifier is not None, "only accepted events have a key"
    return prospect_id_of(identifier, settings.id_key), event["source"], event["event_id"]


def write_events(path: Path, events: Sequence[Event], garbage: Sequence[bytes]) -> None:
    """Write down what is sent, for a verifier."""
    document = {"events": [_plain(event) for event in events], "garbage": [value.hex() for value in garbage]}
    path.write_text(json.dumps(document))


def sent_in(path: Path) -> tuple[set[bytes], set[bytes]]:
    """What was sent: the canonical JSON of the distinct events, and the distinct records that are none."""
    document = json.loads(path.read_text())
    return {_canonical(event) for event in document["events"]}, {bytes.fromhex(one) for one in document["garbage"]}


def canonical_of(event: Event) -> bytes:
    """The canonical JSON of an event, to compare what came with what was sent."""
    return canonical_json(event)


def _plain(event: Event) -> Event:
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in event.items()}


def _canonical(event: Event) -> bytes:
    if event.get("amount") is not None:
        event = event | {"amount": Decimal(event["amount"])}
    return canonical_json(event)
