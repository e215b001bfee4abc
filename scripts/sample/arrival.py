"""From what happened to what arrives: written down as each tool writes it, now and then twice, now and then late."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from scripts.sample.clock import HOUR, MINUTE
from scripts.sample.stories import Told
from scripts.sample.tables import SEED

DAY = 24 * HOUR
_DUPLICATES = 3
"""Of a hundred events, how many arrive twice."""
_BROKEN_TAGS = 12
"""Page views of visitors that no identifier survived of: the tag sent the word "undefined"."""
_FIELDS = (
    *(
        "event_id",
        "occurred_at",
        "type",
        "channel",
        "source",
        "email",
        "anonymous_id",
        "user_agent",
        "phone",
        "account_id",
    ),
    *("campaign", "utm_source", "utm_medium", "referrer", "url", "template"),
    *("direction", "rep", "duration_seconds", "outcome", "reason", "amount", "currency", "properties"),
)


def lines_of(told: list[Told]) -> tuple[list[str], dict[str, int]]:
    """The events as lines of NDJSON in the order of their arrival, and how many of them are copies and broken."""
    rng = random.Random(f"{SEED}:arrival")
    arrivals: list[tuple[datetime, int, str]] = []
    copies = 0
    for at, event in sorted(told, key=lambda one: (one.at, one.event["source"], one.event["event_id"])):
        arrived = at + timedelta(seconds=_delay(event, rng))
        arrivals.append((arrived, len(arrivals), _line(at, event)))
        for again, late, copy in _copies(at, event, rng):
            arrivals.append((arrived + timedelta(seconds=late), len(arrivals), _line(again, copy)))
            copies += 1
    broken = rng.sample([one for one in told if one.event["type"] == "page_view"], _BROKEN_TAGS)
    for number, (at, event) in enumerate(broken, 1):
        ghost = {name: value for name, value in event.items() if name != "email"} | {
            "event_id": f"tag.{number}",
            "anonymous_id": "undefined",
        }
        arrivals.append((at + timedelta(seconds=2), len(arrivals), _line(at, ghost)))
    return [line for *_, line in sorted(arrivals)], {"copies": copies, "without_identifier": _BROKEN_TAGS}


def _delay(event: dict[str, Any], rng: random.Random) -> int:
    """Seconds from happening to arriving."""
    chance = rng.randrange(1_000)
    if chance < 4:  # a tool's outage, a closed laptop, a forgotten sync
        return rng.randrange(DAY, 20 * DAY)
    if event["channel"] == "call":  # logged after the call, a few at the end of the day
        return rng.randrange(20 * MINUTE, 2 * HOUR) if chance < 900 else rng.randrange(4 * HOUR, 10 * HOUR)
    if event["channel"] == "email":
        return rng.randrange(2, 90) if chance < 980 else rng.randrange(HOUR, 6 * HOUR)
    return rng.randrange(1, 5) if chance < 985 else rng.randrange(10 * MINUTE, 8 * HOUR)


def _copies(at: datetime, event: dict[str, Any], rng: random.Random) -> Iterator[tuple[datetime, int, dict[str, Any]]]:
    """Further copies of an event: (when it says it happened, seconds after the first that it arrives, its body)."""
    if rng.randrange(100) >= _DUPLICATES:
        return
    late = rng.randrange(5, 30) if rng.randrange(10) else rng.randrange(HOUR, 3 * DAY)
    kind = rng.randrange(10)
    if kind < 6:  # delivered twice
        yield at, late, event
    elif kind < 8:  # sent again by the tool's retry, which stamps it anew
        yield (
            at + timedelta(seconds=rng.randrange(1, 90)),
            late,
            event | {"properties": event.get("properties", {}) | {"attempt": "2"}},
        )
    elif "amount" in event:  # corrected in the CRM after the fact: the earliest copy counts
        amount = f"{int(event['amount'].partition('.')[0]) * 11 // 10}.00"
        yield at + timedelta(minutes=rng.randrange(1, 30)), late, event | {"amount": amount}
    else:  # the same instant, enriched on the way
        yield at, late, event | {"properties": event.get("properties", {}) | {"enriched": "true"}}


def _line(at: datetime, event: dict[str, Any]) -> str:
    record = event | {"occurred_at": _written(at, event)}
    return json.dumps(
        {name: record[name] for name in _FIELDS if record.get(name) not in (None, {})},
        separators=(",", ":"),
        ensure_ascii=False,
    )


def _written(at: datetime, event: dict[str, Any]) -> str | int:
    """The time as the tool writes it: the mailer in epoch seconds, the American call log in local time, the rest in UTC."""
    if event["source"] == "sendgrid":
        return int(at.timestamp())
    if event["channel"] == "call" and event.get("phone", "").startswith("+1"):
        return at.astimezone(timezone(timedelta(hours=-6))).isoformat()
    return at.isoformat().replace("+00:00", "Z")
