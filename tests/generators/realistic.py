"""Many plausible events, fast, the same for the same seed: for end-to-end runs and benchmarks."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

Event = dict[str, Any]

DAY = 86_400_000_000
START = 1_735_689_600_000_000
"""2025-01-01 00:00 UTC."""

CAMPAIGNS = ("spring-launch", "retargeting", "newsletter-12", "brand", None, None)
PAGES = ("/", "/blog/funnels", "/docs", "/pricing", "/pricing/teams", "/about", "/contact")
BROWSERS = ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (Macintosh)", "Mozilla/5.0 (Windows NT 10.0)")
TAGS = (("google", "cpc"), ("newsletter", "email"), ("linkedin", "social"), ("search", None), ("dv360", "cpm"))
REFERRERS = ("https://shop.example/", None, "https://www.google.com/", None, "https://blog.partner.example/a?b=c")
REPS = ("Ann Lee", "Zoë Öz", "Ivo")
REASONS = ("price", "no budget", "competitor", None)
# (channel, type, outcome): how often, of a thousand.
KINDS: dict[tuple[str, str, str | None], int] = {
    ("web", "page_view", None): 480,
    ("web", "form_submit", None): 30,
    ("web", "content_download", None): 40,
    ("web", "webinar_signup", None): 10,
    ("web", "signup", None): 15,
    ("web", "trial_started", None): 15,
    ("web", "demo_request", None): 20,
    ("web", "add_to_cart", None): 15,
    ("web", "purchase", None): 12,
    ("web", "referral", None): 8,
    ("email", "delivered", None): 110,
    ("email", "opened", None): 90,
    ("email", "clicked", None): 40,
    ("email", "replied", None): 10,
    ("email", "bounced", None): 8,
    ("email", "unsubscribed", None): 7,
    ("call", "scheduled", None): 15,
    ("call", "no_answer", None): 15,
    ("call", "completed", "qualified"): 15,
    ("call", "completed", "demo"): 10,
    ("call", "completed", "proposal"): 8,
    ("call", "completed", "nurture"): 9,
    ("call", "completed", "follow_up"): 6,
    ("call", "completed", "won"): 5,
    ("call", "completed", "lost"): 5,
    ("call", "completed", "disqualified"): 2,
}
SOURCES = {"web": "website", "email": "sendgrid", "call": "aircall"}


def identifiers_of(prospect: int) -> dict[str, str]:
    """Give a prospect's identifiers. Each prospect has one strongest identifier on all its events."""
    if prospect % 4 == 0:
        return {"anonymous_id": f"device-{prospect}"}
    if prospect % 4 == 1:
        return {"user_id": f"user-{prospect}", "email": f"person.{prospect}@example.org"}
    if prospect % 4 == 2:
        return {"email": f"Person.{prospect}@Example.com", "anonymous_id": f"device-{prospect}"}
    return {"phone": f"+1415{2_000_000 + prospect % 7_000_000:07d}"}


def event_of(rng: random.Random, number: int, prospect: int, kind: tuple[str, str, str | None], at: int) -> Event:
    """Draw one event; fields that have no value are left out."""
    channel, type_, outcome = kind
    event: Event = {
        "channel": channel,
        "event_id": f"{channel}-{number:08d}",
        "source": SOURCES[channel],
        "occurred_at": at,
        "type": type_,
        "properties": {},
        **identifiers_of(prospect),
    }
    campaign = rng.choice(CAMPAIGNS)
    if campaign is not None:
        event["campaign"] = campaign
    if prospect % 3 == 0 and rng.random() < 0.5:
        event["account_id"] = f"account-{prospect // 30}"
    if channel == "web":
        event["url"] = "https://shop.example" + rng.choice(PAGES)
        event["user_agent"] = rng.choice(BROWSERS)
        if campaign is not None:
            event["utm_source"], event["utm_medium"] = TAGS[number % len(TAGS)]
        else:
            event["referrer"] = REFERRERS[number % len(REFERRERS)]
        if type_ == "purchase":
            event["amount"] = Decimal(rng.randrange(1_00, 5_000_00)).scaleb(-2)
            event["currency"] = rng.choice(("EUR", "USD"))
        if rng.random() < 0.1:
            event["properties"] = {"plan": rng.choice(("team", "solo"))}
    elif channel == "email":
        event["template"] = "welcome"
    else:
        event["direction"] = rng.choice(("inbound", "outbound"))
        event["rep"] = rng.choice(REPS)
        if outcome is not None:
            event["outcome"] = outcome
            event["duration_seconds"] = rng.randrange(20, 3_000)
        if outcome in ("lost", "disqualified"):
            event["reason"] = rng.choice(REASONS)
        if outcome == "won":
            event["amount"] = Decimal(rng.randrange(1_000_00, 90_000_00)).scaleb(-2)
            event["currency"] = "EUR"
    return event


def generate_events(
    seed: int,
    events: int,
    prospects: int,
    *,
    start: int = START,
    days: float = 80,
    duplicates: float = 0.1,
    differing: float = 0.02,
    shuffled: bool = True,
) -> list[Event]:
    """Generate events as intake decodes them, the same for the same arguments.

    Args:
        seed: of the generator.
        events: how many, copies included.
        prospects: among how many people they are spread, some of them far busier than others.
        start: the earliest occurred_at, microseconds since the epoch.
        days: over how many days they are spread. Keep it below `lateness`, or shuffled events can be too late.
        duplicates: share of `events` that are exact copies of others.
        differing: share of `events` that are copies of others with another body, some with an equal time.
        shuffled: whether they come in a random order; else in the order of time, copies at the end.
    """
    rng = random.Random(seed)
    copies, changed = int(events * duplicates), int(events * differing)
    distinct = events - copies - changed
    kinds = rng.choices(list(KINDS), weights=list(KINDS.values()), k=distinct)
    times = sorted(start + int(rng.random() * days * DAY) for _ in range(distinct))
    result: list[Event] = []
    for number, (kind, at) in enumerate(zip(kinds, times, strict=True)):
        # Skewed: the busiest prospect has many times the usual events, but far fewer than are kept.
        prospect = int(rng.random() ** 1.5 * prospects)
        if result and rng.random() < 0.02:
            at = result[-1]["occurred_at"]
        result.append(event_of(rng, number, prospect, kind, at))
    for _ in range(changed):
        copy = dict(rng.choice(result[:distinct]))
        if rng.random() < 0.6:
            copy["occurred_at"] = max(start, copy["occurred_at"] + rng.randrange(-2 * DAY, 2 * DAY))
        other = event_of(rng, 0, 0, rng.choice([kind for kind in KINDS if kind[0] == copy["channel"]]), 0)
        copy["type"], copy["outcome"] = other["type"], other.get("outcome")
        result.append(copy)
    result += [dict(rng.choice(result)) for _ in range(copies)]
    if shuffled:
        rng.shuffle(result)
    return result


def ndjson_line(event: Event) -> str:
    """Write one event as `journey produce` reads it, nulls left out."""
    fields = {name: value for name, value in event.items() if value is not None}
    at = event["occurred_at"]
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=at)
    # Every form the contract allows that keeps microseconds.
    fields["occurred_at"] = (
        at if at % 3 == 0 else moment.isoformat().replace("+00:00", "Z" if at % 3 == 1 else "+00:00")
    )
    if "amount" in fields:
        fields["amount"] = float(fields["amount"])
    return json.dumps(fields, ensure_ascii=False)


def write_ndjson(path: Path, events: Iterable[Event]) -> None:
    """Write events as NDJSON, one a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(ndjson_line(event) + "\n" for event in events)
