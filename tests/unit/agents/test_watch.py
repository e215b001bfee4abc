"""agents.watch: when an agent counts as stuck."""

from __future__ import annotations

from agents.watch import Stillness
from tests.unit.agents.test_backlog import Clock


def test_an_agent_is_still_while_records_wait_and_none_is_settled() -> None:
    """Seconds count from the first look at which records waited, until a run is settled."""
    clock = Clock()
    stillness = Stillness(clock)
    assert stillness.seconds(0, waiting=True) == 0
    clock.now += 50
    assert stillness.seconds(0, waiting=True) == 50
    assert stillness.seconds(1, waiting=True) == 0
    clock.now += 7
    assert stillness.seconds(1, waiting=True) == 7


def test_who_has_nothing_to_do_is_not_stuck() -> None:
    """However long that lasts; and it does not count when records come again. So it is in rebalances, where nobody looks for records."""
    clock = Clock()
    stillness = Stillness(clock)
    stillness.seconds(5, waiting=True)
    clock.now += 1_000
    assert stillness.seconds(5, waiting=False) == 0
    clock.now += 1_000
    assert stillness.seconds(5, waiting=True) == 0
