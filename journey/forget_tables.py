"""Taking somebody who is forgotten out of ClickHouse: rows are deleted, not marked, before this returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from journey.traces import Traces

CONDITIONS = {
    "stage_transitions": "prospect_id IN %(ids)s",
    "prospects": "prospect_id IN %(ids)s",
    "stalls": "prospect_id IN %(ids)s",
    "handoff_parts": "prospect_id IN %(ids)s",
    "alert_deliveries": "prospect_id IN %(ids)s",
    "prospect_identifiers": "prospect_id IN %(ids)s",
    "prospect_aliases": "new_id IN %(ids)s",
    "shared_identifiers": "identifier IN %(ids)s",
}
"""Which rows of each table are about them. An alias that leads from a laptop of theirs to somebody else is that one's, too, and stays."""
_LETTER = "(origin_topic, origin_partition, origin_offset, stage, value_hash)"
_LETTERS_AT_ONCE = 1_000
_IDS_AT_ONCE = 2_000
_OLD_PARTS = (
    "SELECT count() FROM system.parts WHERE database = currentDatabase() AND table IN %(tables)s AND NOT active"
)
_LIFETIME = "SELECT value FROM system.merge_tree_settings WHERE name = 'old_parts_lifetime'"
_PATIENCE_SECONDS = 90.0
_POLL_SECONDS = 0.5


def delete_rows(client: Any, ids: Collection[UUID]) -> dict[str, int]:
    """Delete all rows about the ids, those of earlier revisions and tombstones, too.

    Args:
        client: of a user who may ALTER DELETE.
        ids: of all identifiers that are forgotten.

    Returns:
        How many rows that were, by table.
    """
    return {
        table: sum(_delete(client, table, condition, some) for some in _parts(ids))
        for table, condition in CONDITIONS.items()
    }


def delete_letters(client: Any, traces: Traces, progress: Callable[[str, int], None]) -> int:
    """Delete the dead letters about them; returns how many those were."""
    found = []
    letters = client.execute_iter(
        "SELECT origin_topic, origin_partition, origin_offset, stage, value_hash, key, value FROM dead_letters",
        {},
        settings={"strings_as_bytes": True, "max_block_size": _LETTERS_AT_ONCE},
    )
    for number, (topic, partition, offset, stage, value_hash, key, value) in enumerate(letters):
        if traces.in_record(topic.decode(), value) or traces.in_bytes(key):
            found.append((topic.decode(), partition, offset, stage.decode(), value_hash))
        if number % _LETTERS_AT_ONCE == 0:
            progress("reading dead letters", 0)
    return sum(
        _delete(client, "dead_letters", f"{_LETTER} IN %(letters)s", {"letters": some})
        for some in (found[at : at + _LETTERS_AT_ONCE] for at in range(0, len(found), _LETTERS_AT_ONCE))
    )


def wait_for_old_parts(client: Any, progress: Callable[[str, int], None]) -> int:
    """ClickHouse keeps what deleting has replaced until it is sure of the new parts; wait for that if it takes but a minute.

    Returns:
        How many such parts are on its disk still.
    """
    tables = (*CONDITIONS, "dead_letters")
    lifetime = int(client.execute(_LIFETIME)[0][0])
    deadline = time.monotonic() + (_PATIENCE_SECONDS if lifetime < _PATIENCE_SECONDS else 0)
    while left := int(client.execute(_OLD_PARTS, {"tables": tables})[0][0]):
        if time.monotonic() > deadline:
            return left
        progress("waiting until ClickHouse has removed what was replaced", left)
        time.sleep(_POLL_SECONDS)
    return 0


def rows_left(client: Any, ids: Collection[UUID]) -> dict[str, int]:
    """Rows about them that are still there, deleted ones that are only masked among them; nothing where there is none."""
    left = {
        table: sum(_count(client, table, condition, some) for some in _parts(ids))
        for table, condition in CONDITIONS.items()
    }
    return {table: count for table, count in left.items() if count}


def _parts(ids: Collection[UUID]) -> Iterator[dict[str, Sequence[UUID]]]:
    """Parameters with all the ids, so many in each that ClickHouse takes the query."""
    ordered = sorted(ids)
    for at in range(0, len(ordered), _IDS_AT_ONCE):
        yield {"ids": tuple(ordered[at : at + _IDS_AT_ONCE])}


def _delete(client: Any, table: str, condition: str, parameters: Mapping[str, Sequence[Any]]) -> int:
    count = _count(client, table, condition, parameters)
    if count:
        client.execute(f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2", parameters)
    return count


def _count(client: Any, table: str, condition: str, parameters: Mapping[str, Sequence[Any]]) -> int:
    query = f"SELECT count() FROM {table} WHERE {condition} SETTINGS apply_deleted_mask = 0"  # noqa: S608  ours
    return int(client.execute(query, parameters)[0][0])
