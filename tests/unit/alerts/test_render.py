"""What people and programs read."""

from __future__ import annotations

import json

import pytest

from alerts.render import SHOWN_IN_DIGEST, data_of, digest_of, duration, text_of
from tests.unit.alerts.files import NOW, alert, ended

HOUR = 3_600_000_000


def test_the_text_says_who_where_how_long_and_whom_to_ask() -> None:
    """In a line, and in some more."""
    subject, body = text_of(alert(deadline=NOW - 76 * HOUR), NOW, None, None)
    assert subject == "consideration: acme stalled for 3d 4h · sam"
    assert "Value: 12000.00 EUR" in body
    assert "Ask: sam" in body
    assert text_of(ended(alert()), NOW, None, None).subject.startswith(
        "consideration: acme is no longer stalled (active)"
    )
    late = text_of(alert(kind="response", deadline=NOW - HOUR), NOW, None, None)
    assert late.subject.startswith("consideration: acme unanswered for 1h")
    assert "not touched yet" in late.body


def test_a_digest_has_the_largest_first_and_counts_the_rest() -> None:
    """However many there are, it can be read."""
    many = [alert(number, account_id=f"account-{number}", amount=number * 100) for number in range(100)]
    subject, body = digest_of([*many, ended(alert(200))], NOW, None)
    lines = body.splitlines()
    assert subject == "100 prospects stalled, 1 no longer"
    assert "account-99" in lines[0]
    assert len(lines) == SHOWN_IN_DIGEST + 1
    assert lines[-1].startswith("... and 71 more")


@pytest.mark.parametrize("hostile", ["a\x1b[2Jb", "a\u202eb", "a\r\nb", "{{ 7 * 7 }}"])
def test_what_comes_from_outside_steers_nothing(hostile: str) -> None:
    """No escape sequences, no lines turned round, no templates."""
    subject, body = text_of(alert(account_id=hostile, campaign=hostile), NOW, None, None)
    for forbidden in ("\x1b", "\u202e", "\r"):
        assert forbidden not in subject + body
    assert "\n" not in subject
    if "{{" in hostile:
        assert hostile in subject


def test_programs_get_ids_times_and_amounts_as_text() -> None:
    """Nothing that JSON can't carry, or would round."""
    data = json.loads(json.dumps(data_of(alert(3))))
    assert data["alert_id"] == "00000000-0000-0000-0000-000000000003"
    assert data["amount"] == "12000.00"
    assert data["deadline"] == "2023-11-14T22:13:20+00:00"
    assert data["resolved_at"] is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0m"), (59, "0m"), (60, "1m"), (3_600, "1h"), (90_000, "1d 1h"), (86_460, "1d 1m"), (-5, "0m")],
)
def test_durations(seconds: int, said: str) -> None:
    """In the two largest units."""
    assert duration(seconds * 1_000_000) == said
