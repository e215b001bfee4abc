"""Identifiers that many people use: nobody is melted together, and what they remember stays small."""

from __future__ import annotations

import tomllib

import pytest

from agents.records import records_of, state_of
from funnel.events import Event
from funnel.prospect import receive
from funnel.state import Terms
from tests.oracle import truth_of
from tests.simulator import OPENER, Simulator, terms_of
from tests.translation import SETTINGS, facts_of, id_of, identity_facts_of, rules_of
from tests.unit.funnel.histories import HOUR, T0, view

FUNNEL = 'name = "f"\nwindow = "60d"\n[[stage]]\nname = "seen"\nenter = [ { channel = "web" } ]\n[[stage]]\nname = "bought"\nenter = [ { type = "purchase" } ]'
RULES = rules_of([tomllib.loads(FUNNEL)])
MOST_BYTES = 64 * 1024


def settled(simulator: Simulator) -> dict[bytes, int]:
    """Let everything arrive; give the bytes of each identifier's notes."""
    simulator.drain()
    return {
        one: sum(len(suffix) + len(value) for suffix, value in records.items() if len(suffix) != 8)
        for one, records in simulator.changelog.items()
    }


def crowd(device: str, people: int, visits: int) -> list[Event]:
    """People who take turns on a device: each signs in, and then looks around without."""
    events = []
    for turn in range(people * visits):
        at, person = turn * HOUR, f"p{turn % people}"
        events.append(view(f"s{turn}", at, email=None, user_id=person, anonymous_id=device))
        events.append(view(f"v{turn}", at + HOUR // 2, email=None, anonymous_id=device))
    return events


def check_crowd(events: list[Event], device: str) -> dict[bytes, int]:
    """Compare a simulated device with the oracle; give the bytes of notes."""
    import random

    simulator = Simulator(terms_of(RULES), random.Random(1), crashes=0)
    shuffled = random.Random(2).sample(events, len(events))
    simulator.deliver(shuffled)
    sizes = settled(simulator)
    truth = truth_of(shuffled, [tomllib.loads(FUNNEL)], SETTINGS, T0)
    assert (simulator.tables.transitions(), simulator.tables.standings()) == facts_of(truth)
    assert simulator.tables.identity() == identity_facts_of(truth)
    assert max(sizes.values()) < MOST_BYTES
    assert sizes[id_of(f"anonymous_id:{device}")] > 0
    return sizes


def test_a_laptop_of_40_people() -> None:
    """Each has what he did on it, and only that."""
    check_crowd(crowd("laptop", 40, 5), "laptop")


def test_a_kiosk_of_60_people() -> None:
    """It is nobody's; what was done on it without signing in counts for nobody."""
    check_crowd(crowd("kiosk", 60, 5), "kiosk")


@pytest.mark.slow
def test_an_address_of_10_000_people() -> None:
    """It forgets whom it was seen with, and so do not its users whom they are."""
    import random

    terms = Terms(RULES, OPENER)
    users = Simulator(terms, random.Random(1), crashes=0)
    users.deliver(view(f"e{number}", number, email="info@x.com", user_id=f"u{number}") for number in range(10_000))
    sizes = settled(users)
    assert sizes[id_of("email:info@x.com")] < MOST_BYTES
    identity = users.tables.identity()
    assert [row.seen_with for row in identity.shared.values()] == [129]
    assert not identity.aliases
    assert len(users.tables.standings()) == 10_000

    address = id_of("email:info@x.com")
    again = receive(address, state_of(terms, users.changelog[address]), [], terms)
    assert records_of(again, terms) == []
