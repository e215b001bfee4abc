"""Rows and counts of people, from the events to the end: what stitching says, in the tables."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from funnel import messages
from funnel.facts import AliasRow as AliasFact
from funnel.facts import IdentifierRow as IdentifierFact
from funnel.facts import SharedRow as SharedFact
from tests.oracle import (
    AliasRow,
    Declaration,
    IdentifierRow,
    Settings,
    SharedRow,
    canonical_json,
    identifiers_of,
    prospect_id_of,
    truth_of,
)
from tests.translation import SETTINGS as TRANSLATED
from tests.translation import declaration_of, id_of, identity_facts_of, names_in, prospect_of, rules_of, touch_of
from tests.unit.funnel.histories import HOUR, T0, event

SALES = tomllib.loads((Path(__file__).parents[2] / "funnels" / "sales.toml").read_text(encoding="utf-8"))
SETTINGS = Settings(id_key=b"k", most_stronger=2, most_ever=4)
PHONE = "+14155550100"


def seen(event_id: str, at: int, type_: str = "page_view", **identifiers: str) -> dict[str, Any]:
    """An event on the web with just these identifiers."""
    return event(event_id, at, "web", type_, **{"email": None, **identifiers})


def said(what: str, weaker: str, stronger: str, at: int = 0) -> Declaration:
    """A declaration, `at` microseconds after T0."""
    return Declaration(T0 + at, "desk", f"d{at}", what, weaker, stronger)


def one(canonical: str, settings: Settings = SETTINGS) -> Any:
    """The id of an identifier."""
    return prospect_id_of(canonical, settings.id_key)


def test_one_story_from_three_identifiers() -> None:
    """A device, an email and a user_id are one prospect with one visit; each old id says where it went."""
    events = [
        seen("1", 0, anonymous_id="d"),
        seen("2", HOUR, "content_download", anonymous_id="d", email="Jane@x.com"),
        seen("3", 2 * HOUR, "demo_request", email="jane@x.com", user_id="u"),
        seen("4", 3 * HOUR, "purchase", anonymous_id="d"),
    ]
    truth = truth_of(events, [SALES], SETTINGS, T0 + 4 * HOUR)
    jane = one("user_id:u")
    assert [(row.prospect_id, row.to_stage, row.cause_event_id) for row in truth.transitions] == [
        (jane, "awareness", "1"),
        (jane, "interest", "2"),
        (jane, "consideration", "3"),
        (jane, "purchase", "4"),
    ]
    assert [(row.prospect_id, row.status) for row in truth.prospects] == [(jane, "won")]
    assert truth.owners == dict.fromkeys(range(4), jane)
    assert truth.identifiers == [
        IdentifierRow(jane, "anonymous_id", "d"),
        IdentifierRow(jane, "email", "jane@x.com"),
        IdentifierRow(jane, "user_id", "u"),
    ]
    assert truth.aliases == sorted(
        [
            AliasRow(one("anonymous_id:d"), one("email:jane@x.com"), T0 + HOUR),
            AliasRow(one("email:jane@x.com"), jane, T0 + 2 * HOUR),
        ]
    )
    assert truth.shared == []
    assert truth.accounting.counts == {"applied": 4}


def test_a_losing_copy_counts_for_nothing() -> None:
    """The email on the later copy joins nobody, and is nobody's identifier."""
    events = [
        seen("1", 5, user_id="u", email="wrong@x.com"),
        seen("1", 0, user_id="u", phone=PHONE),
        seen("2", 9, email="wrong@x.com"),
        seen("3", 9, phone=PHONE),
    ]
    truth = truth_of(events, [SALES], SETTINGS, T0)
    assert truth.owners == {1: one("user_id:u"), 2: one("email:wrong@x.com"), 3: one("user_id:u")}
    assert truth.accounting.duplicate == (0,)
    assert [(row.kind, row.prospect_id) for row in truth.identifiers if row.kind != "user_id"] == [
        (kind, owner) for owner, kind in sorted([(one("user_id:u"), "phone"), (one("email:wrong@x.com"), "email")])
    ]


def test_every_event_is_accounted_for() -> None:
    """What no funnel cares for is ignored even if it is nobody's, but counts for who is who."""
    events = [
        *(seen(str(at), at, user_id=f"u{at}", anonymous_id="kiosk") for at in range(2)),
        event("m", 2, "email", "bounced", email=None, user_id="u2", anonymous_id="kiosk"),
        seen("4", 4, anonymous_id="kiosk"),
        event("n", 5, "email", "bounced", email=None, anonymous_id="kiosk"),
        seen("5", 6, anonymous_id="kiosk"),
        seen("5", 7, anonymous_id="kiosk"),
        seen("6", 8, user_id="guest"),
    ]
    truth = truth_of(events, [SALES], SETTINGS, T0)
    accounting = truth.accounting
    assert accounting.dead == {7: "no_identifier"}
    assert (accounting.applied, accounting.ignored) == ((0, 1), (2, 4))  # any event on the web is activity
    assert (accounting.shared, accounting.duplicate) == ((3, 5), (6,))
    assert accounting.counts == {"no_identifier": 1, "applied": 2, "ignored": 2, "shared": 2, "duplicate": 1}
    assert sum(accounting.counts.values()) == len(events)
    assert truth.shared == [SharedRow(one("anonymous_id:kiosk"), "anonymous_id", 3)]
    assert truth.aliases == []
    assert {row.kind for row in truth.identifiers} == {"user_id"}


def test_seen_with_is_counted_no_further_than_it_matters() -> None:
    """129 by default, whatever more there is; in a settings of four, five."""
    kiosk = [seen(str(at), at, user_id=f"u{at}", anonymous_id="kiosk") for at in range(200)]
    assert [row.seen_with for row in truth_of(kiosk, [SALES], SETTINGS, T0).shared] == [5]
    usual = Settings(id_key=b"k")
    assert [row.seen_with for row in truth_of(kiosk, [SALES], usual, T0).shared] == [129]
    assert [row.seen_with for row in truth_of(kiosk[:51], [SALES], usual, T0).shared] == [51]
    assert truth_of(kiosk[:50], [SALES], usual, T0).shared == []


def test_starts_decide_the_order_where_nothing_else_does() -> None:
    """The same event sent as two people who are one: the smaller canonical form comes first, so that one opens the visit."""
    both = [
        seen("1", 0, user_id="b", url="/b", campaign="b"),
        seen("1", 0, user_id="a", url="/a", campaign="a"),
    ]
    declared = [said("link", "user_id:a", "user_id:b")]
    for events in (both, both[::-1]):
        (row,) = truth_of(events, [SALES], SETTINGS, T0, declared).transitions
        assert (row.prospect_id, row.campaign) == (one("user_id:b"), "a")


def test_declarations_are_refused_or_count() -> None:
    """By their index; of accepted ones that close a circle each is named once."""
    declared = [
        said("link", "user_id:a", "user_id:b", 1),
        said("link", "user_id:b", "user_id:a", 2),
        said("link", "user_id:b", "user_id:a", 2),
        said("link", "user_id:a", "email:a@x.com"),
        Declaration(0, "desk", "old", "split", "user_id:a", "user_id:b"),
    ]
    truth = truth_of([seen("1", 0, user_id="a")], [SALES], SETTINGS, T0, declared)
    assert truth.refused == {3: "invalid_declaration", 4: "invalid_time"}
    assert truth.circles == [declared[1]]
    assert truth.owners == {0: one("user_id:b")}
    assert truth.aliases == [AliasRow(one("user_id:a"), one("user_id:b"), T0 + 1)]


def test_facts_are_the_rows_in_the_pipelines_words() -> None:
    """Names in the clear where it seals them."""
    events = [
        *(seen(str(at), at, user_id=f"u{at}", anonymous_id="kiosk") for at in range(3)),
        seen("9", 9, email="a@x.com", user_id="u1"),
    ]
    facts = identity_facts_of(truth_of(events, [SALES], TRANSLATED._replace(most_stronger=2), T0))
    user, email, kiosk = id_of("user_id:u1"), id_of("email:a@x.com"), id_of("anonymous_id:kiosk")
    assert facts.identifiers.keys() == {
        *((id_of(f"user_id:u{at}"), IdentifierFact(0, f"user_id:u{at}".encode())) for at in range(3)),
        (user, IdentifierFact(1, b"email:a@x.com")),
    }
    assert facts.aliases == {(email, user): AliasFact(user, T0 + 9)}
    assert facts.shared == {(kiosk, 3): SharedFact(3, 3)}


@pytest.mark.parametrize(
    ("identifiers", "kinds"),
    [
        ({"user_id": " u ", "email": "A@x.com", "phone": "(415) 555-0100", "anonymous_id": "d"}, [0, 1, 2, 3]),
        ({"user_id": "guest", "phone": PHONE, "anonymous_id": "d"}, [2, 3]),
        ({"anonymous_id": "d"}, [3]),
    ],
)
def test_touches_name_their_start_and_what_is_weaker(identifiers: dict[str, str], kinds: list[int]) -> None:
    """Kind and id of each, the strongest first; names from the body, in the same order."""
    made = seen("1", 0, **identifiers)
    touch = touch_of(made, rules_of([SALES]))
    canonical = identifiers_of(made, "US")
    assert names_in(touch.body) == tuple(name.encode() for name in canonical)
    assert touch.body == canonical_json(made)
    assert prospect_of(made) == id_of(canonical[0])
    assert [touch.kind, *touch.weaker[::17]] == kinds
    assert touch.weaker == b"".join(
        bytes([kind]) + id_of(name) for kind, name in zip(kinds[1:], canonical[1:], strict=True)
    )


def test_declarations_name_both_identifiers() -> None:
    """By kind, id and name."""
    assert declaration_of(said("split", f"phone:{PHONE}", "email:a@x.com", 3)) == messages.Declaration(
        kind=2,
        type="split",
        occurred_at=T0 + 3,
        source="desk",
        event_id="d3",
        weaker=id_of(f"phone:{PHONE}"),
        stronger=id_of("email:a@x.com"),
        stronger_kind=1,
        weaker_name=f"phone:{PHONE}".encode(),
        stronger_name=b"email:a@x.com",
    )
