"""The touches of a visit: sessions, and no more of them than a state may hold."""

from __future__ import annotations

from funnel.channels import ChannelRules, parse_channels
from funnel.facts import Transition
from funnel.journey import START, fold
from funnel.rules import RuleSet
from funnel.touchpoints import MOST_TOUCHPOINTS
from tests.unit.funnel.histories import DAY, HOUR, T0, buy, call, event, touches, view
from tests.unit.funnel.test_journey import SALES

RULES = RuleSet(
    [one.funnel for one in SALES.funnels],
    channels=ChannelRules(
        parse_channels(
            """
            [[channel]]
            name = "Ads"
            when = [ { utm_medium = "cpc" } ]
            [[channel]]
            name = "Mail"
            when = [ { channel = "email" } ]
            [[channel]]
            name = "Direct"
            when = [ { channel = "web" } ]
            """
        )
    ),
)
MINUTE = HOUR // 60


def closing(*events: dict[str, object]) -> Transition:
    """The last row of these events."""
    (one,) = RULES.funnels
    rows = fold(one, START, touches(RULES, *events))[1]
    assert all(row.touched_at == () for row in rows[:-1] if isinstance(row, Transition))
    assert isinstance(rows[-1], Transition)
    return rows[-1]


def test_pages_read_after_a_click_belong_to_it() -> None:
    """Within half an hour of the last one; then what comes from nowhere is a touch of its own."""
    row = closing(
        view("1", 0, utm_medium="cpc", campaign="spring"),
        view("2", 30 * MINUTE),
        view("3", 60 * MINUTE),
        view("4", 90 * MINUTE + 1),
        buy("5", 91 * MINUTE),
    )
    assert row.first_channel_group == "Ads"
    assert row.channel_group == "Direct"
    assert row.touched_at == (T0, T0 + 90 * MINUTE + 1)
    assert row.touch_channel_groups == ("Ads", "Direct")
    assert row.touch_campaigns == ("spring", "")


def test_another_campaign_is_another_touch_at_once() -> None:
    """The same one within the session is not; after it, it is."""
    row = closing(
        view("1", 0, utm_medium="cpc", campaign="spring"),
        event("2", MINUTE, "email", "clicked", campaign="news"),
        event("3", 2 * MINUTE, "email", "clicked", campaign="news"),
        event("4", 2 * HOUR, "email", "clicked", campaign="news"),
        buy("5", 3 * HOUR, campaign="basket"),
    )
    assert row.touch_campaigns == ("spring", "news", "news", "basket")
    assert row.touch_channel_groups == ("Ads", "Mail", "Mail", "Direct")


def test_what_is_no_activity_is_no_touch() -> None:
    """A mail that was merely delivered is none; a call that ends the visit is, and an expired visit tells of those before."""
    lost = closing(view("1", 0), event("2", DAY, "email", "delivered"), call("3", 2 * DAY, "lost"))
    assert (lost.kind, lost.touched_at) == ("lost", (T0, T0 + 2 * DAY))
    assert lost.touch_channel_groups == ("Direct", "")
    (one,) = RULES.funnels
    rows = fold(one, START, touches(RULES, view("1", 0), view("2", 200 * DAY)))[1]
    assert [row.touched_at for row in rows if isinstance(row, Transition)] == [(), (T0,), ()]


def test_a_visit_has_its_own_touches() -> None:
    """Those of the visit before don't count, nor do those while it rests; a repeat purchase tells of none."""
    events = [
        view("1", 0),
        buy("2", DAY),
        buy("3", 2 * DAY),
        view("4", 3 * DAY),
        view("5", 40 * DAY),
        buy("6", 41 * DAY),
    ]
    (one,) = RULES.funnels
    rows = [row for row in fold(one, START, touches(RULES, *events))[1] if isinstance(row, Transition)]
    assert [(row.kind, row.touched_at) for row in rows] == [
        ("enter", ()),
        ("skip", (T0, T0 + DAY)),
        ("repeat", ()),
        ("enter", ()),
        ("skip", (T0 + 40 * DAY, T0 + 41 * DAY)),
    ]


def test_of_very_many_the_first_and_the_last_are_known() -> None:
    """And how many are not."""
    views = [view(str(number), number * HOUR) for number in range(MOST_TOUCHPOINTS + 7)]
    row = closing(*views, buy("last", 1_000 * HOUR))
    half = MOST_TOUCHPOINTS // 2
    assert len(row.touched_at) == MOST_TOUCHPOINTS
    assert row.touches_left_out == 8
    assert row.touched_at[:half] == tuple(T0 + number * HOUR for number in range(half))
    assert row.touched_at[-1] == T0 + 1_000 * HOUR
    assert row.touched_at[half] == T0 + (half + 8) * HOUR


def test_a_channel_is_no_rule() -> None:
    """What decides moves is not concerned, so states go on with other channel rules."""
    assert RULES.fingerprint == SALES.fingerprint
