"""Many plausible events of people with several devices, addresses and phones: for end-to-end runs that stitch.

Most visitors stay anonymous. Others sign in sooner or later, share laptops, are called at the company's number, and
write to info@.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from tests.generators.realistic import DAY, KINDS, START, event_of
from tests.oracle.identity import STRENGTH, strongest_identifier

Event = dict[str, Any]
Identifiers = dict[str, str]

ANONYMOUS = 0.6
"""Of web events, how many carry nothing but a device ..."""
SIGN_IN_LATER = 0.2
"""... and of these, on how many of the devices somebody signs in later."""
LAPTOPS = 0.05
"""Of people, how many have a laptop in common with somebody else."""
TWO_ACCOUNTS = 0.02
"""Of people, how many use one email with two user_ids."""
CROWD = 60
"""So many people are seen at a kiosk, behind a switchboard, with info@: more than 50, all of whom are nobody's then."""
BIG_CROWD = 140
"""And at one kiosk more than anybody needs to remember."""
PHONE_REGION = "US"


class Person(NamedTuple):
    """What somebody is known by."""

    user_ids: list[str]
    emails: list[str]
    phone: str
    devices: list[str]


def _person(rng: random.Random, number: int) -> Person:
    user_ids = [f"user-{number}"] if rng.random() < 0.6 else []
    if user_ids and rng.random() < TWO_ACCOUNTS:
        user_ids.append(f"user-{number}-work")
    emails = [f"Person.{number}@Example.com"]
    if rng.random() < 0.15:
        emails.append(f"p{number}@work.example")
    devices = [f"device-{number}-{at}" for at in range(rng.choice((1, 1, 2, 3)))]
    if number and rng.random() < LAPTOPS:
        devices.append(f"device-{number - 1}-0")
    return Person(user_ids, emails, f"+1415{2_000_000 + number % 7_000_000:07d}", devices)


def _on_web(rng: random.Random, person: Person, visitors: int, waiting: list[tuple[Person, str]]) -> Identifiers:
    """Draw who a web event is of; `waiting` are those who are going to sign in on a device."""
    if rng.random() < ANONYMOUS:
        if rng.random() >= SIGN_IN_LATER:
            return {"anonymous_id": f"visitor-{int(rng.random() ** 1.5 * visitors)}"}
        device = rng.choice(person.devices)
        waiting.append((person, device))
        return {"anonymous_id": device}
    if waiting and rng.random() < 0.8:
        who, device = waiting.pop(rng.randrange(len(waiting)))
    else:
        who, device = person, rng.choice(person.devices)
    found = {"anonymous_id": device}
    if who.user_ids and rng.random() < 0.6:
        found["user_id"] = rng.choice(who.user_ids)
    if "user_id" not in found or rng.random() < 0.4:
        found["email"] = rng.choice(who.emails)
    return found


def _by_email(rng: random.Random, person: Person) -> Identifiers:
    found = {"email": rng.choice(person.emails)}
    if person.user_ids and rng.random() < 0.3:
        found["user_id"] = rng.choice(person.user_ids)
    return found


def _by_phone(rng: random.Random, person: Person) -> Identifiers:
    found = {"phone": person.phone}
    if rng.random() < 0.3:
        found["email"] = rng.choice(person.emails)
    if person.user_ids and rng.random() < 0.15:
        found["user_id"] = rng.choice(person.user_ids)
    return found


def _crowds(rng: random.Random, known: list[Person]) -> list[tuple[str, Identifiers]]:
    """Give what makes identifiers shared, by channel: as many different people as there are, up to what is needed."""
    met: list[tuple[str, Identifiers]] = []
    for device, size in (("kiosk-1", CROWD), ("kiosk-2", BIG_CROWD)):
        for person in rng.sample(known, min(size, len(known))):
            met.append(("web", {"anonymous_id": device, "email": person.emails[0]}))
            if rng.random() < 0.5:
                met.append(("web", {"anonymous_id": device}))
    for person in rng.sample(known, min(CROWD, len(known))):
        met.append(("call", {"phone": "+14159999999", "email": person.emails[0]}))
        if rng.random() < 0.3:
            met.append(("call", {"phone": "+14159999999"}))
    with_account = [person for person in known if person.user_ids]
    for person in rng.sample(with_account, min(CROWD, len(with_account))):
        met.append(("email", {"email": "info@shop.example", "user_id": person.user_ids[0]}))
        if rng.random() < 0.3:
            met.append(("email", {"email": "info@shop.example"}))
    rng.shuffle(met)
    return met


def generate_population(
    seed: int,
    events: int,
    people: int,
    start: int = START,
    *,
    days: float = 80,
    duplicates: float = 0.1,
    differing: float = 0.02,
    shuffled: bool = True,
) -> list[Event]:
    """Generate events as intake decodes them, the same for the same arguments.

    Args:
        seed: of the generator.
        events: how many, copies included. Crowds are left out where they would be more than a fifth.
        people: how many of them are known by more than a device; there are as many visitors that aren't.
        start: the earliest occurred_at, microseconds since the epoch.
        days: over how many days they are spread. Keep it below `lateness`, or shuffled events can be too late.
        duplicates: share of `events` that are exact copies of others.
        differing: share of `events` that are copies with another time or body, or other weaker identifiers.
        shuffled: whether they come in a random order; else in the order of time, copies at the end.
    """
    rng = random.Random(seed)
    copies, changed = int(events * duplicates), int(events * differing)
    distinct = events - copies - changed
    known = [_person(rng, number) for number in range(people)]
    crowds = _crowds(rng, known)
    at_crowds = set(rng.sample(range(distinct), len(crowds))) if len(crowds) * 5 <= distinct else set()
    of_channel = {channel: [kind for kind in KINDS if kind[0] == channel] for channel in ("web", "email", "call")}
    times = sorted(start + int(rng.random() * days * DAY) for _ in range(distinct))
    waiting: list[tuple[Person, str]] = []
    result: list[Event] = []
    for number, at in enumerate(times):
        if result and rng.random() < 0.02:
            at = result[-1]["occurred_at"]
        channel = rng.choices(("web", "email", "call"), weights=(645, 265, 90))[0]
        # Skewed, as in `generate_events`: the busiest have many times the usual events, but far fewer than are kept.
        person = known[int(rng.random() ** 1.5 * people)]
        if number in at_crowds:
            channel, whose = crowds.pop()
        elif channel == "web":
            whose = _on_web(rng, person, people, waiting)
        else:
            whose = _by_email(rng, person) if channel == "email" else _by_phone(rng, person)
        kinds = of_channel[channel]
        kind = rng.choices(kinds, weights=[KINDS[one] for one in kinds])[0]
        result.append(_event(rng, number, kind, at, whose))
    result += [_changed(rng, rng.choice(result[:distinct]), start, known) for _ in range(changed)]
    result += [dict(rng.choice(result)) for _ in range(copies)]
    if shuffled:
        rng.shuffle(result)
    return result


def _event(
    rng: random.Random, number: int, kind: tuple[str, str, str | None], at: int, identifiers: Identifiers
) -> Event:
    """Draw an event of somebody."""
    drawn = event_of(rng, number, rng.randrange(3_000), kind, at)  # whose number decides the account
    return {name: value for name, value in drawn.items() if name not in STRENGTH} | identifiers


def _changed(rng: random.Random, event: Event, start: int, known: list[Person]) -> Event:
    """Draw a copy that differs."""
    copy = dict(event)
    if rng.random() < 0.6:
        copy["occurred_at"] = max(start, copy["occurred_at"] + rng.randrange(-2 * DAY, 2 * DAY))
    kinds = [kind for kind in KINDS if kind[0] == copy["channel"]]
    other = event_of(rng, 0, 0, rng.choice(kinds), 0)
    copy["type"], copy["outcome"] = other["type"], other.get("outcome")
    strongest = (strongest_identifier(event, PHONE_REGION) or "").partition(":")[0]
    stranger = rng.choice(known)
    if strongest in ("user_id", "email"):
        copy["phone"] = stranger.phone
    if strongest == "user_id":
        copy["email"] = stranger.emails[0]
    return copy
