"""funnel.identifiers: normalised identifiers and the prospect they name."""

from __future__ import annotations

import hashlib
import hmac
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.identifiers import identify, is_junk, normalise_email, normalise_opaque, prospect_id
from tests.oracle.identity import is_junk as is_junk_by_oracle
from tests.oracle.identity import normalise


def no_phones(_: str) -> None:
    """Find no phone number in anything."""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (" Jane@X.com\t", "jane@x.com"),
        ("Jose\u0301@x.com", "jos\u00e9@x.com"),  # composed by NFC
        ("\u212a@x.com", "k@x.com"),  # the Kelvin sign
        ("STRASSE@x.com", "strasse@x.com"),
        ("straße@x.com", "straße@x.com"),  # lower-cased, not case-folded
        ("@", "@"),
        ("jane", None),
        ("jane@x@y", None),
        ("", None),
        ("null", None),
    ],
)
def test_email(raw: str, expected: str | None) -> None:
    """Emails are trimmed, NFC and lower-case, and hold one @."""
    assert normalise_email(raw) == expected


@pytest.mark.parametrize("junk", ["", "0", "000", "-", "0-0", "00000000-0000-0000-0000-000000000000", "-1", "NULL"])
@pytest.mark.parametrize("around", ["", " ", "\n\u2003"])
def test_junk(junk: str, around: str) -> None:
    """What stands for nobody is no identifier, blanks around it or not."""
    assert normalise_opaque(around + junk + around) is None


@pytest.mark.parametrize("good", ["01", "-2", "nul", "guest1", "0\n0", "٠", "anonymou\u017f1"])
def test_not_junk(good: str) -> None:
    """What merely looks like junk is an identifier."""
    assert normalise_opaque(good) == good


@pytest.mark.parametrize("word", ["Guest", "UNDEFINED", "NaN", "True", "False", "None", "anonymou\u017f"])
def test_junk_is_case_folded(word: str) -> None:
    """Words for nobody are compared case-folded: the long s of old print is an s."""
    assert is_junk(word)


@given(st.text() | st.text("0- -1nulgestNULGEST\u017f", max_size=6))
def test_opaque_as_the_oracle(raw: str) -> None:
    """Any text is normalised as the contract says."""
    assert normalise_opaque(raw) == normalise("user_id", raw, None)
    assert is_junk(raw.strip()) == is_junk_by_oracle(raw.strip())


@given(st.text() | st.text("aA@ \u0301\u0130\u212a", max_size=8))
def test_email_as_the_oracle(raw: str) -> None:
    """Any text is taken or refused as an email as the contract says."""
    assert normalise_email(raw) == normalise("email", raw, None)


def test_strength() -> None:
    """Identifiers come strongest first, junk left out, and have their canonical forms."""
    event = {"anonymous_id": " a ", "user_id": "guest", "email": "J@x.com", "phone": "call me"}
    assert [one.canonical for one in identify(event, no_phones)] == ["email:j@x.com", "anonymous_id:a"]
    assert [one.canonical for one in identify({**event, "user_id": "U"}, lambda _: "+1")] == [
        "user_id:U",
        "email:j@x.com",
        "phone:+1",
        "anonymous_id:a",
    ]
    assert identify({"user_id": None}, no_phones) == ()


@given(st.binary(min_size=1), st.text(st.characters(exclude_categories=["Cs"])))
def test_prospect_id(key: bytes, canonical: str) -> None:
    """The id is the contract's formula."""
    digest = hmac.new(key, canonical.encode(), hashlib.sha256).digest()
    assert prospect_id(key, canonical) == uuid.UUID(bytes=digest[:16], version=5).bytes
