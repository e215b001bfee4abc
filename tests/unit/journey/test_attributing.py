"""What is wrong with a call of `journey attribute` is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from journey.attributing import attribute_every, period
from journey.errors import SettingsError
from journey.settings import Settings, load_settings


@pytest.mark.parametrize("text", ["soon", "15", "1s", "59s"])
def test_a_period_is_a_duration_of_a_minute_at_least(text: str) -> None:
    """The error names what was given, and what was expected."""
    with pytest.raises(SettingsError, match=rf"^--every {text}: expected "):
        period(text)
    assert period("15m") == 900.0


def test_a_process_that_stays_needs_a_clickhouse_that_does(tmp_path: Path) -> None:
    """It starts none of its own."""
    with pytest.raises(SettingsError, match="JOURNEY_CLICKHOUSE is not set"):
        attribute_every(Settings(data_dir=tmp_path), 60.0)


def test_a_half_life_is_an_hour_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less would make every model by time the last touch."""
    monkeypatch.setenv("JOURNEY_ATTRIBUTION_HALF_LIFE", "30m")
    with pytest.raises(SettingsError, match="at least 1h"):
        load_settings()
