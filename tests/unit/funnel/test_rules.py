"""funnel.rules: which clauses an event matches, and what that means."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from funnel.definition import parse_funnel
from funnel.rules import RuleSet

EVENT: dict[str, Any] = {
    "channel": "call",
    "type": "completed",
    "event_id": "1",
    "source": "aircall",
    "occurred_at": 0,
    "email": " Jane@X.com",
    "campaign": None,
    "outcome": "",
    "duration_seconds": 60,
    "amount": Decimal("5.5"),
    "properties": {"plan": "pro", "a.b": "dotted"},
}


def rules_with(clause: str, *more: str) -> RuleSet:
    """Compile a funnel whose one stage is entered by these clauses, and which counts nothing as activity."""
    enter = ", ".join((clause, *more))
    text = f'name = "f"\nactivity = [ {{ type = "never" }} ]\n[[stage]]\nname = "s"\nenter = [ {enter} ]'
    return RuleSet([parse_funnel(text)])


@pytest.mark.parametrize(
    ("clause", "matches"),
    [
        ('{ channel = "call" }', True),
        ('{ channel = "c*", type = "?ompleted" }', True),
        ('{ channel = "Call" }', False),
        ('{ type = ["x", "completed"] }', True),
        ('{ type = ["x", "y"] }', False),
        ('{ channel = "web", type = "completed" }', False),
        ('{ email = " Jane@X.com" }', True),  # as received, not normalised
        ('{ email = "jane@x.com" }', False),
        ('{ campaign = "*" }', False),  # null never matches
        ('{ url = "*" }', False),  # nor does what is absent
        ('{ outcome = "*" }', True),  # but the empty string is a string
        ('{ outcome = "" }', True),
        ('{ "properties.plan" = "p*" }', True),
        ('{ properties.plan = "free" }', False),
        ('{ "properties.a.b" = "dotted" }', True),
        ('{ properties.none = "*" }', False),
        ("{ min_duration_seconds = 60 }", True),
        ("{ min_duration_seconds = 61 }", False),
        ('{ amount = "5.50" }', True),
        ('{ duration_seconds = "6?" }', True),
    ],
)
def test_match(clause: str, matches: bool) -> None:
    """A clause matches when every key does, on fields as received."""
    assert bool(rules_with(clause).match(EVENT)) is matches


def test_duration_absent() -> None:
    """`min_duration_seconds` compares what is there."""
    rules = rules_with("{ min_duration_seconds = 0 }")
    assert not rules.match({**EVENT, "duration_seconds": None})
    assert not rules.match({key: value for key, value in EVENT.items() if key != "duration_seconds"})


def test_equal_predicates_share_a_bit() -> None:
    """Clauses that differ only in counting look at an event once."""
    rules = rules_with('{ type = "x" }', '{ type = "x", at_least = 2, within = "1d" }', '{ type = "y" }')
    assert rules.bits.bit_count() == 3  # x, y, and "never" of activity
    assert rules.match({**EVENT, "type": "x"}).bit_count() == 1


def test_many_types_are_not_kept() -> None:
    """Types come from outside: however many there are, matching stays right."""
    rules = rules_with('{ type = "t99??" }')
    matched = sum(bool(rules.match({**EVENT, "type": f"t{number}"})) for number in range(10_000))
    assert matched == 100


def test_verdict() -> None:
    """The furthest stage counts, plain clauses at once and counted ones when enough were seen."""
    text = """
name = "f"
activity = [ { type = "b" } ]
lost = { on = [ { type = "l" } ] }
stage = [
  { name = "one", enter = [ { type = "a" } ] },
  { name = "two", enter = [ { type = "a", at_least = 2, within = "1d" } ] },
]
back = [ { to = "two", on = [ { type = "k" } ] }, { to = "one", on = [ { type = "k" } ] } ]
"""
    rules = RuleSet([parse_funnel(text)])
    (one,) = rules.funnels
    match = {name: rules.match({**EVENT, "type": name}) for name in "ablkz"}
    assert match["z"] == 0
    assert (one.verdict(match["a"], 0).stage, one.verdict(match["a"], 1).stage) == (0, 1)
    assert one.verdict(match["b"], 0)[:] == (-1, False, (), True)
    assert one.verdict(match["l"], 0).lost
    assert one.verdict(match["k"], 0).back == (1, 0)


def test_fingerprint() -> None:
    """It is the same for the same funnels, and another where rows could differ."""
    one, same, other = rules_with('{ type = "x" }'), rules_with('{ type = "x" }'), rules_with('{ type = "y" }')
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert -(2**63) <= one.fingerprint < 2**63
