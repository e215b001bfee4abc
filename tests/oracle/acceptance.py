"""Which events are accepted, and which of their copies count (contract, section 1)."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.oracle.clauses import SECOND
from tests.oracle.identity import Event, canonical_json, strongest_identifier

YEAR_2000 = 946_684_800 * SECOND
AHEAD_OF_RECORD = 5 * 60 * SECOND


class Settings(NamedTuple):
    """What, besides events, declarations and funnels, decides rows."""

    id_key: bytes
    phone_region: str | None = None
    record_time: int | None = None
    """The timestamp of the Kafka records (microseconds); None: nothing is from the future."""
    most_stronger: int = 50
    """An identifier seen with more different stronger ones of one kind is shared; split pairs don't count."""
    most_ever: int = 128
    """So is one that was seen with, or linked to, more of one kind, whatever was split: what it must remember is bounded."""
    channels: tuple[dict[str, Any], ...] = ()
    """Channel rules, as `tomllib` reads them."""


class Accepted(NamedTuple):
    """What intake and copies leave, by index in the input. Every index is in exactly one of them."""

    dead: dict[int, str]
    """Index to reason: no_identifier or invalid_time."""
    duplicate: tuple[int, ...]
    distinct: tuple[int, ...]


def is_invalid_time(occurred_at: int, settings: Settings) -> bool:
    """Whether it lies before 2000, or too far after the Kafka record's own timestamp."""
    if occurred_at < YEAR_2000:
        return True
    return settings.record_time is not None and occurred_at > settings.record_time + AHEAD_OF_RECORD


def dead_letter_reason(event: Event, settings: Settings) -> str | None:
    """Give the reason why a decoded event is not accepted; None if it is."""
    if strongest_identifier(event, settings.phone_region) is None:
        return "no_identifier"
    return "invalid_time" if is_invalid_time(event["occurred_at"], settings) else None


def accept(events: list[Event], settings: Settings) -> Accepted:
    """Say which events are accepted, and of copies which one counts.

    Of copies that are the same to the byte the first counts, which can't be told from the others.
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
    distinct: list[int] = []
    for indexes in copies.values():
        first, *rest = sorted(indexes, key=lambda index: (events[index]["occurred_at"], canonical_json(events[index])))
        duplicate += rest
        distinct.append(first)
    return Accepted(dead, tuple(sorted(duplicate)), tuple(sorted(distinct)))
