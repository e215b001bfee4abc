"""How fast touches fade by the model time_decay: a setting that ClickHouse has to know, as it computes that model."""

from __future__ import annotations

import time
from typing import Any

_DEFAULT_SECONDS = 7 * 86_400.0
"""As in sinks/tables/023_attribution_views.sql."""


def set_half_life(client: Any, seconds: float) -> bool:
    """Say after how long before the last touch a touch counts half; it counts from the next refresh on.

    Args:
        client: a clickhouse-driver client of our database.
        seconds: more than 0.

    Returns:
        Whether that was changed.

    Raises:
        clickhouse_driver.errors.Error: the server is away, or refuses.
    """
    rows = client.execute("SELECT value FROM attribution_settings FINAL WHERE name = 'half_life_seconds'")
    if (rows[0][0] if rows else _DEFAULT_SECONDS) == seconds:
        return False
    client.execute(
        "INSERT INTO attribution_settings (name, value, revision) VALUES",
        [("half_life_seconds", float(seconds), time.time_ns() // 1_000)],
    )
    return True
