"""Durations as people write them in funnel files and settings: `90d`, `12h`, `30m`."""

from __future__ import annotations

import re
from collections.abc import Mapping

MICROSECONDS = 1_000_000
UNIT_SECONDS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+)([smhdw])", re.ASCII)
_LONGEST_SECONDS = 100_000 * 86_400


def parse_duration(text: object, unit_seconds: Mapping[str, int] = UNIT_SECONDS) -> int:
    """Microseconds of a duration such as `90d`.

    Args:
        text: the duration.
        unit_seconds: how long each unit is; by a calendar, days and weeks are shorter (`funnel.calendar`).

    Raises:
        ValueError: it is not a whole number followed by s, m, h, d or w (or more than 100,000 days).
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("expected a duration: a whole number followed by s, m, h, d or w, such as 90d")
    seconds = int(match[1]) * unit_seconds[match[2]]
    if seconds > _LONGEST_SECONDS:
        raise ValueError("expected a duration of at most 100000d")
    return seconds * MICROSECONDS


def checked_duration(text: str) -> str:
    """The duration as it was written. Raises ValueError as `parse_duration` does."""
    parse_duration(text)
    return text


def shown(microseconds: int) -> str:
    """A duration as people write it, in the largest unit of which it is a whole number; parts of a second as a fraction."""
    seconds, rest = divmod(microseconds, MICROSECONDS)
    if rest or not seconds:
        return f"{microseconds / MICROSECONDS:g}s"
    unit, size = max(
        ((unit, size) for unit, size in UNIT_SECONDS.items() if seconds % size == 0 and unit != "w"),
        key=lambda found: found[1],
    )
    return f"{seconds // size}{unit}"
