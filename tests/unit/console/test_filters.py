"""Addresses: all that was chosen is in them, and what they say wrongly is told."""

from __future__ import annotations

from datetime import date

import pytest

from console.filters import LONGEST_VALUE, NONE, Filters, chosen_parts, read_filters


def test_an_address_holds_what_was_chosen() -> None:
    """Read from an address and written to one, filters are the same."""
    filters = Filters("sales", date(2026, 1, 1), date(2026, 2, 1), "Email", "a&b=c #x", NONE, {"stage": "x"})
    address = filters.address("/flow")
    assert address.startswith("/flow?funnel=sales&from=2026-01-01&to=2026-02-01&channel=Email&campaign=a%26b%3Dc+%23x")
    from starlette.datastructures import URL, QueryParams

    assert read_filters(QueryParams(URL(address).query)) == filters
    assert Filters("sales").address("/", funnel="") == "/"


@pytest.mark.parametrize(
    ("query", "notice"),
    [
        ({"from": "31.1.2026"}, "from: expected a day such as 2026-01-31"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from: expected a day that is not after"),
        ({"campaign": "x" * (LONGEST_VALUE + 1)}, "campaign: expected at most 20,000 characters"),
    ],
)
def test_what_is_wrong_is_left_out_and_told(query: dict[str, str], notice: str) -> None:
    """A page is shown without it."""
    filters = read_filters(query)
    assert filters.notices[0].startswith(notice)
    assert not filters.narrow


def test_those_without_one_are_known_by_an_empty_text() -> None:
    """`(none)` in an address is '' in ClickHouse; nothing chosen is no condition."""
    columns = {"funnel": "funnel", "day": "d", "campaign": "first_campaign", "channel": "c"}
    filters = Filters("sales", since=date(2026, 1, 1), campaign=NONE)
    assert chosen_parts(filters, columns) == [
        "funnel = {funnel:String}",
        "d >= {from:Date}",
        "first_campaign = {campaign:String}",
    ]
    assert filters.parameters["campaign"] == ""


def test_a_page_heeds_only_its_own_filters() -> None:
    """What a page does not offer must not narrow it unseen."""
    filters = Filters("sales", date(2026, 1, 1), None, "web", "spring", "SMB").only(("funnel", "campaign"))
    assert filters == Filters("sales", campaign="spring")
