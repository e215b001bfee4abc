"""Short ways to write histories in tests of the core."""

from __future__ import annotations

from typing import Any

from funnel.events import Touch
from funnel.rules import RuleSet
from tests.oracle.identity import Event
from tests.translation import touch_of

T0 = 1_700_000_000_000_000
"""2023-11-14 22:13:20 UTC: when histories start."""
HOUR = 3_600_000_000
DAY = 24 * HOUR

_FIELDS: dict[str, Any] = {"source": "s", "email": "jane@x.com", "properties": {}}


def event(event_id: str, at: int, channel: str, type_: str, **fields: Any) -> Event:
    """Write an event, `at` microseconds after T0."""
    return {**_FIELDS, "event_id": event_id, "occurred_at": T0 + at, "channel": channel, "type": type_, **fields}


def view(event_id: str, at: int, **fields: Any) -> Event:
    """Write a page view."""
    return event(event_id, at, "web", "page_view", **fields)


def buy(event_id: str, at: int, **fields: Any) -> Event:
    """Write a purchase on the web."""
    return event(event_id, at, "web", "purchase", **fields)


def call(event_id: str, at: int, outcome: str | None, **fields: Any) -> Event:
    """Write a completed call."""
    return event(event_id, at, "call", "completed", outcome=outcome, **fields)


def touches(rules: RuleSet, *events: Event) -> list[Touch]:
    """Make the touches that intake makes of events."""
    return [touch_of(one, rules) for one in events]
