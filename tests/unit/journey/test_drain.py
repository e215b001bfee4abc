"""Draining: in the order of the way, again after visits expired, and not for ever."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from kafka import TopicPartition

from journey.drain import DrainError, Step, drain
from journey.errors import StackError
from journey.offsets import Offsets

STEPS = [Step("in", ("input",), "worker"), Step("fold", ("touches",), "worker"), Step("write", ("facts",), "sink")]


class Scripted:
    """A pipeline in which each look moves one record, and expiring a visit makes a touch and a fact."""

    def __init__(self, *, visits: int = 0, stuck: bool = False) -> None:
        self.topics = {"input": 3, "touches": 3, "facts": 2}
        self.done = dict.fromkeys(self.topics, 0)
        self.visits, self.stuck, self.calls = visits, stuck, []

    def ends(self, topics: Sequence[str]) -> Offsets:
        """As asked; noted."""
        self.calls.append(f"ends of {topics[0]}")
        return {TopicPartition(topic, 0): self.topics[topic] for topic in topics}

    def committed(self, group: str) -> Offsets:
        """One record further with each look."""
        names = ("facts",) if group == "sink" else ("input", "touches")
        moving = next((name for name in names if self.done[name] < self.topics[name]), None)
        if moving and not self.stuck:
            self.done[moving] += 1
        return {TopicPartition(name, 0): done for name, done in self.done.items()}

    def overdue(self) -> int:
        """One fewer with each look."""
        if self.visits:
            self.visits -= 1
            self.topics["touches"] += 1
            self.topics["facts"] += 1
        return self.visits

    def refresh(self) -> None:
        """Noted."""
        self.calls.append("refresh")

    def check(self) -> None:
        """Nothing dies."""


def test_all_is_through_and_aggregated_last() -> None:
    """Ends are looked up step by step; the aggregates come last."""
    pipeline = Scripted()
    drain(pipeline, STEPS)
    assert pipeline.calls == ["ends of input", "ends of touches", "ends of facts", "refresh"]
    assert pipeline.done == pipeline.topics


def test_what_expiring_visits_cause_is_drained_too() -> None:
    """After visits have expired, their touches and facts are waited for."""
    pipeline = Scripted(visits=3)
    drain(pipeline, STEPS)
    assert pipeline.calls[3:] == ["ends of touches", "ends of facts", "refresh"]
    assert pipeline.done == pipeline.topics


def test_a_pipeline_that_does_not_move_is_given_up() -> None:
    """The message says which group is where, and how much is left."""
    with pytest.raises(DrainError, match=r"worker has not come to the end of input \(3 left\)"):
        drain(Scripted(stuck=True), STEPS, stuck_seconds=0.2)


def test_a_child_that_dies_again_and_again_ends_the_waiting() -> None:
    """What `check` raises is not swallowed."""

    class Dying(Scripted):
        def check(self) -> None:
            raise StackError("the worker ended 6 times")

    with pytest.raises(StackError, match="6 times"):
        drain(Dying(), STEPS)


def test_progress_is_told_while_waiting() -> None:
    """Each wait says what it waits for and how much is left."""
    told: list[tuple[str, int]] = []
    drain(Scripted(), STEPS, progress=lambda name, left: told.append((name, left)))
    assert ("in", 2) in told
    assert told[-1] == ("aggregating", 0)
