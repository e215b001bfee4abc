"""Hand-offs: who was handed over, when the team touched them first, what came of it, and alerts where nobody did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from funnel.definition import load_funnels, parse_funnel
from funnel.facts import Handoff, Stall
from funnel.handoffs import DECIDED, HANDED, TOUCHED, is_handed, may_be_handed
from funnel.journey import START, fold
from funnel.prospect import Outcome
from funnel.rules import RuleSet
from tests.oracle.identity import Event
from tests.unit.funnel.histories import DAY, HOUR, T0, buy, call, event, touches, view
from tests.unit.funnel.test_prospect import Prospect

PRESETS = Path(__file__).parents[3] / "funnels"
SALES, B2B = (RuleSet(load_funnels([PRESETS / f"{name}.toml"])) for name in ("sales", "b2b"))
FILE = """
name = "f"
{more}
[[stage]]
name = "lead"
team = "marketing"
enter = [ {{ type = "page_view" }} ]
[[stage]]
name = "sql"
team = "sales"
respond_within = "4h"
enter = [ {{ type = "demo_request" }}, {{ outcome = "qualified" }} ]
[[stage]]
name = "talks"
team = "sales"
enter = [ {{ outcome = "demo" }}, {{ type = "trial_started" }}, {{ campaign = "talks" }} ]
[[stage]]
name = "setup"
team = "success"
respond_within = "1d"
enter = [ {{ type = "signup" }} ]
[[stage]]
name = "live"
team = "nobody"
enter = [ {{ type = "purchase" }} ]
[[back]]
to = "lead"
on = [ {{ outcome = "nurture" }} ]
[lost]
on = [ {{ outcome = "lost" }} ]
"""
RULES = RuleSet([parse_funnel(FILE.format(more=""))])
WORKING = RuleSet([parse_funnel(FILE.format(more='calendar = "mon-fri 09:00-18:00 Europe/Berlin"'))])
ATTEMPTS = '\n[handoff]\ntouch = [ { channel = "call", type = ["completed", "no_answer", "voicemail"] } ]\n'
ATTEMPTING = RuleSet([parse_funnel(FILE.format(more="") + ATTEMPTS)])


def demo(event_id: str, at: int, **fields: object) -> Event:
    """Ask for a demo, which hands the prospect over to sales."""
    return event(event_id, at, "web", "demo_request", **fields)


def told(*events: Event, rules: RuleSet = RULES) -> list[str]:
    """Say what is told of hand-offs: step, what, and with which event."""
    _, rows = fold(rules.funnels[0], START, touches(rules, *events))
    names = {HANDED: "handed", TOUCHED: "touched"}
    return [
        f"{row.visit}.{row.step} {names.get(row.part, row.decision)} {row.event_id}"
        for row in rows
        if isinstance(row, Handoff)
    ]


def test_a_lead_that_sales_qualifies() -> None:
    """All columns of the three rows, in the default funnel."""
    _, rows = fold(
        SALES.funnels[0],
        START,
        touches(
            SALES,
            view("1", 0, campaign="winter", account_id="acme"),
            demo("2", HOUR, campaign="spring"),
            call("3", 3 * HOUR, None, rep="ann"),
            call("4", 5 * HOUR, "qualified", rep="bob", reason="budget"),
        ),
    )
    assert [row for row in rows if isinstance(row, Handoff)] == [
        Handoff("sales", 1, 1, HANDED, T0 + HOUR, "s", "2", "web", "demo_request", "spring", "", "", "",
                "", "marketing", "sales", "consideration", "winter", "acme", None),
        Handoff("sales", 1, 1, TOUCHED, T0 + 3 * HOUR, "s", "3", "call", "completed", "", "", "", "ann"),
        Handoff("sales", 1, 1, DECIDED, T0 + 5 * HOUR, "s", "4", "call", "completed", "", "qualified", "budget", "bob",
                "accepted"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        # Sent back, with the first touch; and handed over again.
        (
            [view("1", 0), demo("2", 1), call("3", 2, "nurture"), demo("4", 3)],
            ["1.1 handed 2", "1.1 touched 3", "1.1 sent_back 3", "1.3 handed 4"],
        ),
        # A visit that opens there comes from the team of the first stage.
        ([demo("1", 0), call("2", 1, "lost")], ["1.0 handed 1", "1.0 touched 2", "1.0 lost 2"]),
        # Who brings it to themselves has touched it, and taken it.
        ([view("1", 0), call("2", 1, "demo")], ["1.1 handed 2", "1.1 touched 2", "1.1 accepted 2"]),
        # They move within a team: it is one hand-off, and any stage of the team counts as taken.
        (
            [view("1", 0), demo("2", 1), event("3", 2, "web", "trial_started"), call("4", 3, "demo")],
            ["1.1 handed 2", "1.1 touched 4", "1.1 accepted 4"],
        ),
        (
            [view("1", 0), demo("2", 1), event("3", 2, "web", "trial_started"), call("4", 3, "qualified")],
            ["1.1 handed 2", "1.1 touched 4", "1.1 accepted 4"],
        ),
        # What loses them accepts nothing, whatever stage it would enter.
        ([demo("1", 0), call("2", 1, "lost", campaign="talks")], ["1.0 handed 1", "1.0 touched 2", "1.0 lost 2"]),
        # They go on to a third team, or buy, before anybody calls.
        ([demo("1", 0), event("2", 1, "web", "signup")], ["1.0 handed 1", "1.0 handed_on 2", "1.1 handed 2"]),
        ([demo("1", 0), buy("2", 1)], ["1.0 handed 1", "1.0 won 2"]),
        # What comes after it was decided, or in a visit that closed, is told no more.
        ([demo("1", 0), call("2", 1, "demo"), call("3", 2, "nurture"), call("4", 3, None)],
         ["1.0 handed 1", "1.0 touched 2", "1.0 accepted 2"]),
        ([demo("1", 0), view("2", 91 * DAY), call("3", 92 * DAY, "demo")],
         ["1.0 handed 1", "2.1 handed 3", "2.1 touched 3", "2.1 accepted 3"]),
        # The last stage is the end, not a hand-off; nor is moving back to marketing.
        ([view("1", 0), buy("2", 1)], []),
        # Mail, tries and appointments are no touch where nothing else is declared.
        ([demo("1", 0), event("2", 1, "call", "no_answer"), event("3", 2, "email", "replied")], ["1.0 handed 1"]),
    ],
)  # fmt: skip
def test_what_is_told(events: list[Event], expected: list[str]) -> None:
    """Each thing once, with the event that it happened with."""
    assert told(*events) == expected


def test_attempts_count_where_they_are_declared() -> None:
    """Then they are relevant, too; what sends a prospect back explains itself by its outcome, if by nothing else."""
    history = (demo("1", 0), event("2", 1, "call", "no_answer"), call("3", 2, "nurture"))
    assert told(*history, rules=ATTEMPTING) == ["1.0 handed 1", "1.0 touched 2", "1.0 sent_back 3"]
    assert touches(RULES, history[1])[0].matches == 0
    _, rows = fold(ATTEMPTING.funnels[0], START, touches(ATTEMPTING, *history))
    assert [row.reason for row in rows if isinstance(row, Handoff)] == ["", "", "nurture"]
    assert ATTEMPTING.fingerprint != RULES.fingerprint


def test_teams_and_deadlines_are_no_rules() -> None:
    """They decide no move: with others, or none, touches are matched as they were."""
    (funnel,) = (one.funnel for one in RULES.funnels)
    stages = tuple(replace(stage, team="", respond_within=None) for stage in funnel.stages)
    assert RuleSet([replace(funnel, stages=stages)]).fingerprint == RULES.fingerprint


def test_b2b_hands_over_with_a_call() -> None:
    """There it is sales that qualifies, so it has touched them when it gets them."""
    ebooks = [event(str(number), number, "web", "content_download") for number in range(2)]
    history = [view("v", 0), *ebooks, call("c", DAY, "qualified")]
    assert told(*history, rules=B2B) == ["1.2 handed c", "1.2 touched c", "1.2 accepted c"]


def test_which_stages_are_handed() -> None:
    """Those of another team than the one before; not the last one, nor one without a team, nor backwards."""
    teams = ("", "a", "a", "b", "", "a", "b")
    pairs = [(stage, to) for stage in range(7) for to in range(7) if is_handed(teams, stage, to)]
    assert pairs == [(0, 1), (0, 2), (0, 3), (0, 5), (1, 3), (2, 3), (3, 5), (4, 5)]
    assert [may_be_handed(teams, to) for to in range(7)] == [False, True, True, True, False, True, False]


def stalls(outcome: Outcome) -> list[Stall]:
    """The episodes it tells of."""
    return [] if outcome.facts is None else list(outcome.facts.stalls)


def test_nobody_responds_in_time() -> None:
    """It is noticed when the time is over, not earlier and once; the prospect itself is not stalled."""
    prospect = Prospect(rules=RULES)
    assert prospect.take(demo("1", 0, account_id="acme")).due_at == T0 + 4 * HOUR
    assert stalls(prospect.take(4 * HOUR - 1)) == []
    late = prospect.take(4 * HOUR)
    episode = Stall("f", 1, "sql", T0 + 4 * HOUR, 0, T0 + 4 * HOUR, account_id="acme", kind="response")
    assert stalls(late) == [episode]
    assert late.facts is not None
    assert late.facts.standings == ()
    assert late.due_at == T0 + 90 * DAY + 1
    again = prospect.take(5 * HOUR)
    assert (again.facts, again.head) == (None, None)
    # Activity of the prospect is no response.
    assert stalls(prospect.take(view("2", 6 * HOUR))) == []
    ended = prospect.take(call("3", 7 * HOUR, None))
    assert stalls(ended) == [episode._replace(resolved_at=T0 + 7 * HOUR, resolution="answered")]


@pytest.mark.parametrize(
    ("message", "resolution", "at"),
    [
        (call("2", 5 * HOUR, "nurture"), "moved", 5 * HOUR),
        (event("2", 5 * HOUR, "web", "trial_started"), "moved", 5 * HOUR),
        (buy("2", 5 * HOUR), "won", 5 * HOUR),
        (call("2", 5 * HOUR, "lost"), "lost", 5 * HOUR),
        (90 * DAY + 1, "expired", 90 * DAY),
        (call("2", 3 * HOUR, None), "void", 4 * HOUR),
        (view("0", -1), "", 0),
    ],
)
def test_what_ends_it(message: Event | int, resolution: str, at: int) -> None:
    """A touch, a move, the end of the visit; a call that came late, but was made in time, shows that all was well."""
    prospect = Prospect(rules=RULES)
    prospect.take(demo("1", 0), 4 * HOUR)
    ends = stalls(prospect.take(message))
    assert [(one.resolution, one.resolved_at) for one in ends] == ([(resolution, T0 + at)] if resolution else [])


def test_back_and_handed_over_again_in_one_run() -> None:
    """Even where the second time somebody responded, nobody did to the first."""
    prospect = Prospect(rules=RULES)
    prospect.take(demo("1", 0), 4 * HOUR)
    ends = stalls(prospect.take(call("2", 5 * HOUR, "nurture"), demo("3", 6 * HOUR), call("4", 7 * HOUR, None)))
    assert [(one.resolution, one.resolved_at) for one in ends] == [("moved", T0 + 6 * HOUR)]


def test_only_the_hand_off_is_waited_for() -> None:
    """A team that moves a prospect on within itself, even without a touch, is not asked for one again; nor is it once the visit is over."""
    text = FILE.format(more="").replace('name = "talks"', 'name = "talks"\nrespond_within = "1h"\nstall_after = "2h"')
    prospect = Prospect(rules=RuleSet([parse_funnel(text)]))
    assert prospect.take(demo("1", 0), event("2", HOUR, "web", "trial_started")).due_at == T0 + 3 * HOUR
    assert [one.kind for one in stalls(prospect.take(3 * HOUR))] == ["stall"]
    assert prospect.state.progress[0].undecided == prospect.state.progress[0].untouched == 0
    prospect.take(view("3", 95 * DAY))
    assert prospect.state.progress[0].undecided == prospect.state.progress[0].untouched == -1


def test_in_working_hours() -> None:
    """T0 is a Tuesday, 23:13 in Berlin: there are four hours of work until Wednesday, 13:00."""
    assert Prospect(rules=WORKING).take(demo("1", 0)).due_at == T0 + 13 * HOUR + 2800 * 1_000_000


def test_a_response_and_a_stall_at_one_deadline() -> None:
    """Two episodes, known apart by their kind; a crash tells both again."""
    text = FILE.format(more="").replace('respond_within = "4h"', 'respond_within = "4h"\nstall_after = "4h"')
    prospect = Prospect(rules=RuleSet([parse_funnel(text)]))
    prospect.take(demo("1", 0))
    late = prospect.take(4 * HOUR)
    assert sorted(one.kind for one in stalls(late)) == ["response", "stall"]
    prospect.restart()
    assert sorted(stalls(prospect.take(4 * HOUR, position=1))) == sorted(stalls(late))
    ends = stalls(prospect.take(view("2", 5 * HOUR)))
    assert [(one.kind, one.resolution) for one in ends] == [("stall", "active")]
    ends = stalls(prospect.take(call("3", 6 * HOUR, None)))
    assert [(one.kind, one.resolution) for one in ends] == [("response", "answered")]


def test_corrections_move_it() -> None:
    """An event that comes late makes the hand-off the second step: what was told of the first one is taken back."""
    prospect = Prospect(rules=RULES)
    prospect.take(demo("1", 0), call("2", 1, "demo"))
    late = prospect.take(view("0", -1))
    assert late.facts is not None
    assert [row[:4] for row in late.facts.handoffs] == [("f", 1, 1, HANDED), ("f", 1, 1, TOUCHED), ("f", 1, 1, DECIDED)]
    assert set(late.facts.removed_handoffs) == {("f", 1, 0, HANDED), ("f", 1, 0, TOUCHED), ("f", 1, 0, DECIDED)}
    assert late.facts.removed == (), "no transition goes: there is one more"
