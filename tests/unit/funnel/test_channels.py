"""Channel groups: which one an event has by the rules that ship, and by rules of one's own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from funnel.channels import ChannelRules, parse_channels
from funnel.reading import FunnelError
from tests.oracle.channels import channel_group_of

DEFAULT = (Path(__file__).parents[3] / "channels" / "default.toml").read_text(encoding="utf-8")
SHIPPED = ChannelRules(parse_channels(DEFAULT))
HERE = "https://www.acme.example/pricing"
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Direct", {}),
    ("Direct", {"url": HERE}),
    ("Direct", {"url": HERE, "referrer": "https://shop.acme.example/"}),
    ("Direct", {"url": "https://shop.acme.example/", "referrer": HERE}),
    ("Referral", {"url": HERE, "referrer": "https://notacme.example/"}),
    ("Referral", {"url": HERE, "referrer": "https://blog.partner.example/list?x=1"}),
    ("Organic Search", {"url": HERE, "referrer": "https://www.google.de/"}),
    ("Organic Search", {"utm_medium": "Organic", "utm_source": "google"}),
    ("Organic Social", {"referrer": "https://l.facebook.com/l.php"}),
    ("Organic Social", {"utm_source": "LinkedIn", "utm_medium": "post"}),
    ("Organic Video", {"referrer": "https://www.youtube.com/watch?v=1"}),
    ("Organic Shopping", {"referrer": "https://www.amazon.de/dp/1"}),
    ("Paid Search", {"utm_source": "google", "utm_medium": "CPC"}),
    ("Paid Search", {"url": HERE + "?gclid=abc"}),
    ("Paid Search", {"url": HERE + "?GCLID=abc&x", "referrer": "https://www.google.de/"}),
    ("Direct", {"url": HERE + "?gclid="}),
    ("Paid Social", {"utm_source": "facebook.com", "utm_medium": "paid_social"}),
    ("Paid Social", {"url": HERE + "?li_fat_id=1"}),
    ("Organic Social", {"url": HERE + "?fbclid=1", "referrer": "https://facebook.com/"}),
    ("Paid Video", {"utm_source": "youtube", "utm_medium": "cpv"}),
    ("Paid Shopping", {"utm_source": "google_shopping", "utm_medium": "cpc"}),
    ("Paid Shopping", {"utm_source": "google", "utm_medium": "cpc", "campaign": "summer-shop"}),
    ("Paid Other", {"utm_source": "partner", "utm_medium": "ppc"}),
    # Google Analytics takes what was paid by impressions for clicks: its pattern for paid media is "*cp*".
    ("Display", {"utm_source": "google", "utm_medium": "cpm"}),
    ("Display", {"utm_source": "facebook", "utm_medium": "CPM"}),
    ("Display", {"url": HERE + "?dclid=1"}),
    ("Affiliates", {"utm_medium": "affiliate", "utm_source": "x"}),
    ("Email", {"utm_medium": "e-mail"}),
    ("SMS", {"utm_source": "sms"}),
    ("Mobile Push", {"utm_medium": "web-push"}),
    ("Audio", {"utm_medium": "podcast"}),
    ("Unassigned", {"utm_source": "no idea"}),
    ("Unassigned", {"utm_medium": "x" * 5_000}),
    ("Email", {"channel": "email", "type": "clicked", "url": HERE + "?gclid=1"}),
    ("Sales Call", {"channel": "call", "type": "completed"}),
    ("Referral", {"referrer": "http://[::1]/"}),
    ("Direct", {"referrer": "http://[::1"}),
    ("Direct", {"referrer": "android-app"}),
]
"""By the rules that ship."""
OWN = ChannelRules(
    parse_channels(
        """
        [[channel]]
        name = "Partners"
        when = [ { "properties.partner" = "*", type = ["signup", "form_submit"] }, { referrer_host = "*.partner.example" } ]
        """
        + DEFAULT
    )
)


def event(**fields: Any) -> dict[str, Any]:
    """A page view, unless told otherwise."""
    return {"channel": "web", "type": "page_view", "campaign": None, "properties": {}} | fields


@pytest.mark.parametrize(("group", "fields"), CASES, ids=lambda value: str(value)[:60])
def test_rules_that_ship(group: str, fields: dict[str, Any]) -> None:
    """As Google Analytics groups it, but for impressions; and the oracle agrees."""
    assert SHIPPED.group(event(**fields)) == group
    assert SHIPPED.group(event(**fields)) == group, "remembered"
    assert channel_group_of(event(**fields), tomllib.loads(DEFAULT)["channel"]) == group or "[" in str(fields)


def test_own_rules_come_first() -> None:
    """They may look at any field and property; what they don't know is grouped as ever."""
    assert OWN.group(event(type="signup", properties={"partner": "Initech"})) == "Partners"
    assert OWN.group(event(type="signup", properties={"partner": ""})) == "Direct"
    assert OWN.group(event(properties={"partner": "Initech"})) == "Direct"
    assert OWN.group(event(referrer="https://www.partner.example/")) == "Referral"
    assert OWN.group(event(referrer="https://a.partner.example/")) == "Partners"


def test_without_rules_nothing_has_a_group() -> None:
    """As in installations of before."""
    assert ChannelRules().group(event()) == ""
    assert ChannelRules(parse_channels("")).group(event(channel="email")) == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("chanel = []", "chanel: expected one of channel"),
        ("[[channel]]\nwhen = [ { type = 'x' } ]", r"channel\[0\].name: expected a non-empty string"),
        ("[[channel]]\nname = 'x'\nwhen = []", r"channel\[0\].when: expected at least one clause"),
        ("[[channel]]\nname = 'x'\nwhen = [ {} ]", r"channel\[0\].when\[0\]: expected a table"),
        ("[[channel]]\nname = 'x'\nwhen = [ { utm = 'x' } ]", r"when\[0\].utm: expected a field of the event, .* click_id or referrer_host"),
        ("[[channel]]\nname = 'x'\nwhen = [ { properties.a = 'x' } ]", "expected a name in quotes"),
        ("[[channel]]\nname = 'x'\nwhen = [ { type = [] } ]", "expected a string or a list of strings"),
        ("=", "expected valid TOML"),
    ],
)  # fmt: skip
def test_wrong_rules(text: str, says: str) -> None:
    """Named are the file, the key and what was expected."""
    with pytest.raises(FunnelError, match=r"^own\.toml: .*" + says):
        parse_channels(text, "own.toml")


def test_what_senders_make_up_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is let go when it is too much, and what is long is not remembered."""
    monkeypatch.setattr("funnel.channels._GROUPS_REMEMBERED", 10)
    rules = ChannelRules(parse_channels(DEFAULT))
    for number in range(100):
        assert rules.group(event(utm_source=f"source {number}")) == "Unassigned"
        assert rules.group(event(utm_source=f"{number}" * 3_000)) == "Unassigned"
        assert len(rules._remembered) <= 10
