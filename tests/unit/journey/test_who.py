"""How the text is read that `journey who` is given, and what is made of what is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from funnel.identifiers import prospect_id
from journey.errors import JourneyError
from journey.explain import Candidate
from journey.identity import Alias, Shared
from journey.settings import Settings
from journey.who import Who, lines_of, meant_by, time_of

KEY = "a key of at least 16"
OWN, NOW, OLD = (UUID(int=number, version=5) for number in (1, 2, 3))
THEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meaning", "guess"),
    [
        (" email:JANE@x.com", "email:jane@x.com", ""),
        ("user_id:a:b", "user_id:a:b", ""),
        ("anonymous_id:d1", "anonymous_id:d1", ""),
        ("Jane@X.com", "email:jane@x.com", "read as email; say user_id:Jane@X.com if that is meant"),
        ("+1 415 555 0100", "phone:+14155550100", "read as phone; say user_id:"),
        ("(415) 555-0100", "phone:+14155550100", "read as phone"),
        ("42", "user_id:42", "read as user_id; say anonymous_id:42 if that is meant"),
        ("abc:def", "user_id:abc:def", "read as user_id"),
        ("u4155550100", "user_id:u4155550100", "read as user_id"),
    ],
)
def test_one_meaning_and_what_was_guessed(tmp_path: Path, text: str, meaning: str, guess: str) -> None:
    """Canonical forms mean themselves; of bare values the kind is guessed, and said."""
    found, guessed = meant_by(text, Settings(id_key=SecretStr(KEY), data_dir=tmp_path))
    assert found == Candidate(meaning, UUID(bytes=prospect_id(KEY.encode(), meaning)))
    assert guessed.startswith(guess)
    assert bool(guessed) == bool(guess)


def test_a_prospects_id_needs_no_key(tmp_path: Path) -> None:
    """A UUID is taken for a prospect's id; an identifier can't be found without the key."""
    found, guess = meant_by(f" {OWN} ", Settings(data_dir=tmp_path))
    assert found == Candidate("prospect id", OWN)
    assert f"user_id:{OWN}" in guess
    with pytest.raises(JourneyError, match="JOURNEY_ID_KEY is not set"):
        meant_by("email:jane@x.com", Settings(data_dir=tmp_path))


@pytest.mark.parametrize("text", ["", "null", "email:jane", "jane@x@y", "+12", "phone:abc", "user_id:"])
def test_what_is_no_identifier_is_refused(tmp_path: Path, text: str) -> None:
    """With what was expected, and without the value."""
    with pytest.raises(JourneyError, match="that is no ") as caught:
        meant_by(text, Settings(id_key=SecretStr(KEY), data_dir=tmp_path))
    assert "jane" not in str(caught.value)


def test_times_have_an_offset() -> None:
    """As of events: without an offset it is not known when that was."""
    assert time_of("2024-05-01T12:00:00+02:00") == datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    for text in ("2024-05-01T12:00:00", "yesterday", "1714651200", ""):
        with pytest.raises(JourneyError, match="--at: expected ISO-8601 with an offset"):
            time_of(text)


def test_what_is_told() -> None:
    """Each step with its time in UTC; what may not be read is said; values from outside can't steer a terminal."""
    way = [Alias(OWN, NOW, THEN)]
    before = [Alias(OWN, NOW, THEN), Alias(OLD, OWN, THEN)]
    identifiers = [("user_id", "4\x1b[2J2"), ("email", "jäne@x.com")]
    found = Who(Candidate("email:jane@x.com", OWN), "", way, [], None, None, before, identifiers)
    assert lines_of(found) == [
        "email:jane@x.com",
        f"  its own id      {OWN}",
        f"  prospect now    {NOW}",
        f"  goes on to      {NOW} since 2026-01-01 00:00:00 UTC",
        "  not shared",
        f"  id before       {OWN} since 2026-01-01 00:00:00 UTC",
        f"  id before       {OLD} since 2026-01-01 00:00:00 UTC, by way of {OWN}",
        "  identifier      user_id:4\\x1b[2J2",
        "  identifier      email:jäne@x.com",
    ]
    assert lines_of(found._replace(identifiers=None))[-1].endswith("may not read prospect_identifiers")
    assert f"  prospect then   {NOW}" in lines_of(found, THEN)
    assert lines_of(found._replace(way=[]))[2] == f"  prospect now    {OWN}, its own"


def test_what_is_told_of_the_shared() -> None:
    """A shared identifier on the way, or at its start, leaves nobody whose events they are."""
    shared = Who(Candidate("phone:+1", OWN), "", [], [], Shared("phone", 51), OWN, [], [])
    assert lines_of(shared)[2:] == [
        "  prospect now    none: it is shared, so its events are nobody's",
        "  shared          a phone seen with 51 or more people",
    ]
    on_its_way = shared._replace(way=[Alias(OWN, NOW, THEN)], shared_at=NOW)
    assert lines_of(on_its_way)[2] == f"  prospect now    none: on its way, {NOW} is shared, so its events are nobody's"
