"""Stalls: noticed by the wall clock, once, and ended by events."""

from __future__ import annotations

from pathlib import Path

from funnel.definition import load_funnels, parse_funnel
from funnel.facts import Stall
from funnel.prospect import Outcome
from funnel.rules import RuleSet
from tests.unit.funnel.histories import DAY, HOUR, T0, buy, call, event, view
from tests.unit.funnel.test_prospect import WINDOW, Prospect

SALES = RuleSet(load_funnels([Path(__file__).parents[3] / "funnels" / "sales.toml"]))
AWARE = 14 * DAY
"""After so long a prospect in `awareness` is stalled; in `interest` after 10 days."""
CLICK = event("c", 20 * DAY, "email", "clicked")
ESCALATING = RuleSet(
    [
        parse_funnel(
            """
            name = "f"
            calendar = "mon-fri 09:00-18:00 Europe/Berlin"
            [[stage]]
            name = "lead"
            stall_after = "2d"
            escalate = ["1d", "2d"]
            enter = [ { channel = "web" } ]
            [[stage]]
            name = "won"
            enter = [ { type = "purchase" } ]
            """
        )
    ]
)


def told(outcome: Outcome) -> list[Stall]:
    """The episodes it speaks of."""
    return [] if outcome.facts is None else list(outcome.facts.stalls)


def since(outcome: Outcome) -> list[int | None]:
    """Since when, after T0, the standings in it say that somebody is stalled."""
    assert outcome.facts is not None
    return [None if one.stalled_since is None else one.stalled_since - T0 for one in outcome.facts.standings]


def test_noticed_at_the_deadline_and_once() -> None:
    """Not a microsecond before; and the clock says no more of it until the visit expires."""
    prospect = Prospect(rules=SALES)
    assert prospect.take(view("1", 0, account_id="acme")).due_at == T0 + AWARE
    early = prospect.take(AWARE - 1)
    assert (early.facts, early.head) == (None, None)
    noticed = prospect.take(AWARE)
    assert told(noticed) == [Stall("sales", 1, "awareness", T0 + AWARE, 0, T0 + AWARE, account_id="acme")]
    assert since(noticed) == [AWARE]
    assert noticed.due_at == T0 + WINDOW + 1
    again = prospect.take(AWARE + DAY)
    assert (again.facts, again.head) == (None, None)


def test_activity_ends_it() -> None:
    """With the time of what happened; the next deadline counts from there."""
    prospect = Prospect(rules=SALES)
    prospect.take(view("1", 0), AWARE + 1)
    active = prospect.take(view("2", 20 * DAY))
    assert [(one.resolution, one.resolved_at) for one in told(active)] == [("active", T0 + 20 * DAY)]
    assert since(active) == [None]
    assert active.due_at == T0 + 20 * DAY + AWARE


def test_moves_and_ends_of_visits_end_it() -> None:
    """Each by its name."""
    for ending, resolution in ((CLICK, "moved"), (buy("b", 20 * DAY), "won"), (call("l", 20 * DAY, "lost"), "lost")):
        prospect = Prospect(rules=SALES)
        prospect.take(view("1", 0), AWARE)
        ended = told(prospect.take(ending))
        assert [(one.resolution, one.resolved_at) for one in ended] == [(resolution, T0 + 20 * DAY)]
    prospect = Prospect(rules=SALES)
    prospect.take(view("1", 0), AWARE)
    expired = told(prospect.take(WINDOW + 1))
    assert [(one.resolution, one.resolved_at) for one in expired] == [("expired", T0 + WINDOW)]


def test_late_events_show_that_there_was_none() -> None:
    """What happened before the deadline makes it void; the stall that there is instead is told with the next tick."""
    prospect = Prospect(rules=SALES)
    prospect.take(view("1", 0), AWARE + 2 * DAY)
    late = prospect.take(view("2", DAY))
    assert [(one.resolution, one.resolved_at) for one in told(late)] == [("void", T0 + AWARE)]
    assert late.due_at == T0 + DAY + AWARE
    assert [one.deadline for one in told(prospect.take(AWARE + 2 * DAY))] == [T0 + DAY + AWARE]


def test_an_event_and_a_tick_in_one_run() -> None:
    """Who was active is not stalled, wherever in the run the tick was."""
    for messages in ((AWARE, view("2", DAY)), (view("2", DAY), AWARE)):
        prospect = Prospect(rules=SALES)
        prospect.take(view("1", 0))
        assert told(prospect.take(*messages)) == []


def test_escalations_in_working_hours() -> None:
    """Each once, when it is due; those that were missed are one."""
    prospect = Prospect(rules=ESCALATING)
    # T0 is a Tuesday, 23:13 in Berlin: two working days later the office closes on Thursday.
    thursday = 2 * DAY - 5 * HOUR - 800_000_000
    assert prospect.take(view("1", 0)).due_at == T0 + thursday
    first = prospect.take(thursday)
    assert [(one.level, one.deadline) for one in told(first)] == [(0, T0 + thursday)]
    assert first.due_at == T0 + thursday + DAY
    assert told(prospect.take(thursday + HOUR)) == []
    second = prospect.take(thursday + 5 * DAY)
    assert [(one.level, one.deadline, one.noticed_at) for one in told(second)] == [
        (2, T0 + thursday, T0 + thursday + 5 * DAY)
    ]
    assert since(prospect.take(view("2", 6 * DAY))) == [None]


def test_a_crash_tells_it_again() -> None:
    """A redelivered tick makes the restored prospect say the same, with the same revision; one that ended is repeated as long as it may be lost."""
    prospect = Prospect(rules=SALES)
    prospect.take(view("1", 0))
    noticed = prospect.take(AWARE)
    prospect.restart()
    again = prospect.take(AWARE, position=1)
    assert told(again) == told(noticed)
    assert again.facts is not None
    assert noticed.facts is not None
    assert again.facts.revision == noticed.facts.revision
    ended = prospect.take(view("2", 20 * DAY))
    prospect.restart()
    again = prospect.take(view("2", 20 * DAY), position=2)
    assert told(again) == told(ended)
    prospect.take(view("3", 21 * DAY), settled=3)
    assert prospect.state.head.stalls == ()


SNOOZING = RuleSet(
    [
        parse_funnel(
            """
            name = "f"
            [[stage]]
            name = "lead"
            stall_after = "2d"
            escalate = ["1d"]
            enter = [ { channel = "web" } ]
            [[stage]]
            name = "talk"
            stall_after = "2d"
            enter = [ { channel = "call", type = "completed" } ]
            [[stage]]
            name = "won"
            enter = [ { type = "purchase" } ]
            [[snooze]]
            on = [ { channel = "call", type = "*", outcome = "follow_up" } ]
            for = "10d"
            [[snooze]]
            on = [ { channel = "call", type = "cancelled" } ]
            for = "5d"
            """
        )
    ]
)


def test_a_snooze_puts_the_deadline_off() -> None:
    """Until it is over, and the escalation with it. A shorter one changes nothing; standings say until when."""
    prospect = Prospect(rules=SNOOZING)
    prospect.take(view("1", 0))
    snoozed = prospect.take(event("2", DAY, "call", "no_answer", outcome="follow_up"))
    assert snoozed.facts is not None
    assert [one.snoozed_until for one in snoozed.facts.standings] == [T0 + 11 * DAY]
    assert snoozed.due_at == T0 + 11 * DAY
    assert prospect.take(event("3", 2 * DAY, "call", "cancelled")).due_at == T0 + 11 * DAY
    assert told(prospect.take(10 * DAY)) == []
    (episode,) = told(prospect.take(11 * DAY))
    assert (episode.deadline, episode.level) == (T0 + 11 * DAY, 0)
    (escalated,) = told(prospect.take(12 * DAY))
    assert (escalated.deadline, escalated.level) == (T0 + 11 * DAY, 1)


def test_who_is_stalled_can_be_snoozed() -> None:
    """The episode ends then, as what it is; and there is another one when the time is over."""
    prospect = Prospect(rules=SNOOZING)
    prospect.take(view("1", 0))
    prospect.take(2 * DAY)
    (ended,) = told(prospect.take(event("2", 3 * DAY, "call", "no_answer", outcome="follow_up")))
    assert (ended.resolution, ended.resolved_at) == ("snoozed", T0 + 3 * DAY)
    (episode,) = told(prospect.take(13 * DAY))
    assert episode.deadline == T0 + 13 * DAY


def test_a_snooze_is_for_the_stage() -> None:
    """Moving on ends it, unless the same event snoozes the next stage."""
    prospect = Prospect(rules=SNOOZING)
    prospect.take(view("1", 0))
    prospect.take(event("2", DAY, "call", "no_answer", outcome="follow_up"))
    moved = prospect.take(call("3", 2 * DAY, "demo"))
    assert moved.facts is not None
    assert [(one.stage, one.snoozed_until) for one in moved.facts.standings] == [("talk", None)]
    assert moved.due_at == T0 + 4 * DAY
    other = Prospect(rules=SNOOZING)
    other.take(view("1", 0))
    assert other.take(call("2", DAY, "follow_up")).due_at == T0 + 11 * DAY


def test_a_snooze_that_comes_late_takes_the_episode_back() -> None:
    """It occurred before the deadline: nobody was stalled."""
    prospect = Prospect(rules=SNOOZING)
    prospect.take(view("1", 0))
    prospect.take(2 * DAY)
    (ended,) = told(prospect.take(event("2", DAY, "call", "no_answer", outcome="follow_up")))
    assert ended.resolution == "void"


def test_a_snooze_does_not_keep_a_visit_open() -> None:
    """It expires after its window as ever, and nobody is stalled then."""
    text = 'name = "f"\nwindow = "5d"\n[[snooze]]\non = [ { type = "later" } ]\nfor = "30d"\n[[stage]]\nname = "a"\nstall_after = "1d"\nenter = [ { type = "x" } ]\n[[stage]]\nname = "b"\nenter = [ { type = "y" } ]'
    prospect = Prospect(rules=RuleSet([parse_funnel(text)]))
    prospect.take(event("1", 0, "email", "x"))
    assert prospect.take(event("2", HOUR, "email", "later")).due_at == T0 + 5 * DAY + 1
    expired = prospect.take(5 * DAY + 1)
    assert expired.facts is not None
    assert [(one.status, one.snoozed_until) for one in expired.facts.standings] == [("expired", None)]
    assert expired.facts.stalls == ()
