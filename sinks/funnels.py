"""The funnels in use, in ClickHouse: the views need to know the order of the stages, and the days of which time zone to count by."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from funnel.definition import Funnel
from sinks.errors import FunnelRefusedError

_COLUMNS = (
    "funnel, funnel_version, position, stage, team, stall_after_seconds, window_seconds, timezone, account_policy"
)
_TIMEZONE = -2
_MICROSECONDS = 1_000_000


def write_funnels(client: Any, funnels: Iterable[Funnel]) -> int:
    """Write the stages of the funnels, where they are not there already as they are; other funnels and versions stay.

    Args:
        client: a clickhouse-driver client of our database.
        funnels: as read from the funnel files.

    Returns:
        The number of rows written.

    Raises:
        FunnelRefusedError: ClickHouse does not know a funnel's time zone.
        clickhouse_driver.errors.Error: the server is away, or refuses.
    """
    wanted = {row[:3]: row for funnel in funnels for row in _rows(funnel)}
    zones = {row[_TIMEZONE] for row in wanted.values()}
    known = (
        {
            name
            for (name,) in client.execute(
                "SELECT time_zone FROM system.time_zones WHERE time_zone IN %(zones)s", {"zones": tuple(zones)}
            )
        }
        if zones
        else set()
    )
    if unknown := sorted(zones - known):
        names = ", ".join(sorted({row[0] for row in wanted.values() if row[_TIMEZONE] in unknown}))
        raise FunnelRefusedError(
            f"this ClickHouse has no time zone {', '.join(unknown)} (funnel {names}): update it, or name another zone in the funnel file"
        )
    written = {key[:2] for key in wanted}
    present = {
        tuple(row[:3]): tuple(row)
        for row in client.execute(f"SELECT {_COLUMNS} FROM funnel_stages FINAL")  # noqa: S608  a constant
        if tuple(row[:2]) in written
    }
    revision = time.time_ns() // 1000
    rows = [(*row, revision, 0) for key, row in wanted.items() if present.get(key) != row]
    # A stage taken out of a funnel file without raising its version.
    rows += [(*row, revision, 1) for key, row in present.items() if key not in wanted]
    if rows:
        client.execute(f"INSERT INTO funnel_stages ({_COLUMNS}, revision, is_deleted) VALUES", rows)
    return len(rows)


def _rows(funnel: Funnel) -> list[tuple[Any, ...]]:
    return [
        (
            funnel.name,
            funnel.version,
            position,
            stage.name,
            stage.team,
            None if stage.stall_after is None else stage.stall_after / _MICROSECONDS,
            funnel.window / _MICROSECONDS,
            funnel.timezone,
            funnel.account_policy,
        )
        for position, stage in enumerate(funnel.stages, 1)
    ]
