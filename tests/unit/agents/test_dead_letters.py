"""agents.dead_letters: where an event came from, also when it is tried again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agents.dead_letters import ORIGIN, headers_of_touch, origin_header, origin_of


def record(*headers: tuple[str, Any]) -> Any:
    """A record of an input topic."""
    return SimpleNamespace(topic="web-events", partition=3, offset=42, headers=headers)


def test_an_event_that_is_tried_again_keeps_its_origin() -> None:
    """That of its letter, not the place it was sent to this time."""
    first = record()
    assert origin_of(first) == (b"web-events", 3, 42)
    again = record(("other", b"1"), origin_header(record((ORIGIN, b"leads.ndjson/0/7"))))
    assert origin_of(again) == (b"leads.ndjson", 0, 7)
    about = dict(headers_of_touch(again, "too_late", "why"))
    assert (about["__connect.errors.topic"], about["__connect.errors.offset"]) == (b"leads.ndjson", b"7")


@pytest.mark.parametrize(
    "wrong",
    [b"", None, b"web-events", b"web-events/1", b"web-events/x/1", b"/1/1", b"a/-1/2", b"a/1/9999999999999999999"],
)
def test_headers_of_others_are_passed_over(wrong: Any) -> None:
    """Anybody may write to input topics: what is no origin must not stop a worker."""
    assert origin_of(record((ORIGIN, wrong))) == (b"web-events", 3, 42)
