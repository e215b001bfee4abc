"""How long ClickHouse keeps dead letters: they hold personal data, so it is a setting, and the table has to follow it."""

from __future__ import annotations

from typing import Any

_TTL = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'dead_letters'"


def keep_dead_letters(client: Any, seconds: int) -> bool:
    """Make ClickHouse delete dead letters when they are so old; rows that are older already go, in ClickHouse's own time.

    Args:
        client: a clickhouse-driver client of our database, whose user may alter the table's TTL.
        seconds: since the row was written.

    Returns:
        Whether that was changed.

    Raises:
        clickhouse_driver.errors.Error: the server is away, or refuses.
    """
    wanted = f"toDateTime(written_at) + toIntervalSecond({int(seconds)})"
    ((engine,),) = client.execute(_TTL)
    if f"TTL {wanted} SETTINGS" in engine or engine.endswith(f"TTL {wanted}"):
        return False
    client.execute(f"ALTER TABLE dead_letters MODIFY TTL {wanted} DELETE")
    return True
