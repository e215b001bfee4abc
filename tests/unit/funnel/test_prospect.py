"""funnel.prospect: what single messages do, and what a restart must find again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from funnel.definition import load_funnels
from funnel.facts import Facts
from funnel.history import Kept, Limits
from funnel.identity import Note
from funnel.prospect import Arrival, Head, Opener, Outcome, RulesChanged, State, Terms, Tick, empty, receive, restore
from funnel.rules import RuleSet
from tests.oracle.identity import Event
from tests.translation import names_in
from tests.unit.funnel.histories import DAY, T0, buy, call, event, touches, view

SALES = RuleSet(
    replace(funnel, stages=tuple(replace(stage, stall_after=None) for stage in funnel.stages))
    for funnel in load_funnels([Path(__file__).parents[3] / "funnels" / "sales.toml"])
)
"""Nobody is ever stalled in it: see test_stalls.py."""
WINDOW = 90 * DAY
ME = b"jane" * 4


class Prospect:
    """A prospect, what it last said, and its records."""

    def __init__(self, limits: Limits | None = None, rules: RuleSet = SALES) -> None:
        """Know nothing."""
        self.rules = rules
        self.terms = Terms(rules, Opener(self.canonical_of, names_in, bytes.decode), limits or Limits())
        self.state: State = empty(rules)
        self.head: Head | None = None
        self.events: dict[bytes, Kept] = {}
        self.notes: dict[bytes, Note] = {}
        self.position = 0
        self.opened = 0

    def canonical_of(self, raw: bytes) -> bytes:
        """Open a body."""
        self.opened += 1
        return raw

    def take(self, *messages: Event | int, position: int | None = None, settled: int = 0) -> Outcome:
        """Receive events, and ticks given as microseconds after T0, in one run."""
        at = self.position if position is None else position
        received: list[Arrival | Tick] = []
        for offset, message in enumerate(messages):
            if isinstance(message, int):
                received.append(Tick(at + offset, T0 + message))
            else:
                (touch,) = touches(self.rules, message)
                received.append(Arrival(at + offset, touch, touch.body))
        self.position = max(self.position, at + len(messages))
        outcome = receive(ME, self.state, received, self.terms, settled)
        self.state = outcome.state
        self.head = outcome.head or self.head
        self.events.update({kept.suffix: kept for kept in outcome.kept})
        for kept in outcome.dropped:
            self.events.pop(kept.suffix, None)
        for key, note in outcome.notes:
            assert note is not None
            self.notes[key] = note
        return outcome

    def restart(self) -> None:
        """Forget everything but the records."""
        self.state = restore(self.terms, self.head, self.events.values(), self.notes)


def kinds(facts: Facts | None) -> list[str]:
    """Name the rows of a message."""
    assert facts is not None
    return [row.kind for row in facts.transitions]


def counts(outcome: Outcome) -> tuple[int, int, int, int]:
    """Give applied, duplicate, ignored, too late."""
    return (outcome.applied, outcome.duplicate, outcome.ignored, len(outcome.too_late))


def test_only_what_is_new_is_told() -> None:
    """An event that sorts last adds its row under a higher revision, and one record."""
    prospect = Prospect()
    first = prospect.take(view("1", 0))
    second = prospect.take(call("2", DAY, "demo"))
    assert (kinds(first.facts), kinds(second.facts)) == (["enter"], ["skip"])
    assert first.facts is not None
    assert second.facts is not None
    assert 0 < first.facts.revision < second.facts.revision
    assert [kept.touch.event_id for kept in second.kept] == ["2"]
    assert (second.head, second.dropped, second.due_at) == (None, (), T0 + DAY + WINDOW + 1)


def test_late_event_corrects() -> None:
    """An event that comes late changes the rows that it changes, and takes back those it undoes."""
    prospect = Prospect()
    prospect.take(view("1", 0), call("3", 2 * DAY, "demo"), buy("4", 3 * DAY))
    corrected = prospect.take(buy("2", DAY)).facts
    assert corrected is not None
    assert [(row.step, row.kind, row.cause_event_id) for row in corrected.transitions] == [
        (1, "skip", "2"),
        (0, "enter", "3"),  # woken: a demo is `consideration`
        (1, "advance", "4"),
    ]
    assert corrected.removed == (("sales", 1, 2),)


def test_nothing_changes_nothing_is_told() -> None:
    """An event that only is there is kept, counted, and no fact."""
    prospect = Prospect()
    prospect.take(view("1", 0))
    ignored = prospect.take(event("2", -DAY, "email", "delivered"))
    assert counts(ignored) == (0, 0, 1, 0)
    assert (ignored.facts, [kept.touch.event_id for kept in ignored.kept]) == (None, ["2"])


def test_copies_count_once() -> None:
    """The same again is a duplicate, makes no record, and opens nothing sealed."""
    prospect = Prospect()
    prospect.take(view("1", 0))
    again = prospect.take(view("1", 0))
    assert counts(again) == (0, 1, 0, 0)
    assert (again.facts, again.kept, again.head, prospect.opened) == (None, (), None, 0)


def test_the_earliest_copy_counts() -> None:
    """An earlier copy takes the place of a later one; the later one then counts for nothing."""
    prospect = Prospect()
    prospect.take(view("1", DAY))
    earlier = prospect.take(view("1", 0))
    assert earlier.facts is not None
    assert earlier.facts.transitions[0].entered_at == T0
    assert counts(earlier) == (0, 1, 0, 0)
    later = prospect.take(buy("1", 2 * DAY))
    assert (later.facts, counts(later)) == (None, (0, 1, 0, 0))


def test_a_copy_no_funnel_cares_for_may_count() -> None:
    """When the copy that counts is irrelevant, what the other one did is taken back, standing and all."""
    prospect = Prospect()
    prospect.take(event("1", 0, "email", "opened"))
    undone = prospect.take(event("1", 0, "email", "delivered")).facts  # the smaller canonical JSON
    assert undone is not None
    assert (undone.transitions, undone.removed) == ((), (("sales", 1, 0),))
    assert (undone.standings, undone.removed_standings) == ((), ("sales",))


def test_tick_expires() -> None:
    """A tick after the window closes the visit; one before changes nothing and leaves no record."""
    prospect = Prospect()
    prospect.take(view("1", 0))
    early = prospect.take(WINDOW)
    assert (early.facts, early.head, early.due_at) == (None, None, T0 + WINDOW + 1)
    expired = prospect.take(WINDOW + 1)
    assert kinds(expired.facts) == ["expired"]
    assert expired.head is not None
    assert expired.due_at is None
    again = prospect.take(WINDOW + 2)
    assert (again.facts, again.head) == (None, None)


def test_late_event_reopens() -> None:
    """A late event takes an expiry by the wall clock back, until the clock gets there again."""
    prospect = Prospect()
    prospect.take(view("1", 0), WINDOW + 1)
    reopened = prospect.take(view("2", DAY))
    assert reopened.facts is not None
    assert reopened.facts.removed == (("sales", 1, 1),)
    assert [one.status for one in reopened.facts.standings] == ["open"]
    assert reopened.due_at == T0 + DAY + WINDOW + 1
    assert kinds(prospect.take(DAY + WINDOW + 1).facts) == ["expired"]


def test_a_very_late_visit_is_expired_at_once() -> None:
    """What would long have expired by the wall clock is told so in the first place."""
    prospect = Prospect()
    prospect.take(view("1", 0), 3 * WINDOW, view("0", -2 * WINDOW))
    assert [row.kind for row in prospect.take(view("2", WINDOW + 5 * DAY)).facts.transitions] == ["enter", "expired"]  # type: ignore[union-attr]


def test_redelivery_tells_everything_again() -> None:
    """After a crash before the facts, the redelivered event makes the restored prospect tell all, unchanged."""
    prospect = Prospect()
    prospect.take(view("1", 0))
    told = prospect.take(call("2", DAY, "lost"), buy("3", 2 * DAY)).facts
    prospect.restart()
    again = prospect.take(call("2", DAY, "lost"), buy("3", 2 * DAY), position=1)
    assert told is not None
    assert again.facts is not None
    assert kinds(again.facts) == ["enter", "lost", "enter"]
    assert set(told.transitions) <= set(again.facts.transitions)
    assert again.facts.revision == told.revision
    assert (counts(again), again.kept, again.head) == ((0, 2, 0, 0), (), None)


def test_redelivery_repeats_tombstones() -> None:
    """Rows that were taken back before the crash are taken back again, as long as they may have to be."""
    prospect = Prospect()
    prospect.take(view("1", 0), event("2", 1, "email", "opened"), call("3", 2, "demo"))
    undo = [call("3", 2, "a")]  # the smaller canonical JSON
    assert prospect.take(*undo).facts.removed == (("sales", 1, 1),)  # type: ignore[union-attr]
    prospect.restart()
    assert prospect.take(*undo, position=3).facts.removed == (("sales", 1, 1),)  # type: ignore[union-attr]
    assert prospect.take(view("4", 3), settled=4).head.removed == ()  # type: ignore[union-attr]


def test_restart_finds_all_again() -> None:
    """State from records, in any order, is the state that made them."""
    prospect = Prospect()
    for message in (view("1", 0), buy("3", 2 * DAY), call("2", DAY, "demo"), view("2", DAY), 3 * WINDOW):
        prospect.take(message)
    before = prospect.state
    prospect.events = dict(reversed(prospect.events.items()))
    prospect.restart()
    assert prospect.state == before


def test_records_of_what_was_folded_for_good_are_passed_over() -> None:
    """A record that outlived its deletion does no harm."""
    prospect = Prospect(Limits(lateness=DAY))
    prospect.take(view("1", 0), buy("2", 1))
    stale = dict(prospect.events)
    prospect.take(view("3", 3 * DAY), settled=2)
    prospect.events.update(stale)
    before = prospect.state
    prospect.restart()
    assert prospect.state == before


def test_too_late() -> None:
    """What would go before what was folded for good is a dead letter; what goes after it is taken, however old."""
    prospect = Prospect(Limits(lateness=DAY))
    prospect.take(view("1", 0), view("2", 3 * DAY))
    assert counts(prospect.take(view("0", -1))) == (0, 0, 0, 1)
    assert counts(prospect.take(view("3", 1))) == (1, 0, 0, 0)
    assert counts(prospect.take(view("1", 0))) == (0, 1, 0, 0), "a copy goes nowhere"


def test_what_may_come_again_is_kept() -> None:
    """Folded events keep their records until they can't be redelivered; then they go, and rows stay."""
    prospect = Prospect(Limits(lateness=DAY))
    prospect.take(view("1", 0), view("2", 1))
    dropped = prospect.take(view("3", 3 * DAY), settled=1).dropped
    assert [kept.touch.event_id for kept in dropped] == ["1"]
    assert [kept.touch.event_id for kept in prospect.state.history.events] == ["2", "3"]
    assert kinds(prospect.take(buy("4", 4 * DAY), settled=4).facts) == ["skip"]
    assert [kept.touch.event_id for kept in prospect.state.history.events] == ["3", "4"]


def test_a_copy_of_the_last_folded_event_is_not_taken_again() -> None:
    """Its record is gone, and it sorts where the horizon is: were it taken, a purchase would count twice."""
    prospect = Prospect(Limits(lateness=DAY))
    prospect.take(buy("1", 0), buy("2", 1), view("3", 3 * DAY))
    prospect.take(view("4", 3 * DAY + 1), settled=4)
    assert prospect.state.head.horizon == (T0 + 1, "s", "2")
    again = prospect.take(buy("2", 1))
    assert (counts(again), again.facts) == ((0, 0, 0, 1), None)


def test_busy_prospects_stay_small() -> None:
    """However much happens, as many events are kept as the limits say, and the rows go on."""
    prospect = Prospect(Limits(events=50))
    for number in range(500):
        irrelevant = event(f"i{number:03}", number, "email", "delivered")
        prospect.take(view(f"v{number:03}", number), irrelevant, settled=prospect.position)
    assert len(prospect.events) <= 102
    assert kinds(prospect.take(buy("b", 1_000)).facts) == ["skip"]


def test_other_rules_are_refused() -> None:
    """A touch that was matched by other funnels stops the worker before it can harm."""
    prospect = Prospect()
    (touch,) = touches(SALES, view("1", 0))
    stranger = Arrival(7, touch._replace(rules=touch.rules + 1), b"")
    with pytest.raises(RulesChanged, match="position 7"):
        receive(ME, prospect.state, [stranger], prospect.terms)


def test_state_of_other_rules_is_refused() -> None:
    """Kept events that other funnels matched are not read with these: their bits would mean something else."""
    prospect = Prospect()
    prospect.take(view("1", 0))
    others = RuleSet(load_funnels([Path(__file__).parents[3] / "funnels" / "b2b.toml"]))
    with pytest.raises(RulesChanged, match="in the state"):
        restore(prospect.terms._replace(rules=others), prospect.head, prospect.events.values())
