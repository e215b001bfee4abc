"""Small histories that sit on every border of the contract: ties, windows, rests, copies that differ."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.generators.funnels import CAMPAIGNS, OUTCOMES, PLANS, TYPES, URLS, clauses_in, random_funnel
from tests.oracle.clauses import microseconds
from tests.oracle.identity import STRENGTH, kind_of, strongest_identifier

Event = dict[str, Any]
FunnelFile = dict[str, Any]

START = 1_709_251_199_000_000
"""2024-02-29 23:59:59 UTC: a second before midnight, at the end of a leap day."""

PHONE_REGION = "US"
"""As in the settings of the tests that use these cases; all phone numbers here have a country code anyway."""

PEOPLE: tuple[dict[str, str], ...] = (
    {"email": "jane@x.com"},
    {"email": " Jane@X.com", "phone": "+14155550100", "anonymous_id": "browser-1"},
    {"user_id": "u1", "email": "jane@x.com"},
    {"user_id": "guest", "phone": "+14155550100"},
    {"anonymous_id": "browser-1"},
)
"""What people are known by; the first two start alike, and all of them may turn out to be one."""


COMMON = {"channel", "event_id", "source", "occurred_at", "anonymous_id", "user_id", "email", "phone", "account_id"}
COMMON |= {"type", "campaign", "properties"}
OWN = {
    "web": {"url", "amount", "currency"},
    "email": {"url"},
    "call": {"outcome", "duration_seconds", "reason", "rep", "amount", "currency"},
}
"""Of the fields that each channel has beside the common ones, those that are drawn."""


def of_its_channel(event: Event) -> Event:
    """Leave out the fields that events of this channel don't have."""
    return {name: value for name, value in event.items() if name in COMMON | OWN[event["channel"]]}


class Case(NamedTuple):
    """Funnels, events of a few prospects, and a wall clock to look at them by."""

    funnels: list[FunnelFile]
    events: list[Event]
    now: int


def random_event(
    rng: random.Random, occurred_at: int, number: int, person: dict[str, str], wanted: dict[str, Any] | None = None
) -> Event:
    """Draw an event from a small alphabet; one that is likely to match the clause `wanted`, if given."""
    hints = {key: value if isinstance(value, str) else rng.choice(value) for key, value in (wanted or {}).items()
             if key in ("channel", "type", "outcome", "campaign")}  # fmt: skip
    channel = hints.get("channel") or rng.choice(
        [c for c in TYPES if hints.get("type") in (None, *TYPES[c])] or ["web"]
    )
    event: Event = {
        "channel": channel,
        "event_id": str(number),
        "source": rng.choice(("s", "s", "t")),
        "occurred_at": occurred_at,
        "type": rng.choice(TYPES[channel]),
        "properties": {"plan": rng.choice(PLANS)} if rng.random() < 0.2 else {},
        **person,
    }
    if rng.random() < 0.3:
        event["account_id"] = rng.choice(("acme", " acme ", "globex", "", "  "))
    if rng.random() < 0.3:
        event["campaign"] = rng.choice(CAMPAIGNS)
    if channel == "call":
        event["outcome"] = rng.choice((*OUTCOMES, "", None))
        event["duration_seconds"] = rng.choice((None, 0, 59, 60, 61))
        event["reason"] = rng.choice((None, None, "", "price"))
        event["rep"] = rng.choice((None, "ann"))
    elif rng.random() < 0.7:
        event["url"] = rng.choice(URLS)
    if channel != "email" and rng.random() < 0.4:
        event["amount"] = rng.choice((Decimal("0.00"), Decimal("9.90"), Decimal("-1.25"), Decimal("100.00")))
        event["currency"] = rng.choice(("EUR", "USD"))
    event.update({key: value for key, value in hints.items() if "*" not in value and "?" not in value})
    return of_its_channel(event)


def random_gap(rng: random.Random, lengths: list[int]) -> int:
    """Draw a distance in time that is likely to lie on a border of the funnels."""
    kind = rng.random()
    if kind < 0.25:
        return 0
    if kind < 0.45:
        return rng.choice((1, 2, 1_000_000, 60_000_000))
    return rng.choice(lengths) + rng.choice((-1, 0, 0, 1))


def lengths_in(thing: Any) -> set[int]:
    """Collect the durations in funnel files, in microseconds."""
    if isinstance(thing, list):
        return set().union(*map(lengths_in, thing))
    if not isinstance(thing, dict):
        return set()
    found = {microseconds(thing[key]) for key in ("window", "within", "stall_after", "respond_within") if key in thing}
    found |= {microseconds(length) for length in thing.get("rest", {}).values() if isinstance(length, str)}
    return found.union(*map(lengths_in, thing.values()))


def random_copy(rng: random.Random, event: Event, lengths: list[int]) -> Event:
    """Draw a copy of an event: same source, event_id and strongest identifier, the rest perhaps not."""
    copy = dict(event)
    if rng.random() < 0.5:
        copy["occurred_at"] += random_gap(rng, lengths) * rng.choice((-1, 1))
    if rng.random() < 0.8:
        other = random_event(rng, copy["occurred_at"], 0, {})
        copy["channel"], copy["type"] = other["channel"], other["type"]
        for name in ("outcome", "url", "amount", "currency", "account_id", "properties"):
            if rng.random() < 0.5:
                copy[name] = {} if name == "properties" else None
                copy.update({name: other[name]} if name in other else {})
    return of_its_channel(copy)


def random_case(rng: random.Random, max_events: int = 14) -> Case:
    """Draw funnels and a history; `max_events` is 3 or more."""
    funnels = [random_funnel(rng, name) for name in ("f", "g", "h")[: rng.choice((1, 1, 2, 3))]]
    lengths = sorted(lengths_in(funnels))
    clauses = [clause for funnel in funnels for clause in clauses_in(funnel)]
    people = [rng.choice(PEOPLE) for _ in range(rng.choice((1, 1, 2, 3)))]
    events: list[Event] = []
    for number in range(rng.randint(rng.choice((1, 3)), max_events)):
        if events and rng.random() < 0.12:
            events.append(random_copy(rng, rng.choice(events), lengths))
            continue
        # Mostly from the last event on, but also from any other: borders lie between events far apart too.
        base = (events[-1] if rng.random() < 0.6 else rng.choice(events))["occurred_at"] if events else START
        wanted = rng.choice(clauses) if rng.random() < 0.6 else None
        events.append(random_event(rng, base + random_gap(rng, lengths), number, rng.choice(people), wanted))
    latest = max(event["occurred_at"] for event in events)
    return Case(funnels, events, now=latest + random_gap(rng, lengths) + random_gap(rng, lengths))


def cases(max_events: int = 14) -> st.SearchStrategy[Case]:
    """Cases for Hypothesis, drawn by a seed.

    Hypothesis choosing every number itself would shrink better, but prefers small and equal ones so much that a
    tenth as many visits get anywhere. `smallest` shrinks instead.
    """
    return st.integers(0, 2**63 - 1).map(lambda seed: random_case(random.Random(seed), max_events))


def strangers(case: Case) -> Case:
    """Give the case without what joins people: of each event only its strongest usable identifier stays."""
    events = []
    for event in case.events:
        kind = kind_of(strongest_identifier(event, PHONE_REGION) or "")
        events.append({name: value for name, value in event.items() if name not in STRENGTH or name == kind})
    return case._replace(events=events)
