"""The events of the benchmark: drawn once, the same for the same seed, in the order in which a live stream would bring them."""

from __future__ import annotations

import random
import tomllib
from typing import NamedTuple

from agents.acceptance import phone_parser
from benchmarks.job import Job
from funnel.identifiers import identify, prospect_id
from tests.generators import generate_events, generate_population, with_sign_ins
from tests.generators.crowds import Event
from tests.oracle import Settings, truth_of
from tests.pipeline import SALES

ID_KEY = b"benchmarks benchmarks benchmarks"
SEED = 11
DAY = 86_400_000_000
PEOPLE = 0.45
"""Of the prospects who come of a population, how many are people somebody knows."""
SETTINGS = Settings(id_key=ID_KEY, phone_region=None)


class Keyed(NamedTuple):
    """One record of the input topic."""

    prospect: bytes
    raw: bytes
    """The framed Avro event."""
    channel: str


class Flow(NamedTuple):
    """A stream to measure end to end, and what must come of it."""

    events: list[Keyed]
    rows: int
    """Of `stage_transitions`, expiries aside."""
    prospects: int
    """About how many."""


def keyed_events(events: int, prospects: int) -> list[Keyed]:
    """Framed events keyed by prospect: 2% copies, 0.5% copies that differ, 3% late by up to two days."""
    return _keyed(_plain(events, prospects))


def stitched_events(events: int, prospects: int) -> Flow:
    """The same, but that 60% of the events on the web name only a device; of these a fifth are on one on which somebody signs in later.

    Those who never sign in are prospects, too: there are half as many people, so that there are as many prospects.
    """
    return _stitched(with_sign_ins(SEED, _plain(events, prospects // 2)))


def population_events(events: int, prospects: int) -> Flow:
    """The same of people with up to two accounts, two addresses, four devices and a phone, who share laptops and kiosks.

    About as many prospects come of it; visitors whom nobody knows are the others.
    """
    people = int(prospects * PEOPLE)
    return _stitched(generate_population(SEED, events, people, duplicates=0.02, differing=0.005, shuffled=False))


def _plain(events: int, prospects: int) -> list[Event]:
    return generate_events(SEED, events, prospects, duplicates=0.02, differing=0.005, shuffled=False)


def _stitched(drawn: list[Event]) -> Flow:
    """With what the oracle says must come of it."""
    now = max(event["occurred_at"] for event in drawn)
    truth = truth_of(drawn, [tomllib.loads(SALES.read_text())], SETTINGS, now)
    return Flow(_keyed(drawn), sum(row.kind != "expired" for row in truth.transitions), len(truth.prospects))


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
