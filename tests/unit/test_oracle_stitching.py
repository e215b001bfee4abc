"""The oracle of identity on histories small enough to be judged by eye."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle import Declaration, Settings
from tests.oracle.declarations import refusal
from tests.oracle.stitching import Step, Stitched, stitch

SETTINGS = Settings(id_key=b"k")
FEW = Settings(id_key=b"k", most_stronger=2, most_ever=4)
"""Three are a crowd."""


def event(at: int, **identifiers: str) -> dict[str, Any]:
    """An event at an instant, with these identifiers."""
    return {"occurred_at": at, "source": "test", "event_id": f"e{at}", **identifiers}


def link(weaker: str, stronger: str, at: int = 0, what: str = "link") -> Declaration:
    """A declaration; a link unless it says otherwise."""
    return Declaration(at, "test", f"d{at}", what, weaker, stronger)


def stitched(*events: dict[str, Any], said: tuple[Declaration, ...] = (), settings: Settings = SETTINGS) -> Stitched:
    """Whose everything is; the same if all is given the other way round, and declarations twice."""
    forth, back = stitch(events, said, settings), stitch(events[::-1], said[::-1] * 2, settings)
    assert back._replace(owner=back.owner[::-1], ways=back.ways[::-1]) == forth
    return forth


def owners(*events: dict[str, Any], said: tuple[Declaration, ...] = ()) -> list[str | None]:
    """Whose the events are."""
    return stitched(*events, said=said).owner


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
    assert stitched(*events, said=said).circles == [said[2]]


def test_of_several_links_of_a_user_id_the_earliest_counts_unless_it_closes_a_circle() -> None:
    """A link said again is as late as it was said last."""
    events = [event(1, user_id="a")]
    to_b, to_c = link("user_id:a", "user_id:b", 1), link("user_id:a", "user_id:c", 2)
    assert owners(*events, said=(to_b, to_c)) == ["user_id:b"]
    assert owners(*events, said=(to_b, to_c, to_b._replace(occurred_at=3))) == ["user_id:c"]
    back = link("user_id:b", "user_id:a", 0)
    assert owners(*events, said=(back, to_b, to_c)) == ["user_id:c"]
    assert owners(*events, said=(back, to_b, to_c, back._replace(occurred_at=9, type="split"))) == ["user_id:b"]


def test_a_split_pair_leaves_the_next_strongest_of_the_event() -> None:
    """Of a sign-in with a user_id and an email, the email stays; of the climb as well."""
    apart = (link("anonymous_id:laptop", "user_id:ann", what="split"),)
    assert owners(
        event(1, anonymous_id="laptop", user_id="ann", email="a@x.com"), event(2, anonymous_id="laptop"), said=apart
    ) == ["user_id:ann", "user_id:ann"]  # by way of the email
    also = (*apart, link("email:a@x.com", "user_id:ann", what="split"))
    assert owners(
        event(1, anonymous_id="laptop", user_id="ann", email="a@x.com"), event(2, anonymous_id="laptop"), said=also
    ) == ["user_id:ann", "email:a@x.com"]
    every = (*also, link("anonymous_id:laptop", "email:a@x.com", what="split"))
    assert owners(
        event(1, anonymous_id="laptop", user_id="ann", email="a@x.com"), event(2, anonymous_id="laptop"), said=every
    ) == ["user_id:ann", "anonymous_id:laptop"]


def test_a_linked_device_is_that_ones_until_somebody_signs_in() -> None:
    """Of several links the latest, whenever it was said; it goes before all events, so no later sign-in is asked."""
    said = (link("anonymous_id:d", "user_id:ann", 90), link("anonymous_id:d", "email:bob@x.com", 91))
    seen = [event(1, anonymous_id="d"), event(5, anonymous_id="d", user_id="eve"), event(6, anonymous_id="d")]
    assert owners(*seen, said=said) == ["email:bob@x.com", "user_id:eve", "user_id:eve"]
    assert owners(*seen, said=said[:1]) == ["user_id:ann", "user_id:eve", "user_id:eve"]


def test_a_link_to_a_weaker_kind_gives_way_to_one_that_is_stronger() -> None:
    """A phone goes to a user_id it was seen with, even if it is linked to an email."""
    seen = [event(1, phone="+14155550100"), event(2, phone="+14155550100", user_id="bob")]
    said = (link("phone:+14155550100", "email:ann@x.com"),)
    assert owners(*seen, said=said)[0] == "user_id:bob"
    assert owners(*seen[:1], said=said)[0] == "email:ann@x.com"


def test_at_the_same_place_a_split_is_later_than_a_link() -> None:
    """Declarations that differ only in what they say."""
    said = (link("email:a@x.com", "user_id:a"), link("email:a@x.com", "user_id:a", what="split"))
    assert owners(event(1, email="a@x.com"), said=said) == ["email:a@x.com"]


def test_ties_are_decided_by_source_then_event_id_then_the_strongest_identifier() -> None:
    """All at the same instant; strings by code point, so `Z` is before `a`, and 10 before 9."""

    def claim(user: str, source: str, event_id: str) -> dict[str, Any]:
        return {**event(1, email="a@x.com", anonymous_id="d", user_id=user), "source": source, "event_id": event_id}

    asked = [event(2, email="a@x.com"), event(2, anonymous_id="d")]
    for first, second in (
        (claim("z", "Z", "9"), claim("a", "a", "1")),
        (claim("z", "s", "10"), claim("a", "s", "9")),
        (claim("a", "s", "1"), claim("b", "s", "1")),
    ):
        assert owners(first, second, *asked)[2:] == [f"user_id:{first['user_id']}", f"user_id:{second['user_id']}"]
    # Of two kinds: `email:...` is before `user_id:...`, so the user_id is the later sign-in.
    mail = {**event(1, email="z@x.com", anonymous_id="d"), "source": "s", "event_id": "1"}
    assert owners(claim("a", "s", "1"), mail, asked[1])[2] == "user_id:a"


def test_the_same_event_sent_anonymously_and_signed_in_is_two() -> None:
    """The anonymous one follows the other, which is a sign-in at the same instant."""
    assert owners(event(1, anonymous_id="d"), event(1, anonymous_id="d", user_id="ann")) == ["user_id:ann"] * 2


def test_split_pairs_do_not_make_shared_but_too_many_ever_do() -> None:
    """Three user_ids are too many, or two and a hundred that were split; but all together no more than four."""
    seen = [event(at, email="info@x.com", user_id=f"u{at}") for at in range(5)]

    def apart(*users: int) -> tuple[Declaration, ...]:
        return tuple(link("email:info@x.com", f"user_id:u{at}", at, "split") for at in users)

    assert stitched(*seen[:2], settings=FEW).shared == {}
    assert stitched(*seen[:3], settings=FEW).shared == {"email:info@x.com": 3}
    assert stitched(*seen[:3], said=apart(0), settings=FEW).shared == {}
    assert stitched(*seen[:4], said=apart(0, 1), settings=FEW).shared == {}
    assert stitched(*seen, said=apart(0, 1, 2), settings=FEW).shared == {"email:info@x.com": 5}
    more = [event(9, email="info@x.com", user_id="u9")]
    assert stitched(*seen, *more, said=apart(0, 1, 2), settings=FEW).shared == {"email:info@x.com": 5}


def test_links_count_towards_shared_as_what_was_seen_does() -> None:
    """A link that was taken back counts only for what was ever; a split alone for nothing; a pair only once."""
    said = tuple(link("email:a@x.com", f"user_id:u{at}", at) for at in range(5))
    back = tuple(one._replace(type="split", occurred_at=9) for one in said)
    assert stitched(said=said[:3], settings=FEW).shared == {"email:a@x.com": 3}
    assert stitched(event(1, email="a@x.com", user_id="u0"), said=said[:2], settings=FEW).shared == {}
    assert stitched(said=(*said[:4], *back), settings=FEW).shared == {}
    assert stitched(said=(*said, *back), settings=FEW).shared == {"email:a@x.com": 5}


def test_user_ids_are_never_shared() -> None:
    """However many stand for one, or one is said to stand for."""
    said = tuple(link(f"user_id:u{at}", "user_id:a", at) for at in range(9))
    said += tuple(link("user_id:b", f"user_id:v{at}", at) for at in range(9))
    assert stitched(said=said, settings=FEW).shared == {}


def test_a_way_through_a_shared_device_is_nobodys_only_if_it_starts_there() -> None:
    """The sign-ins themselves go another way; a device whose last user has a shared email is nobody's from then on."""
    kiosk = [event(at, anonymous_id="kiosk", user_id=f"u{at}") for at in range(3)]
    found = stitched(*kiosk, event(9, anonymous_id="kiosk"), settings=FEW)
    assert found.owner == ["user_id:u0", "user_id:u1", "user_id:u2", None]
    assert found.end == {"user_id:u0": "user_id:u0", "user_id:u1": "user_id:u1", "user_id:u2": "user_id:u2",
                         "anonymous_id:kiosk": None}  # fmt: skip
    info = [event(at, email="info@x.com", user_id=f"u{at}") for at in range(3)]
    laptop = [event(0, anonymous_id="d", user_id="u0"), event(1, anonymous_id="d"),
              event(5, anonymous_id="d", email="info@x.com"), event(6, anonymous_id="d")]  # fmt: skip
    found = stitched(*info, *laptop, settings=FEW)
    assert found.owner[3:] == ["user_id:u0", "user_id:u0", None, None]
    assert found.end["anonymous_id:d"] is None
    assert found.steps == {
        "anonymous_id:d": [Step("user_id:u0", 0), Step("email:info@x.com", 5)]
    }  # none from what is shared


def test_steps_say_since_when() -> None:
    """From an email the event that decided; from a device each first sign-in; a link since it was declared."""
    found = stitched(
        event(1, anonymous_id="d", phone="+14155550100"),
        event(2, anonymous_id="d", user_id="ann", email="a@x.com", phone="+14155550100"),
        event(3, anonymous_id="d", phone="+14155550100"),
        event(4, email="a@x.com", user_id="ann"),
        said=(link("user_id:ann", "user_id:bob", 70), link("email:b@x.com", "user_id:ann", 80)),
    )
    assert found.steps == {
        "anonymous_id:d": [Step("phone:+14155550100", 1), Step("user_id:ann", 2)],
        "phone:+14155550100": [Step("user_id:ann", 2)],
        "email:a@x.com": [Step("user_id:ann", 2)],
        "email:b@x.com": [Step("user_id:ann", 80)],
        "user_id:ann": [Step("user_id:bob", 70)],
    }
    assert set(found.end.values()) == {"user_id:bob"}
    assert "email:b@x.com" not in found.end  # it is on no event


@pytest.mark.parametrize(
    ("what", "weaker", "stronger"),
    [
        ("merge", "email:a@x.com", "user_id:a"),
        ("link", "user_id:a", "email:a@x.com"),
        ("link", "email:a@x.com", "email:b@x.com"),
        ("link", "anonymous_id:a", "anonymous_id:b"),
        ("split", "email:a@x.com", "anonymous_id:d"),
        ("link", "user_id:a", "user_id:a"),
        ("link", "name:a", "user_id:a"),
        ("link", "email:A@x.com", "user_id:a"),
        ("link", "email:a", "user_id:a"),
        ("link", "user_id:guest", "user_id:a"),
        ("link", "user_id:a", "user_id: b"),
        ("link", "phone:4155550100", "user_id:b"),
        ("link", "a@x.com", "user_id:b"),
        ("link", "", ""),
    ],
)
def test_what_cannot_be_declared_is_refused(what: str, weaker: str, stronger: str) -> None:
    """Whatever else was said."""
    assert refusal(link(weaker, stronger, T, what), SETTINGS) == "invalid_declaration"


T = 1_700_000_000_000_000


@pytest.mark.parametrize("weaker", ["email:a@x.com", "phone:+14155550100", "anonymous_id:d", "user_id:b:c"])
def test_what_can_be_declared(weaker: str) -> None:
    """Each weaker kind, and two user_ids; also a split of them; at a time that an event could have."""
    said = link(weaker, "user_id:a", T)
    settings = SETTINGS._replace(record_time=T)
    assert refusal(said, settings) is None
    assert refusal(said._replace(type="split"), settings) is None
    assert refusal(said._replace(occurred_at=0), settings) == "invalid_time"
    assert refusal(said._replace(occurred_at=T + 300_000_001), settings) == "invalid_time"
