"""What history says of a funnel's rules: how often each mattered, and what is odd."""

from __future__ import annotations

from agents.days_off import days_off
from backtest.lint_history import Observed, Use, findings, observe, rules_for
from backtest.stitching import stitch
from funnel.definition import parse_funnel
from schemas.ndjson import parse_line
from tests.e2e.harness import event
from tests.replaying import gathered, records_of

FUNNEL = """
name = "f"
window = "30d"
[[stage]]
name = "look"
enter = [{ channel = "web", type = "page_view" }]
[[stage]]
name = "again"
enter = [{ channel = "web", type = "page_view", url = "*/pricing*", at_least = 3, within = "7d" }, { channel = "web", type = "referral" }]
[[stage]]
name = "talk"
enter = [{ channel = "call", type = "completed", min_duration_seconds = 600 }, { channel = "call", type = "voicemail" }]
[[stage]]
name = "buy"
enter = [{ channel = "web", type = "purchase" }]
[[back]]
to = "look"
on = [{ channel = "call", type = "cancelled" }]
"""
PRICING = "https://shop.example/pricing"
NOW = 1_800_000_000_000_000


def observed(*lines: str) -> Observed:
    """What the funnel makes of events."""
    rules = rules_for(parse_funnel(FUNNEL), days_off)
    records = records_of(parse_line(line.encode()) for line in lines)
    return observe(rules, stitch(gathered(records, rules)), NOW)


def view(number: int, day: int, who: str = "a", url: str = PRICING) -> str:
    """A page view."""
    return event(f"v{who}{number}", "web", "page_view", f"2026-01-{day:02}T10:00:00Z", user_id=who, url=url)


def call(number: int, day: int, seconds: int, type_: str = "completed") -> str:
    """A call."""
    return event(f"c{number}", "call", type_, f"2026-01-{day:02}T10:00:00Z", user_id="a", duration_seconds=seconds)


def use_of(found: Observed, where: str) -> Use:
    """What a clause did."""
    return next(use for use in found.uses if use.placed.where == where)


def test_uses_are_counted() -> None:
    """Events that match, that satisfy, and moves; counts start over when a visit has closed."""
    found = observed(
        *(view(number, day) for number, day in enumerate((1, 2, 3, 4))),
        call(1, 5, 601),
        event("p", "web", "purchase", "2026-01-06T10:00:00Z", user_id="a"),
        view(9, 7),
        view(1, 1, "b", "/"),
    )
    use = use_of(found, "again.enter[0]")
    assert (use.matched, use.satisfied, use.moved, use.most) == (5, 2, 1, 3)
    use = use_of(found, "look.enter[0]")
    assert (use.matched, use.satisfied, use.moved) == (6, 6, 3)
    use = use_of(found, "talk.enter[0]")
    assert (use.matched, use.satisfied, use.moved, use.but_for_duration) == (1, 1, 1, 1)
    assert (found.events, found.prospects) == (8, 2)
    told = dict(findings(found))
    assert "talk.enter[0]" not in told
    assert told["talk.enter[1]"] == "matches none of 8 events"


def test_thresholds_nobody_meets() -> None:
    """How close anybody came is told, and what matches but for its length."""
    told = dict(findings(observed(view(1, 1), view(2, 2), view(3, 20), call(1, 21, 59), call(2, 22, 599))))
    assert told["again.enter[0]"] == "nobody meets it: 3 events match, but never 3 within 7d; at most 2"
    assert told["talk.enter[0]"] == "nobody meets it: of 2 events that match otherwise none lasts 600 s"


def test_clauses_that_move_nobody() -> None:
    """They are satisfied where there is nothing to move."""
    told = dict(findings(observed(view(1, 1), call(1, 2, 5, "cancelled"))))
    assert told["back[0].on[0]"] == "moved nobody: satisfied 1 times, where no visit could be moved by it"


def test_stages_nobody_enters_or_leaves() -> None:
    """One that is skipped is told apart from one that nobody came to."""
    told = dict(findings(observed(view(1, 1), call(1, 2, 700))))
    assert told["again"] == "always skipped by the 1 visits that came so far"
    assert told["talk"] == "nobody left it but by expiring: 1 of 1 visits expired, 0 wait"
    assert told["buy"] == "nobody came so far"
    assert "look" not in told
