"""The events of the benchmark: drawn once, the same for the same seed, in the order in which a live stream would bring them."""

from __future__ import annotations

import random
import tomllib
from typing import NamedTuple

from agents.acceptance import phone_parser
from benchmarks.job import Job
from funnel.identifiers import identify, prospect_id
from tests.generators import generate_events
from tests.generators.crowds import Event, generate_population
from tests.oracle import Settings, truth_of
from tests.pipeline import SALES

ID_KEY = b"benchmarks benchmarks benchmarks"
SEED = 11
DAY = 86_400_000_000
SETTINGS = Settings(id_key=ID_KEY, phone_region=None)


class Keyed(NamedTuple):
    """One record of the input topic."""

    prospect: bytes
    raw: bytes
    """The framed Avro event."""
    channel: str


def keyed_events(events: int, prospects: int) -> list[Keyed]:
    """Framed events keyed by prospect: 2% copies, 0.5% copies that differ, 3% late by up to two days."""
    return _keyed(generate_events(SEED, events, prospects, duplicates=0.02, differing=0.005, shuffled=False))


def stitched_events(events: int, people: int) -> tuple[list[Keyed], int]:
    """The same of people with devices, and how many transitions must come of them (expiries aside), as the oracle says.

    Of events on the web 60% name only a device; on a fifth of these devices somebody signs in later.
    """
    drawn = generate_population(SEED, events, people, duplicates=0.02, differing=0.005, shuffled=False)
    now = max(event["occurred_at"] for event in drawn)
    truth = truth_of(drawn, [tomllib.loads(SALES.read_text())], SETTINGS, now)
    return _keyed(drawn), sum(row.kind != "expired" for row in truth.transitions)


def _keyed(drawn: list[Event]) -> list[Keyed]:
    rng = random.Random(SEED)
    drawn.sort(key=lambda event: event["occurred_at"] + (rng.randrange(2 * DAY) if rng.random() < 0.03 else 0))
    job, parse_phone = Job(), phone_parser(None)
    ids: dict[str, bytes] = {}
    keyed = []
    for event in drawn:
        canonical = identify(event, parse_phone)[0].canonical
        prospect = ids.get(canonical)
        if prospect is None:
            prospect = ids[canonical] = prospect_id(ID_KEY, canonical)
        keyed.append(Keyed(prospect, job.codec.encode(event), event["channel"]))
    return keyed
