"""Why two funnels part over a prospect, in words."""

from __future__ import annotations

import pytest

from backtest.clauses import compiled
from backtest.reasons import Parting, Rules, parting
from backtest.stitching import stitch
from funnel.definition import parse_funnel
from funnel.rules import RuleSet
from schemas.ndjson import parse_line
from tests.e2e.harness import event
from tests.replaying import gathered, records_of

BEFORE = """
name = "f"
window = "30d"
rest = { won = "10d" }
[[stage]]
name = "look"
enter = [{ channel = "web", type = "page_view" }]
[[stage]]
name = "compare"
enter = [{ channel = "web", type = "form_submit" }, { channel = "web", type = "page_view", url = "/p", at_least = 2, within = "7d" }]
[[stage]]
name = "buy"
enter = [{ channel = "web", type = "purchase" }]
[lost]
on = [{ channel = "email", type = "unsubscribed" }]
"""
NOW = 1_800_000_000_000_000


def parted(old: str, new: str, *lines: str) -> Parting:
    """Where the changed funnel parts from the other over one prospect."""
    assert old in BEFORE
    rules = RuleSet([parse_funnel(BEFORE), parse_funnel(BEFORE.replace(old, new))])
    stitched = stitch(gathered(records_of(parse_line(line.encode()) for line in lines), rules))
    ((_, history),) = stitched.histories.items()
    before, now = (Rules(one, compiled(rules, one)) for one in rules.funnels)
    return parting(history, before, now, NOW)


def did(number: int, type_: str, day: int, channel: str = "web", **fields: str) -> str:
    """An event of the one prospect."""
    return event(f"e{number}", channel, type_, f"2026-01-{day:02}T10:00:00Z", user_id="a", **fields)


VIEWS = (did(1, "page_view", 1, url="/p"), did(2, "page_view", 2, url="/p"))


@pytest.mark.parametrize(
    ("old", "new", "lines", "moved_before", "why_now"),
    [
        ("at_least = 2", "at_least = 3", VIEWS, ["compare.enter[1]"], "compare.enter[1] wants 3 within 7d, this is number 2"),
        ("at_least = 2", 'at_least = 2, rep = "x"', VIEWS, ["compare.enter[1]"], "look is entered by it, but the visit is in look"),
        ("form_submit", "signup", (VIEWS[0], did(3, "form_submit", 2)), ["compare.enter[0]"], "no clause that moves anybody matches"),
        (
            'rest = { won = "10d" }',
            'rest = { won = "20d" }',
            (did(1, "purchase", 1), did(2, "page_view", 15)),
            ["look.enter[0]"],
            "look is entered by it, but the last visit rests",
        ),
        (
            'channel = "web", type = "form_submit"',
            'channel = "call"',
            (did(1, "form_submit", 1), did(2, "unsubscribed", 2, "email")),
            ["compare.enter[0]"],
            "no clause that moves anybody matches",
        ),
    ],
)  # fmt: skip
def test_why_nothing_moves(old: str, new: str, lines: tuple[str, ...], moved_before: list[str], why_now: str) -> None:
    """The clause that moved, and why the other funnel has no move there."""
    one = parted(old, new, *lines)
    assert one.event is not None
    assert [clause.where for clause in one.before.clauses] == moved_before
    assert (one.now.row, one.now.why) == (None, why_now)


def test_time_that_passes_is_no_event() -> None:
    """A shorter window lets a visit expire."""
    one = parted('window = "30d"', 'window = "5d"', VIEWS[0], did(3, "form_submit", 8))
    assert one.event is None
    assert (one.before.row, one.before.why) == (None, "the visit is in look")
    assert one.now.row is not None
    assert (one.now.row.kind, one.now.why) == ("expired", "no activity for 5d")
    assert (one.before.end, one.now.end) == ("expired", "expired")


def test_both_move_elsewhere() -> None:
    """Each has its own clause; and where the prospect ends is told."""
    lost = '[lost]\non = [{ channel = "web", type = "form_submit" },'
    one = parted("[lost]\non = [", lost, VIEWS[0], did(3, "form_submit", 2), did(4, "purchase", 3))
    assert [clause.where for clause in one.before.clauses] == ["compare.enter[0]"]
    assert [clause.where for clause in one.now.clauses] == ["lost.on[0]"]
    assert (one.before.end, one.now.end) == ("in buy", "in buy")
