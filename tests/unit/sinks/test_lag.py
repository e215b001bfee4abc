"""sinks.lag: what the sink has to insert yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sinks.lag import Lag
from tests.unit.agents.test_backlog import Clock

FACTS, LETTERS = ("facts", 0), ("dead-letters", 2)
TOPICS = ("facts", "dead-letters")


@dataclass
class Fetched:
    """A record, as far as the lag looks at it."""

    offset: int
    timestamp: int


def records(first: int, last: int, at: float) -> list[Any]:
    """Records from one offset to another, of that second."""
    return [Fetched(offset, int(at * 1_000)) for offset in range(first, last + 1)]


def test_what_came_and_is_not_inserted_waits() -> None:
    """By records up to the topic's end, by seconds since the first of those that came together; until all of them are inserted."""
    clock = Clock()
    lag = Lag(clock, clock)
    lag.fetched(FACTS, records(10, 19, clock.now - 5))
    lag.fetched(FACTS, records(20, 29, clock.now - 1))
    ends = {FACTS: 40, LETTERS: 7}
    assert lag.measure(TOPICS, ends, {LETTERS: 7}) == {"facts": (30, 5.0), "dead-letters": (0, 0.0)}
    lag.inserted({FACTS: 15})
    assert lag.measure(TOPICS, ends, {LETTERS: 7})["facts"] == (25, 5.0)
    lag.inserted({FACTS: 20})
    assert lag.measure(TOPICS, ends, {LETTERS: 7})["facts"] == (20, 1.0)
    lag.inserted({FACTS: 40})
    assert lag.measure(TOPICS, ends, {LETTERS: 7})["facts"] == (0, 0.0)


def test_what_did_not_come_counts_from_when_it_was_noticed() -> None:
    """A sink that starts while ClickHouse is away reads nothing of most partitions."""
    clock = Clock()
    lag = Lag(clock, clock)
    assert lag.measure(TOPICS, {LETTERS: 9}, {LETTERS: 4})["dead-letters"] == (5, 0.0)
    clock.now += 12
    assert lag.measure(TOPICS, {LETTERS: 9}, {LETTERS: 4})["dead-letters"] == (5, 12.0)


def test_what_is_in_hand_counts_though_the_brokers_do_not_say() -> None:
    """Where Kafka is away as well, or the embedded broker names too low an end."""
    clock = Clock()
    lag = Lag(clock, clock)
    lag.fetched(FACTS, records(0, 4, clock.now - 3))
    assert lag.measure(TOPICS, {}, {})["facts"] == (5, 3.0)
    assert lag.measure(TOPICS, {FACTS: 1}, {})["facts"] == (5, 3.0)


def test_partitions_that_move_are_forgotten() -> None:
    """Whoever has them now tells of them."""
    lag = Lag()
    lag.fetched(FACTS, records(0, 4, 0))
    lag.forget()
    assert lag.measure(TOPICS, {}, {})["facts"] == (0, 0.0)
