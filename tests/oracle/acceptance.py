"""What becomes of each event: dead letter, losing copy, ignored, or applied (contract, section 1)."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.oracle.clauses import SECOND, FunnelFile, is_relevant
from tests.oracle.identity import Event, canonical_json, strongest_identifier

YEAR_2000 = 946_684_800 * SECOND
AHEAD_OF_RECORD = 5 * 60 * SECOND


class Settings(NamedTuple):
    """What, besides events and funnels, decides rows."""

    id_key: bytes
    phone_region: str | None = None
    record_time: int | None = None
    """The timestamp of the Kafka records (microseconds); None: no event is from the future."""


class Accounting(NamedTuple):
    """What became of each event, by its index in the input. Every index is in exactly one of them."""

    dead: dict[int, str]
    """Index to reason: no_identifier or invalid_time."""
    duplicate: tuple[int, ...]
    ignored: tuple[int, ...]
    applied: tuple[int, ...]


def dead_letter_reason(event: Event, settings: Settings) -> str | None:
    """Give the reason why a decoded event is not accepted; None if it is."""
    if strongest_identifier(event, settings.phone_region) is None:
        return "no_identifier"
    if event["occurred_at"] < YEAR_2000:
        return "invalid_time"
    if settings.record_time is not None and event["occurred_at"] > settings.record_time + AHEAD_OF_RECORD:
        return "invalid_time"
    return None


def account_for(events: list[Event], funnels: list[FunnelFile], settings: Settings) -> Accounting:
    """Say what becomes of each event.

    Of copies, one is applied (or ignored, if no funnel cares about *it*, whatever the others say), the rest are
    duplicates. Of copies that are the same to the byte the first counts, which can't be told from the others.
    """
    dead: dict[int, str] = {}
    copies: dict[tuple[Any, ...], list[int]] = {}
    for index, event in enumerate(events):
        reason = dead_letter_reason(event, settings)
        if reason is not None:
            dead[index] = reason
            continue
        identifier = strongest_identifier(event, settings.phone_region)
        copies.setdefault((event["source"], event["event_id"], identifier), []).append(index)
    duplicate: list[int] = []
    ignored: list[int] = []
    applied: list[int] = []
    for indexes in copies.values():
        first, *rest = sorted(indexes, key=lambda index: (events[index]["occurred_at"], canonical_json(events[index])))
        duplicate += rest
        (applied if any(is_relevant(funnel, events[first]) for funnel in funnels) else ignored).append(first)
    return Accounting(dead, tuple(sorted(duplicate)), tuple(sorted(ignored)), tuple(sorted(applied)))
