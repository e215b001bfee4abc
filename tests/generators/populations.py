"""Whole populations on the borders of identity: few people, and everything that can go wrong with who they are."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.generators.borders import START, lengths_in, random_copy, random_event, random_gap
from tests.generators.declared import random_declarations
from tests.generators.funnels import clauses_in, random_funnel
from tests.oracle import Declaration, Settings, strongest_identifier
from tests.oracle.identity import STRENGTH, kind_of

Event = dict[str, Any]
FunnelFile = dict[str, Any]
Identifiers = dict[str, str]

PHONE_REGION = "US"
LONGEST = 60 * 86_400_000_000
"""Nothing is further apart than this and a few days: within the usual `lateness`."""
LIMITS = ((1, 2), (2, 2), (2, 3), (3, 3), (3, 5), (50, 128), (50, 128))
"""`most_stronger` and `most_ever`: such that a few are many, and as they really are."""


class PopulationCase(NamedTuple):
    """Events of people that may turn out to be fewer, what was declared of them, funnels, and a clock to look at them by."""

    events: list[Event]
    declarations: list[Declaration]
    """All acceptable; some close circles."""
    funnels: list[FunnelFile]
    now: int
    most_stronger: int
    most_ever: int

    def settings(self, usual: Settings) -> Settings:
        """Give the settings with this case's idea of how many are too many."""
        return usual._replace(most_stronger=self.most_stronger, most_ever=self.most_ever)


class Person(NamedTuple):
    """What somebody is known by; any of it may also be somebody else's."""

    user_id: list[str]
    email: list[str]
    phone: list[str]
    anonymous_id: list[str]

    def one(self, rng: random.Random, kind: str) -> Identifiers:
        """Draw one of a kind; nothing if there is none."""
        values: list[str] = getattr(self, kind)
        return {kind: as_written(rng, kind, rng.choice(values))} if values else {}


def as_written(rng: random.Random, kind: str, value: str) -> str:
    """Draw a way to write an identifier that is normalised to the same."""
    if rng.random() < 0.8:
        return value
    if kind == "email":
        return f" {value.upper()}"
    if kind == "phone":
        return f"({value[2:5]}) {value[5:8]}-{value[8:]}"
    return f"{value}\n"


def random_people(rng: random.Random, count: int) -> list[Person]:
    """Draw people who share some of what they are known by: laptops, a family's phone, an address at work."""
    few = max(2, count)

    def some(form: str, own: int, most: int) -> list[str]:
        drawn = [form.format(100 + own * 10 + at) for at in range(rng.randint(0, most))]
        return drawn + [form.format(rng.randrange(few)) for _ in range(rng.choice((0, 0, 1)))]

    return [
        Person(
            some("u{}", number, 2),
            some("p{}@x.com", number, 3),
            some("+1415555{:04d}", number, 2),
            some("d{}", number, 2) or [f"d{rng.randrange(few)}"],
        )
        for number in range(count)
    ]


def random_identifiers(rng: random.Random, people: list[Person]) -> Identifiers:
    """Draw what stands on one event: who is there, and how much of it is told."""
    person = rng.choice(people)
    scene = rng.random()
    found: Identifiers = {}
    if scene < 0.3:  # just browses
        found = person.one(rng, "anonymous_id")
    elif scene < 0.55:  # signs in
        found = person.one(rng, "anonymous_id") | person.one(rng, rng.choice(("user_id", "email", "phone")))
    elif scene < 0.7:  # a call, or a mail
        found = person.one(rng, rng.choice(("email", "phone")))
    elif scene < 0.8:  # one is made known by another
        at = rng.randint(0, 2)
        found = person.one(rng, STRENGTH[at]) | person.one(rng, STRENGTH[at + 1])
    elif scene < 0.9:
        for kind in rng.sample(STRENGTH, rng.randint(2, 4)):
            found |= person.one(rng, kind)
    else:  # somebody else's: a conflict
        for kind in rng.sample(STRENGTH, 2):
            found |= rng.choice(people).one(rng, kind)
    if rng.random() < 0.05:
        found["user_id"] = rng.choice(("guest", "0", " "))
    usable = strongest_identifier(found, PHONE_REGION) is not None
    return found if usable else {**found, "anonymous_id": "d0"}


def crowd(rng: random.Random, size: int, people: list[Person]) -> list[Identifiers]:
    """Draw a kiosk, a switchboard or info@: one weaker identifier with many stronger ones of one kind, or some of two kinds."""
    weaker, value = rng.choice((("anonymous_id", "kiosk"), ("phone", "+14155559999"), ("email", "info@x.com")))
    kinds = STRENGTH[: STRENGTH.index(weaker)]
    kind = rng.choice(kinds)
    form = {"user_id": "c{}", "email": "c{}@x.com", "phone": "+1415556{:04d}"}
    met = []
    for number in range(size):
        of_kind = kind if rng.random() < 0.9 else rng.choice(kinds)
        met.append({weaker: as_written(rng, weaker, value), of_kind: form[of_kind].format(number)})
    met += [{weaker: value} for _ in range(rng.randint(1, 3))]
    if weaker != "anonymous_id":  # somebody whose way leads here
        person = rng.choice(people)
        below = rng.choice(STRENGTH[STRENGTH.index(weaker) + 1 :])
        met += [person.one(rng, below) | {weaker: value}, *([person.one(rng, below)] * 2)]
    return [identifiers for identifiers in met if identifiers]


def differing_copy(rng: random.Random, event: Event, lengths: list[int], people: list[Person]) -> Event:
    """Draw a copy with the same strongest identifier that carries other weaker ones, and perhaps another time and body."""
    copy = random_copy(rng, event, lengths) if rng.random() < 0.7 else dict(event)
    strongest = kind_of(strongest_identifier(event, PHONE_REGION) or "")
    weaker = STRENGTH[STRENGTH.index(strongest) + 1 :]
    for kind in weaker:
        copy.pop(kind, None)
    other = random_identifiers(rng, people)
    return {**copy, **{kind: other[kind] for kind in weaker if kind in other}}


def twin(rng: random.Random, event: Event, people: list[Person]) -> Event:
    """Draw an event with the same source and event_id, mostly the same time, that starts at another identifier.

    Sent once anonymously and once signed in, or as two people; so only the strongest identifier tells their order.
    """
    same = {name: value for name, value in event.items() if name not in STRENGTH}
    known = {kind: event[kind] for kind in STRENGTH if event.get(kind) is not None}
    strongest = kind_of(strongest_identifier(event, PHONE_REGION) or "")
    if rng.random() < 0.5:
        known.pop(strongest)  # anonymous, if it was a sign-in
    elif rng.random() < 0.7:
        known |= rng.choice(people).one(rng, strongest)  # the same kind
    else:
        known |= random_identifiers(rng, people)
    if strongest_identifier(known, PHONE_REGION) is None:
        known = random_identifiers(rng, people)
    if rng.random() < 0.2:
        same["occurred_at"] += rng.choice((-1, 1, 1_000_000))
    return {**same, **known}


def random_population(rng: random.Random, max_events: int = 60, usual_crowds: float = 0.1) -> PopulationCase:
    """Draw a population.

    Args:
        rng: what to draw from.
        max_events: 3 or more; copies and a crowd not counted.
        usual_crowds: how many of those with the usual bounds have a crowd, if they are not tiny. It makes a large case.
    """
    funnels = [random_funnel(rng, name) for name in ("f", "g")[: rng.choice((1, 1, 2))]]
    lengths = sorted(lengths_in(funnels))
    clauses = [clause for funnel in funnels for clause in clauses_in(funnel)]
    most_stronger, most_ever = rng.choice(LIMITS)
    people = random_people(rng, rng.randint(1, 6))
    count = rng.randint(2, rng.choice((6, max(3, max_events // 3), max_events)))
    whose = [random_identifiers(rng, people) for _ in range(count)]
    if rng.random() < (0.6 if most_ever < 50 else usual_crowds if max_events >= 20 else 0):
        border = rng.choice((most_stronger, most_stronger, most_ever))
        whose += crowd(rng, max(1, border + rng.choice((0, 1, 1, 2))), people)
        rng.shuffle(whose)

    events: list[Event] = []
    for number, identifiers in enumerate(whose):
        base = (events[-1] if rng.random() < 0.5 else rng.choice(events))["occurred_at"] if events else START
        base = base if base < START + LONGEST else START
        wanted = rng.choice(clauses) if rng.random() < 0.6 else None
        events.append(random_event(rng, base + random_gap(rng, lengths), number, identifiers, wanted))
        before, drawn = rng.choice(events), rng.random()
        if drawn < 0.04:
            events.append(dict(before))
        elif drawn < 0.1:
            events.append(differing_copy(rng, before, lengths, people))
        elif drawn < 0.18:
            events.append(twin(rng, before, people))
    declarations = random_declarations(rng, events, PHONE_REGION, rng.choice((0, 0, 1, 3, 3, max(3, len(events) // 3))))
    latest = max(event["occurred_at"] for event in events)
    now = latest + random_gap(rng, lengths) + random_gap(rng, lengths)
    return PopulationCase(events, declarations, funnels, now, most_stronger, most_ever)


def populations(max_events: int = 60) -> st.SearchStrategy[PopulationCase]:
    """Populations for Hypothesis, drawn by a seed, as `tests.generators.borders.cases` are."""
    return st.integers(0, 2**63 - 1).map(lambda seed: random_population(random.Random(seed), max_events))
