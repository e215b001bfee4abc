"""What must be true of the input, as the oracle says: the only place where a verifier asks it."""

from __future__ import annotations

import json
import time
import tomllib
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.registry import FileRegistry
from tests.faults.evidence import CHANNEL_OF_TOPIC, Place
from tests.oracle import Settings, Truth, prospect_id_of, strongest_identifier, truth_of
from tests.oracle.identity import Event, canonical_json
from tests.translation import SETTINGS

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
    unexpired: Callable[[Collection[bytes]], Truth]
    """The truth about some prospects before the wall clock has expired anything: what holds until the ticks come."""


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
    truth = truth_of(listed, files, settings, time.time_ns() // 1_000)
    accounting = truth.accounting
    dead |= {places[index]: reason for index, reason in accounting.dead.items()}

    def named(indexes: Sequence[int]) -> frozenset[Place]:
        return frozenset(places[index] for index in indexes)

    keys = {place: key_of(event, settings) for place, event in events.items() if place not in dead}

    def unexpired(prospects: Collection[bytes]) -> Truth:
        theirs = [events[place] for place, key in keys.items() if key[0].bytes in prospects]
        return truth_of(theirs, files, settings, NEVER)

    return Expectations(
        truth,
        dead,
        named(accounting.applied),
        named(accounting.ignored),
        named(getattr(accounting, "shared", ())),
        named(accounting.duplicate),
        keys,
        events,
        unexpired,
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
