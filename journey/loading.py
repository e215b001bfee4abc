"""`journey load`: what people know and no event says, into ClickHouse."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from clickhouse_driver.errors import ServerException
from rich.text import Text

from journey.clickhouse import ACCESS_DENIED, connected
from journey.errors import JourneyError
from journey.given_csv import read_segments, read_spend
from journey.reading import readable
from journey.screen import Screen
from journey.settings import Settings
from journey.targets import read_targets
from sinks.given import SEGMENTS, SPEND, TARGETS, Changes, give
from sinks.refresh import refresh


def load_spend(settings: Settings, path: Path, screen: Screen) -> int:
    """What campaigns cost, from CSV; rows that the file does not name stay. Returns the exit code.

    Raises:
        JourneyError: the file is wrong, or ClickHouse is away or refuses; nothing was loaded.
    """
    rows = read_spend(path)
    with readable(settings) as found, connected(found) as client:
        _tell(screen, path, len(rows), give(client, SPEND, rows))
    return 0


def load_segments(settings: Settings, path: Path, screen: Screen) -> int:
    """Which segment accounts are in, from CSV; accounts that the file does not name stay where they are. Returns the exit code.

    Raises:
        JourneyError: as `load_spend`.
    """
    rows = read_segments(path)
    with readable(settings) as found, connected(found) as client:
        changes = give(client, SEGMENTS, rows)
        if changes.any:
            _bring_up_to_now(client)
        _tell(screen, path, len(rows), changes)
    return 0


def load_targets(settings: Settings, path: Path, screen: Screen) -> int:
    """What is to be reached, from TOML: afterwards there are those targets that the file has, and no others. Returns the exit code.

    Raises:
        JourneyError: as `load_spend`.
    """
    with readable(settings) as found, connected(found) as client:
        rows = read_targets(path, _stages(client))
        _tell(screen, path, len(rows), give(client, TARGETS, rows, are_all=True))
    return 0


def _stages(client: Any) -> dict[str, list[str]]:
    """The funnels that ClickHouse knows, and their stages in order."""
    stages: dict[str, list[str]] = defaultdict(list)
    for funnel, stage in client.execute(
        "SELECT funnel, stage FROM funnel_stages FINAL GROUP BY funnel, stage ORDER BY funnel, argMax(position, funnel_version)"
    ):
        stages[funnel].append(stage)
    if not stages:
        raise JourneyError("ClickHouse knows no funnel yet", hint="`journey migrate` writes them there")
    return stages


def _bring_up_to_now(client: Any) -> None:
    """Who only may insert waits for the next refresh, half a minute at most."""
    try:
        refresh(client)
    except ServerException as error:
        if error.code != ACCESS_DENIED:
            raise


def _tell(screen: Screen, path: Path, rows: int, changes: Changes) -> None:
    screen.out.print(
        Text(f"{path}: {rows:,} rows, {changes.added:,} new, {changes.changed:,} changed, {changes.removed:,} removed")
    )
