"""What is odd about a funnel file: each finding, and that the presets have none."""

from __future__ import annotations

import pytest

from backtest.lint import TYPES, lint
from funnel.definition import load_funnels, parse_funnel
from journey.funnel_files import funnel_paths, preset_names

PLAIN = """
name = "plain"
[[stage]]
name = "one"
enter = [{ channel = "web", type = "page_view" }]
[[stage]]
name = "two"
enter = [{ channel = "web", type = "form_submit" }]
[[stage]]
name = "three"
enter = [{ channel = "web", type = "demo_request" }]
[[stage]]
name = "won"
enter = [{ channel = "web", type = "purchase" }]
[lost]
on = [{ channel = "email", type = "unsubscribed" }]
"""


def found(toml: str) -> dict[str, str]:
    """By place, what is odd there."""
    return dict(lint(parse_funnel(toml)))


@pytest.mark.parametrize("preset", preset_names())
def test_presets_are_not_odd(preset: str) -> None:
    """Or nobody would believe it."""
    assert lint(load_funnels(funnel_paths([preset]))[0]) == []


def test_a_plain_funnel_is_not_odd() -> None:
    """All that follows differs from it in one thing."""
    assert found(PLAIN) == {}


@pytest.mark.parametrize(
    ("old", "new", "where", "problem"),
    [
        ('"form_submit" }', '"form_submit", outcome = "won" }', "two.enter[0]", "matches no event: web events have no outcome"),
        ('"form_submit" }', '"form_submit", min_duration_seconds = 9 }', "two.enter[0]", "web events have no duration_seconds"),
        ('{ channel = "web", type = "form_submit" }', '{ channel = "phone" }', "two.enter[0]", "no channel is called so"),
        ('type = "form_submit"', 'type = "form_submitt"', "two.enter[0]", "is 'form_submit' meant?"),
        ('{ channel = "web", type = "form_submit" }', '{ channel = "call", outcome = "qualifed" }', "two.enter[0]", "'qualified'"),
        ('"form_submit" }', '"form_submit", at_least = 1, within = "1d" }', "two.enter[0]", "at_least = 1"),
        ('"form_submit" }', '"form_submit", at_least = 2, within = "0s" }', "two.enter[0]", "at the same instant"),
        ('"form_submit" }', '"form_submit" }, { channel = "web", type = ["form_*"] }', "two.enter[0]", "adds nothing: two.enter[1]"),
        ('"form_submit" }', '"form_submit" }, { type = "form_submit", channel = "web" }', "two.enter[1]", "adds nothing: two.enter[0]"),
        (
            '"form_submit" }',
            '"form_submit", at_least = 3, within = "1d" }, { channel = "web", type = "form_submit", at_least = 2, within = "2d" }',
            "two.enter[0]",
            "adds nothing: two.enter[1]",
        ),
        ('"demo_request" }', '"demo_request" }, { channel = "w*", type = "form_*" }', "two", "nobody can enter it"),
        ('"demo_request" }', '"demo_request" }, { channel = "web", type = "form_submit" }', "two.enter[0]", "leads on to three"),
        ('type = "unsubscribed"', 'type = "unsubscribed" }, { type = "form_*"', "two.enter[0]", "losing comes first"),
        ('type = "purchase"', 'type = "purchase", outcome = "won"', "won", "nobody can win"),
        ("[lost]", '[[back]]\nto = "three"\non = [{ channel = "call" }]\n[lost]', "back[0]", "without being won"),
        ("[lost]", '[[back]]\nto = "one"\non = [{ type = "purchase", channel = "web" }]\n[lost]', "back[0].on[0]", "wins the visit"),
        ("[lost]", '[[back]]\nto = "one"\non = [{ channel = "email", type = "unsubscribed" }]\n[lost]', "back[0].on[0]", "never decides"),
        ('name = "one"', 'name = "one"\nstall_after = "91d"', "one", "never stalls: a visit expires after 90d"),
        ('name = "plain"', 'name = "plain"\nwake = "three"', "wake", "nothing rests"),
        ('name = "plain"', 'name = "plain"\nwake = "one"\nrest = { won = "1d" }', "wake", "is the first stage"),
        ('name = "plain"', 'name = "plain"\n[handoff]\ntouch = [{ channel = "call" }]', "handoff.touch", "no effect"),
        ('type = "unsubscribed"', 'outcome = "lost"', "lost.on[0]", "matches no event"),
    ],
)  # fmt: skip
def test_what_is_odd(old: str, new: str, where: str, problem: str) -> None:
    """Each thing is told where it is, and says why."""
    assert old in PLAIN
    told = found(PLAIN.replace(old, new, 1))
    assert problem in told.get(where, ""), told


def test_rest_after_losing_wants_something_that_loses() -> None:
    """And a stage is never left where nothing further can be entered and nothing loses."""
    toml = PLAIN.split("[lost]", maxsplit=1)[0].replace('name = "plain"', 'name = "plain"\nrest = { lost = "1d" }')
    told = found(
        toml.replace('"demo_request"', '"demo_request", outcome = "x"').replace('"purchase"', '"purchase", rep = "x"')
    )
    assert "nothing loses a visit" in told["rest.lost"]
    assert "nobody can leave it but by expiring" in told["two"]
    assert "one" not in told


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # A threshold further on hides nothing below its count, nor does a narrower glob, or one that asks for a duration.
        ('"demo_request" }', '"demo_request" }, { channel = "web", type = "form_submit", at_least = 2, within = "1d" }'),
        ('"demo_request" }', '"demo_request" }, { channel = "web", type = "form_submit", url = "*pricing*" }'),
        ('"form_submit" }', '"form_submit" }, { channel = "web", type = "form_sub?it", url = "*pricing*", properties.a = "*" }'),
        ('"form_submit" }', '"our_own_type" }'),
        ('{ channel = "web", type = "form_submit" }', '{ channel = ["web", "call"], outcome = "qualified" }'),
    ],
)  # fmt: skip
def test_what_is_not_odd(old: str, new: str) -> None:
    """What may well be meant is not told."""
    told = found(PLAIN.replace(old, new, 1))
    assert told in ({}, {"two.enter[1]": "adds nothing: two.enter[0] matches all of its events"}), told
    assert not told or "form_sub?it" not in new


def test_types_are_those_of_the_schemas() -> None:
    """The contract's list, as the schemas' docs have it."""
    from schemas.catalog import SUBJECT_OF_CHANNEL, current

    for channel, types in TYPES.items():
        text = current(SUBJECT_OF_CHANNEL[channel]).text
        assert all(type_ in text for type_ in types), channel
