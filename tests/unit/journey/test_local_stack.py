"""What a stack fills in that the settings leave open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from journey.data_dir import DataDir
from journey.local_stack import Stack
from journey.settings import Settings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "2s"),
        ({"workers": 2}, "10s"),
        ({"session_timeout": "20s"}, "20s"),
        ({"kafka": "127.0.0.1:1"}, "10s"),
    ],
    ids=["alone", "two-workers", "said-so", "a-real-broker"],
)
def test_who_is_alone_on_the_embedded_broker_joins_soon(given: dict[str, Any], expected: str, tmp_path: Path) -> None:
    """That broker lets who joins wait for half of the session; with others, partitions have to stay while one is busy."""
    stack = Stack(Settings(data_dir=tmp_path, **given), DataDir(tmp_path), lambda _: None)
    assert stack.settings.session_timeout == expected
