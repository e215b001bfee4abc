"""funnel.durations: what people write."""

from __future__ import annotations

import pytest

from funnel.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("30s", 30), ("2m", 120), ("12h", 43_200), ("90d", 7_776_000), ("1w", 604_800)]
)
def test_duration(text: str, seconds: int) -> None:
    """Each suffix is known."""
    assert parse_duration(text) == seconds * 1_000_000


@pytest.mark.parametrize(
    "wrong", ["", "d", "90", "-1d", "1.5h", "1 d", "1D", "1d ", "٣d", "1y", "100001d", 90, None, True]
)
def test_wrong_duration(wrong: object) -> None:
    """Anything else is refused with what was expected."""
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(wrong)
