"""Clauses and durations of funnel files (contract, section 2)."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

Event = dict[str, Any]
Clause = dict[str, Any]
FunnelFile = dict[str, Any]

SECOND = 1_000_000
UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND, "w": 7 * 86400 * SECOND}

DEFAULT_ACTIVITY: list[Clause] = [
    {"channel": "web"},
    {"channel": "email", "type": ["opened", "clicked", "replied"]},
    {"channel": "call", "type": "completed"},
]


def microseconds(duration: str) -> int:
    """Read a duration such as '90d'."""
    return int(duration[:-1]) * UNITS[duration[-1]]


@cache  # the same few patterns meet the same texts over and over
def glob_matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches: `*` is any run of characters, `?` any one, a backslash takes the next as it is."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\" and position + 1 < len(pattern):
            position += 1
            tokens.append(("this", pattern[position]))
        elif character == "*":
            tokens.append(("run", ""))
        elif character == "?":
            tokens.append(("one", ""))
        else:
            tokens.append(("this", character))
        position += 1
    # Every place in the text that the tokens so far can end at.
    ends = {0}
    for token, character in tokens:
        if token == "run":
            ends = set(range(min(ends), len(text) + 1)) if ends else set()
        elif token == "one":
            ends = {end + 1 for end in ends if end < len(text)}
        else:
            ends = {end + 1 for end in ends if end < len(text) and text[end] == character}
    return len(text) in ends


def field_of(event: Event, key: str) -> str | None:
    """Give the field or property that a clause's key names, as received."""
    if key.startswith("properties."):
        value = (event.get("properties") or {}).get(key.removeprefix("properties."))
    else:
        value = event.get(key)
    if value is None or isinstance(value, str):
        return value
    return f"{value:.2f}" if isinstance(value, Decimal) else str(value)


def clause_matches(clause: Clause, event: Event, prefix: str = "") -> bool:
    """Whether every key of the clause matches the event, `at_least` and `within` aside.

    Keys of a table within the clause stand with its name and a dot before them: TOML reads an unquoted `properties.plan` so.
    """
    for own_key, wanted in clause.items():
        key = prefix + own_key
        if key in ("at_least", "within"):
            continue
        if isinstance(wanted, dict):
            if not clause_matches(wanted, event, f"{key}."):
                return False
            continue
        if key == "min_duration_seconds":
            duration = event.get("duration_seconds")
            if duration is None or duration < wanted:
                return False
            continue
        value = field_of(event, key)
        if value is None or not any_matches(wanted, value):
            return False
    return True


def any_matches(wanted: str | list[str], value: str) -> bool:
    """Whether the value matches a pattern, or one of several."""
    if isinstance(wanted, str):
        return glob_matches(wanted, value)
    return any(glob_matches(pattern, value) for pattern in wanted)


def activity_of(funnel: FunnelFile) -> list[Clause]:
    """Give the clauses that say what counts as being active."""
    activity: list[Clause] = funnel.get("activity", DEFAULT_ACTIVITY)
    return activity


def is_relevant(funnel: FunnelFile, event: Event) -> bool:
    """Whether some clause of the funnel matches the event, `at_least` aside."""
    clauses = [clause for stage in funnel["stage"] for clause in stage["enter"]]
    clauses += funnel.get("lost", {}).get("on", [])
    clauses += [clause for back in funnel.get("back", []) for clause in back["on"]]
    clauses += activity_of(funnel) + funnel.get("handoff", {}).get("touch", [])
    clauses += [clause for snooze in funnel.get("snooze", []) for clause in snooze["on"]]
    return any(clause_matches(clause, event) for clause in clauses)
