"""Rows that people give, not the pipeline: what campaigns cost, which segment an account is in, what is to be reached."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class GivenTable:
    """A `ReplacingMergeTree(revision, is_deleted)` that people fill."""

    name: str
    key: tuple[str, ...]
    """Columns that tell its rows apart, as in its ORDER BY."""
    values: tuple[str, ...]
    """The others."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What giving rows has changed."""

    added: int
    changed: int
    removed: int

    @property
    def any(self) -> bool:
        """Whether anything is another way than before."""
        return bool(self.added or self.changed or self.removed)


SPEND = GivenTable("spend", ("day", "channel_group", "campaign", "currency"), ("amount",))
SEGMENTS = GivenTable("account_segments", ("account_id",), ("segment",))
TARGETS = GivenTable(
    "targets", ("name",), ("funnel", "metric", "stage", "currency", "period", "campaign", "starts", "ends", "value")
)


def give(client: Any, table: GivenTable, rows: Mapping[Key, Key | None], *, are_all: bool = False) -> Changes:
    """Make the table say what the rows say; all of it or, where that fails, nothing. Giving the same again changes nothing.

    Args:
        client: a clickhouse-driver client of our database.
        table: which one.
        rows: of each key its values; None where there is to be no row.
        are_all: whether rows of other keys go; else they stay.

    Returns:
        How many rows were added, changed and removed.

    Raises:
        clickhouse_driver.errors.Error: the server is away, or refuses.
    """
    columns, width = ", ".join((*table.key, *table.values)), len(table.key)
    present = {
        tuple(row[:width]): tuple(row[width:])
        for row in client.execute(f"SELECT {columns} FROM {table.name} FINAL")  # noqa: S608  constants of this file
    }
    wanted = {**dict.fromkeys(present), **rows} if are_all else rows
    set_to = {key: values for key, values in wanted.items() if values is not None and present.get(key) != values}
    gone = [key for key, values in wanted.items() if values is None and key in present]
    if set_to or gone:
        revision = time.time_ns() // 1000
        blank = {key: present[key] for key in gone}
        # One block is one part of the table: it is there as a whole, or not at all.
        client.execute(
            f"INSERT INTO {table.name} ({columns}, revision, is_deleted) VALUES",
            [
                *((*key, *values, revision, 0) for key, values in set_to.items()),
                *((*key, *values, revision, 1) for key, values in blank.items()),
            ],
            settings={"insert_block_size": max(1, len(set_to) + len(gone))},
        )
    return Changes(
        added=sum(key not in present for key in set_to),
        changed=sum(key in present for key in set_to),
        removed=len(gone),
    )
