"""funnel.journey: the fold, on histories worked out by hand from the contract, and read as a story."""

from __future__ import annotations

from pathlib import Path

import pytest

from funnel.definition import load_funnels, parse_funnel
from funnel.facts import Transition
from funnel.journey import START, Progress, due_at, expiry, fold, standing
from funnel.rules import RuleSet
from tests.oracle.identity import Event
from tests.unit.funnel.histories import DAY, HOUR, T0, buy, call, event, touches, view

SALES = RuleSet(load_funnels([Path(__file__).parents[3] / "funnels" / "sales.toml"]))
WINDOW = 90 * DAY


def tell(*events: Event, rules: RuleSet = SALES) -> tuple[Progress, list[Transition]]:
    """Fold events through the only funnel; hand-offs are told elsewhere."""
    progress, rows = fold(rules.funnels[0], START, touches(rules, *events))
    return progress, [row for row in rows if isinstance(row, Transition)]


def story(*events: Event, rules: RuleSet = SALES) -> list[str]:
    """Say what happened: visit.step kind to_stage."""
    return [f"{row.visit}.{row.step} {row.kind} {row.to_stage}" for row in tell(*events, rules=rules)[1]]


def test_a_sale() -> None:
    """Every column of the rows of a visit that is won."""
    _, rows = tell(
        view("1", 0, campaign="spring", account_id="acme"),
        event("2", DAY, "email", "clicked", campaign="mail", account_id="globex"),
        call("3", 3 * DAY, "demo", rep="ann", reason="wants it"),
        buy("4", 3 * DAY + HOUR, amount=None, currency="EUR"),
    )
    assert rows == [
        Transition("sales", 1, 1, 0, "enter", "", "awareness", T0, T0, 0.0, "s", "1", "web", "page_view", "spring",
                   "web", "spring", "acme", 0, "", "", ""),
        Transition("sales", 1, 1, 1, "advance", "awareness", "interest", T0 + DAY, T0, 86_400.0, "s", "2", "email",
                   "clicked", "mail", "web", "spring", "globex", 0, "", "", ""),
        Transition("sales", 1, 1, 2, "advance", "interest", "consideration", T0 + 3 * DAY, T0, 172_800.0, "s", "3",
                   "call", "completed", "", "web", "spring", "globex", 0, "", "wants it", "ann"),
        Transition("sales", 1, 1, 3, "advance", "consideration", "purchase", T0 + 3 * DAY + HOUR, T0, 3_600.0, "s",
                   "4", "web", "purchase", "", "web", "spring", "globex", 0, "EUR", "", "", "", "",
                   (T0, T0 + DAY, T0 + 3 * DAY, T0 + 3 * DAY + HOUR), ("", "", "", ""), ("spring", "mail", "", ""), 0),
    ]  # fmt: skip


def test_skip_and_straight_to_the_end() -> None:
    """A stage passed over isn't entered; a visit may open in the last stage, and is won there."""
    assert story(view("1", 0), buy("2", 1)) == ["1.0 enter awareness", "1.1 skip purchase"]
    progress, rows = tell(buy("1", 0))
    assert (rows[0].kind, rows[0].to_stage, progress.status, progress.closed_at) == ("enter", "purchase", "won", T0)


def test_back_then_on_again() -> None:
    """`back` leads to an earlier stage only, and from there on again."""
    lines = story(view("1", 0), call("2", 1, "nurture"), call("3", 2, "demo"), call("4", 3, "nurture"), buy("5", 4))
    assert lines == ["1.0 enter awareness", "1.1 skip consideration", "1.2 back interest", "1.3 skip purchase"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"outcome": "lost", "reason": "price"}, "price"),
        ({"outcome": "lost", "reason": ""}, "lost"),
        ({"outcome": "disqualified"}, "disqualified"),
    ],
)
def test_lost(fields: dict[str, str], reason: str) -> None:
    """A lost visit says why: reason, else outcome."""
    progress, rows = tell(view("1", 0), event("2", HOUR, "call", "completed", **fields))
    assert (rows[-1].kind, rows[-1].to_stage, rows[-1].reason) == ("lost", "lost", reason)
    assert (progress.status, progress.stage, progress.closed_at) == ("lost", -1, T0 + HOUR)


def test_lost_by_a_type() -> None:
    """Without reason and outcome, the type says why; a prospect who isn't there can't be lost."""
    unsubscribed = event("2", HOUR, "email", "unsubscribed")
    assert tell(view("1", 0), unsubscribed)[1][-1].reason == "unsubscribed"
    assert story(unsubscribed) == []


def test_at_least() -> None:
    """Two views of prices within seven days are interest; a microsecond more is not."""
    price = {"url": "https://x/pricing"}
    assert story(view("1", 0, **price), view("2", 7 * DAY, **price))[1:] == ["1.1 advance interest"]
    assert story(view("1", 0, **price), view("2", 7 * DAY + 1, **price))[1:] == []


@pytest.mark.parametrize(("later", "expired"), [(0, False), (1, True)])
def test_window(later: int, expired: bool) -> None:
    """A visit expires after the window, not at it."""
    kinds = [row.kind for row in tell(view("1", 0), buy("2", WINDOW + later))[1]]
    assert kinds == (["enter", "expired", "enter"] if expired else ["enter", "skip"])


def test_expired_row() -> None:
    """It has no cause, lies a window after the clock, and knows the account of events until then."""
    _, rows = tell(
        view("1", 0, account_id="acme", campaign="spring"), view("2", DAY), view("3", 200 * DAY, account_id="late")
    )
    at = T0 + DAY + WINDOW
    assert rows[1] == Transition(
        *("sales", 1, 1, 1, "expired", "awareness", "expired", at, T0, 91 * 86_400.0, "", "", "", "", ""),
        *("web", "spring", "acme", 0, "", "", "", "", "", (T0, T0 + DAY), ("", ""), ("spring", "")),
    )
    assert (rows[2].visit, rows[2].account_id) == (2, "late")


def test_what_is_no_activity_keeps_nobody_awake() -> None:
    """A cancelled call is nothing to this funnel; an unanswered mail neither."""
    assert story(view("1", 0), event("2", 60 * DAY, "email", "delivered"), view("3", WINDOW + 1)) == [
        "1.0 enter awareness",
        "1.1 expired expired",
        "2.0 enter awareness",
    ]


@pytest.mark.parametrize(("later", "lines"), [(-1, []), (0, ["2.0 enter awareness"])])
def test_rest_after_a_sale(later: int, lines: list[str]) -> None:
    """For 30 days a customer who browses is no new prospect; then they are."""
    assert story(buy("1", 0), view("2", 30 * DAY + later))[1:] == lines


@pytest.mark.parametrize(("later", "lines"), [(-1, []), (0, ["2.0 enter awareness"])])
def test_rest_after_a_loss(later: int, lines: list[str]) -> None:
    """For 14 days someone lost who browses is no new prospect; then they are."""
    assert story(view("0", 0), call("1", 0, "lost"), view("2", 14 * DAY + later))[2:] == lines


def test_wake() -> None:
    """Entering `consideration` or further ends the rest, entering `interest` doesn't."""
    clicked = event("2", DAY, "email", "clicked")
    assert story(buy("1", 0), clicked)[1:] == []
    assert story(buy("1", 0), call("2", DAY, "demo"))[1:] == ["2.0 enter consideration"]
    assert story(view("0", 0), call("1", 0, "lost"), buy("2", DAY))[2:] == ["2.0 enter purchase"]


def test_repeat() -> None:
    """Buying again during rest is a repeat of the visit; its close, and so the rest, stay where they were."""
    progress, rows = tell(buy("1", 0), buy("2", 10 * DAY), buy("3", 29 * DAY), view("4", 30 * DAY))
    assert [(row.visit, row.step, row.kind) for row in rows] == [
        (1, 0, "enter"),
        (1, 1, "repeat"),
        (1, 2, "repeat"),
        (2, 0, "enter"),
    ]
    assert (rows[2].from_stage, rows[2].to_stage, rows[2].seconds_in_from) == ("purchase", "purchase", 19 * 86_400.0)
    assert progress.visit == 2


def test_counting_starts_over_where_a_visit_closed() -> None:
    """What led to a sale doesn't count again; what came during the rest does."""
    prices = [view(str(n), n, url="/pricing") for n in range(4)]
    bought = buy("b", 10)
    resting = [view("r", 29 * DAY, url="/pricing"), view("s", 30 * DAY + 10, url="/pricing")]
    assert story(*prices[:2], bought, resting[1])[-1] == "2.0 enter awareness"
    assert story(*prices[:2], bought, *resting)[-1] == "2.0 enter interest"


def test_ties_follow_the_order() -> None:
    """At one instant the events' ids decide: 10 comes before 9, as text."""
    assert story(call("10", 0, "demo"), buy("9", 0)) == ["1.0 enter consideration", "1.1 advance purchase"]


def test_wall_clock() -> None:
    """A visit expires by the wall clock a microsecond after its window, and its standing says so."""
    (one,) = SALES.funnels
    progress, _ = tell(view("1", 0), view("2", DAY, account_id="acme"))
    due = T0 + DAY + WINDOW + 1
    assert due_at(one, progress) == due
    assert expiry(one, progress, due - 1) is None
    row = expiry(one, progress, due)
    assert row is not None
    assert (row.kind, row.entered_at, row.account_id) == ("expired", due - 1, "acme")
    assert standing(one, progress, due - 1) == ("sales", 1, "awareness", "open", T0, T0 + DAY, "acme", None, None)
    assert standing(one, progress, due) == ("sales", 1, "", "expired", due - 1, T0 + DAY, "acme", None, None)


def test_standing_of_nobody() -> None:
    """Who never opened a visit stands nowhere, and nothing is due."""
    (one,) = SALES.funnels
    progress, rows = tell(event("1", 0, "email", "unsubscribed"))
    assert rows == []
    assert standing(one, progress, T0) is None
    assert due_at(one, progress) is None


def test_standing_of_a_customer() -> None:
    """A closed visit stands at its close; later activity is still told."""
    (one,) = SALES.funnels
    progress, _ = tell(buy("1", 0), view("2", DAY))
    assert standing(one, progress, T0) == ("sales", 1, "", "won", T0, T0 + DAY, "", None, None)
    assert due_at(one, progress) is None


def test_funnels_look_only_at_their_own() -> None:
    """An event another funnel cares for passes this one by, its account too."""
    other = 'name = "other"\nactivity = [ { type = "x" } ]\n[[stage]]\nname = "s"\nenter = [ { type = "x" } ]'
    one = 'name = "one"\nactivity = [ { type = "y" } ]\n[[stage]]\nname = "s"\nenter = [ { type = "y" } ]'
    rules = RuleSet([parse_funnel(other), parse_funnel(one)])
    history = touches(rules, event("1", 0, "web", "x", account_id="acme"), event("2", 1, "web", "y"))
    rows = [fold(each, START, history)[1] for each in rules.funnels]
    assert [
        [(row.cause_event_id, row.account_id) for row in of_one if isinstance(row, Transition)] for of_one in rows
    ] == [
        [("1", "acme")],
        [("2", "")],
    ]
