"""The oracle of identity on histories small enough to be judged by eye."""

from __future__ import annotations

from typing import Any

from tests.oracle.stitching import Declaration, Stitched, stitch


def event(at: int, **identifiers: str) -> dict[str, Any]:
    """An event at an instant, with these identifiers."""
    return {"occurred_at": at, "source": "test", "event_id": f"e{at}", **identifiers}


def link(weaker: str, stronger: str, at: int = 0, what: str = "link") -> Declaration:
    """A declaration; a link unless it says otherwise."""
    return Declaration(at, "test", f"d{at}", what, weaker, stronger)


def owners(*events: dict[str, Any], said: tuple[Declaration, ...] = ()) -> list[str | None]:
    """Whose the events are; the same if they are given the other way round."""
    forth, back = stitch(events, said, None), stitch(events[::-1], said[::-1], None)
    assert Stitched(back.owner[::-1], back.shared, back.invalid) == forth
    return forth.owner


def test_a_device_belongs_to_its_latest_sign_in_and_before_the_first_one_to_that() -> None:
    """Two people on one laptop are not melted together."""
    assert owners(
        event(1, anonymous_id="laptop"),
        event(2, anonymous_id="laptop", user_id="ann"),
        event(3, anonymous_id="laptop"),
        event(4, anonymous_id="laptop", user_id="bob"),
        event(5, anonymous_id="laptop"),
        event(6, anonymous_id="other"),
    ) == ["user_id:ann", "user_id:ann", "user_id:ann", "user_id:bob", "user_id:bob", "anonymous_id:other"]


def test_a_sign_in_at_the_same_instant_counts_as_before() -> None:
    """Whatever its place in the order."""
    before = event(5, anonymous_id="laptop", user_id="ann")
    same = {**event(5, anonymous_id="laptop"), "event_id": "a", "source": "a"}
    assert owners(event(1, anonymous_id="laptop", user_id="bob"), before, same)[2] == "user_id:ann"


def test_emails_and_phones_climb_by_their_earliest_event() -> None:
    """Phone to email to user_id; an event with a user_id is that one's."""
    assert owners(
        event(1, phone="+14155550100"),
        event(2, phone="+14155550100", email="ann@x.com"),
        event(3, email="ann@x.com", user_id="late"),
        event(2, email="ann@x.com", user_id="ann"),
        event(9, anonymous_id="laptop", phone="+14155550100"),
        event(4, anonymous_id="laptop"),
    ) == ["user_id:ann", "user_id:ann", "user_id:late", "user_id:ann", "user_id:ann", "user_id:ann"]


def test_a_phone_prefers_a_user_id_to_an_earlier_email() -> None:
    """The kind decides first, then the time."""
    assert (
        owners(
            event(1, phone="+14155550100"),
            event(2, phone="+14155550100", email="ann@x.com"),
            event(3, phone="+14155550100", user_id="bob"),
        )[0]
        == "user_id:bob"
    )


def test_what_is_shared_is_nobodys() -> None:
    """Fifty people may share a device, not one more."""
    kiosk = [event(at, anonymous_id="kiosk", user_id=f"u{at}") for at in range(51)]
    assert owners(*kiosk[:50], event(99, anonymous_id="kiosk"))[-1] == "user_id:u49"
    found = owners(*kiosk, event(99, anonymous_id="kiosk"))
    assert found[-1] is None  # but who signed in there goes another way
    assert found[:51] == [f"user_id:u{at}" for at in range(51)]


def test_kinds_are_counted_apart() -> None:
    """Fifty user_ids and fifty emails are not a hundred people."""
    mixed = [event(at, anonymous_id="d", **{"user_id" if at % 2 else "email": f"u{at}@x.com"}) for at in range(100)]
    assert owners(*mixed, event(200, anonymous_id="d"))[-1] == "user_id:u99@x.com"


def test_a_way_through_something_shared_is_nobodys() -> None:
    """At its start as well as at a later step."""
    info = [event(at, email="info@x.com", user_id=f"u{at}") for at in range(51)]
    assert owners(*info, event(99, phone="+14155550100", email="info@x.com"), event(100, phone="+14155550100"))[
        -2:
    ] == [None, None]


def test_a_link_counts_before_what_was_observed_and_a_later_split_takes_it_back() -> None:
    """And a split hides what was observed."""
    seen = event(1, email="ann@x.com", user_id="bob")
    asked = event(2, email="ann@x.com")
    said = link("email:ann@x.com", "user_id:ann", at=10)
    assert owners(seen, asked, said=(said,))[1] == "user_id:ann"
    assert owners(seen, asked, said=(said, said._replace(occurred_at=11, type="split")))[1] == "user_id:bob"
    apart = link("email:ann@x.com", "user_id:bob", what="split")
    assert owners(seen, asked, said=(apart,)) == ["user_id:bob", "email:ann@x.com"]


def test_user_ids_are_one_only_where_declared_and_a_circle_is_refused() -> None:
    """The link that closes the circle counts for nothing."""
    said = (link("user_id:a", "user_id:b", 1), link("user_id:b", "user_id:c", 2), link("user_id:c", "user_id:a", 3))
    events = [event(1, user_id="a"), event(2, user_id="b"), event(3, user_id="c"), event(4, user_id="d")]
    assert owners(*events, said=said) == ["user_id:c", "user_id:c", "user_id:c", "user_id:d"]
    assert stitch(events, said, None).invalid == [said[2]]
