"""agents.backlog: whether the worker is behind its input."""

from __future__ import annotations

from faust.types import TP

from agents.backlog import IDLE_AFTER, OLD_AFTER, PAST_AFTER, QUIET_AFTER, Backlog

HERE, THERE = TP("touches", 0), TP("web-events", 1)


class Clock:
    """A clock that tests set."""

    now = 1_000.0

    def __call__(self) -> float:
        """Tell it."""
        return self.now


def test_behind_while_old_records_are_handled() -> None:
    """Old records in any partition mean behind, until it has been idle for a while; fresh ones don't."""
    clock = Clock()
    backlog = Backlog(clock, clock)
    clock.now += IDLE_AFTER
    assert not backlog.is_behind()
    backlog.note(HERE, int((clock.now - 0.1) * 1_000))
    assert not backlog.is_behind()
    backlog.note(THERE, int((clock.now - OLD_AFTER - 1) * 1_000))
    assert backlog.is_behind()
    clock.now += IDLE_AFTER
    assert not backlog.is_behind()


def test_behind_until_something_is_known() -> None:
    """When partitions have just come, what waits in them is not known yet."""
    clock = Clock()
    backlog = Backlog(clock, clock)
    assert backlog.is_behind()
    clock.now += IDLE_AFTER
    backlog.forget()
    assert backlog.is_behind()
    clock.now += IDLE_AFTER
    assert not backlog.is_behind()


def test_a_clock_that_is_set_back_is_no_backlog() -> None:
    """An hour back: what was handled before is over all the same, and deadlines go on."""
    clock, timer = Clock(), Clock()
    backlog = Backlog(clock, timer)
    backlog.note(HERE, int((clock.now - OLD_AFTER - 1) * 1_000))
    clock.now -= 3_600
    assert backlog.is_behind()
    timer.now += IDLE_AFTER
    assert not backlog.is_behind()


def test_events_of_the_past_are_a_replay() -> None:
    """However fast they are handled; until none came for a while, or one did that has just happened."""
    clock = Clock()
    backlog = Backlog(clock, clock)
    clock.now += IDLE_AFTER
    past = int((clock.now - PAST_AFTER - 1) * 1_000_000)
    backlog.note(HERE, int(clock.now * 1_000))
    backlog.note_events(HERE, past)
    assert backlog.is_behind()
    backlog.note_events(HERE, int(clock.now * 1_000_000))
    assert not backlog.is_behind()
    backlog.note_events(HERE, past)
    clock.now += QUIET_AFTER
    assert not backlog.is_behind()
    backlog.note_events(HERE, past)
    backlog.forget()
    clock.now += IDLE_AFTER
    assert not backlog.is_behind()
