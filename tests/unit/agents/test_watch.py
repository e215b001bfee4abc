"""agents.watch: when a worker is ready, and when an agent of it counts as stuck."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents.driver import Progress
from agents.lag import Standing
from agents.watch import Stillness, Watch
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


class Worker:
    """As much of a worker as is looked at: an app with one agent, on a partition where records wait."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.said: list[str | None] = []
        self.clock = Clock()
        self.joined = asyncio.Event()
        self.touching = True
        self.consumer = SimpleNamespace(
            handing_over=False,
            flow_active=True,
            _thread=SimpleNamespace(in_touch=lambda: self.touching),
            standings=lambda: {TP("touches", 0): Standing(5, 9, int(time.time() * 1_000), here=True)},
        )
        self.driver = SimpleNamespace(
            name="prospects",
            topics={"touches"},
            progress=Progress(runs_settled=1, runs_handled=2),
            gathering=SimpleNamespace(records=3),
        )
        failure = SimpleNamespace(failed=False, fail=lambda what, _: self.failures.append(what))
        app: Any = SimpleNamespace(
            failure=failure,
            consumer=self.consumer,
            _consumer=self.consumer,
            tables=SimpleNamespace(_recovery=SimpleNamespace(completed=self.joined)),
            drivers={"prospects": self.driver},
            run_topics={"touches"},
            config=SimpleNamespace(stuck_after=120.0),
            looks=[],
        )
        self.watch = Watch(app, self.said.append, self.clock)

    def look(self, seconds: float = 0.0) -> str | None:
        """Look after so many seconds; what it says of being ready."""
        self.clock.now += seconds
        self.watch.look()
        return self.said[-1]


def test_ready_once_joined_and_while_records_flow() -> None:
    """Each thing that is missing has its own words."""
    worker = Worker()
    assert "the group has not been joined" in (worker.look() or "")
    worker.joined.set()
    assert worker.look() is None
    worker.consumer.handing_over = True
    assert worker.look() == "partitions are changing hands"
    worker.consumer.handing_over, worker.consumer.flow_active = False, False
    assert worker.look() == "state is being read back"
    worker.consumer.flow_active, worker.touching = True, False
    assert worker.look() == "the consumer group's broker does not answer"


def test_who_settles_nothing_is_ended_with_a_line_that_says_what_is_stuck() -> None:
    """At the limit and not before; a run that is settled begins anew."""
    worker = Worker()
    worker.joined.set()
    worker.look()
    worker.look(119)
    assert not worker.failures
    worker.driver.progress.runs_settled += 1
    worker.look(1)
    worker.look(119)
    assert not worker.failures
    worker.look(1)
    (line,) = worker.failures
    assert line.startswith(
        "agent prospects is stuck: it has settled no run for 120 s while records wait (4 of touches, "
    )
    assert line.endswith("3 records wait to be handled, and of the runs that were, 0 are not settled")


@pytest.mark.parametrize("state", [{"handing_over": True}, {"flow_active": False}])
def test_nobody_is_stuck_while_partitions_move(state: dict[str, bool]) -> None:
    """However long it takes; after that it counts from the beginning."""
    worker = Worker()
    worker.joined.set()
    worker.look()
    before = dict(vars(worker.consumer))
    vars(worker.consumer).update(state)
    worker.look(1_000)
    vars(worker.consumer).update(before)
    worker.look(1)
    worker.look(119)
    assert not worker.failures
