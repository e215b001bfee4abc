"""What to believe of a partition's changelog: its owners in turn, and records of workers that were no longer owners when they wrote.

A worker that has lost a partition without noticing (it was stopped, or cut off, for longer than its session) may still write. So each owner
opens its *epoch* with a fence record, and every record carries its writer's epoch. In the order of the log, what carries a lower epoch than
one before it came too late: it is *stale*, and counts for nothing. See ADR 011.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from agents.fencing import FENCE_KEY, epoch_of
from funnel.listed import ID_BYTES

if TYPE_CHECKING:
    from agents.shipping import Change, Headers

Records = dict[bytes, bytes]
"""By suffix: a changelog key is the prospect's id and, after it, the suffix of one of its records."""
Partition = dict[bytes, Records]
Entry = tuple[int, bytes | None, bytes | None, int]
"""A record of the changelog: offset, key, value and epoch."""


class StateError(RuntimeError):
    """The changelog holds what no worker can have written, or a partition is used that is not ours."""


def check_key(key: bytes | None) -> bytes:
    """The key, if a worker can have written it.

    Raises:
        StateError: it is missing or shorter than a prospect's id.
    """
    if key is None or len(key) < ID_BYTES:
        raise _not_ours(key)
    return key


def _not_ours(key: bytes | None) -> StateError:
    return StateError(
        f"changelog key {key!r} is not a prospect's id ({ID_BYTES} bytes) and a suffix; only workers may write to the changelog"
    )


def file_records(partition: Partition, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """File changelog records (key, value) into `partition`, later ones over earlier ones; a value of None deletes.

    Raises:
        StateError: a key is missing or shorter than a prospect's id.
    """
    for key, value in records:
        if key is None or len(key) < ID_BYTES:
            raise _not_ours(key)
        prospect_id, suffix = key[:ID_BYTES], key[ID_BYTES:]
        kept = partition.get(prospect_id)
        if value is not None:
            if kept is None:
                kept = partition[prospect_id] = {}
            kept[suffix] = value
        elif kept is not None:
            kept.pop(suffix, None)
            if not kept:
                del partition[prospect_id]


class Fetched(Protocol):
    """A record as a Kafka client gives it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def entries_of(records: Iterable[Fetched]) -> list[Entry]:
    """What a client fetched, as `Reading.take` wants it."""
    entries = []
    # Nearly all records have the headers of the one before, and millions are read back.
    last, epoch = None, 0
    for record in records:
        headers = record.headers
        if headers != last:
            last, epoch = headers, epoch_of(headers)
        entries.append((record.offset, record.key, record.value, epoch))
    return entries


class Reading:
    """A partition's changelog, read from its beginning in the order of its offsets.

    Attributes:
        state: the records that count.
        epoch: the highest epoch so far.
        next_offset: the one after the last record read.
        stale: how many records came too late.
    """

    def __init__(self) -> None:
        self.state: Partition = {}
        self.epoch = self.next_offset = self.stale = 0
        # Keys whose last record came too late, and whether that one would delete.
        self._spoilt: dict[bytes, bool] = {}
        self._fences: dict[bytes | None, bool] = {}

    def take(self, entries: Sequence[Entry]) -> None:
        """Read on.

        Raises:
            StateError: a key is neither a fence's nor begins with a prospect's id.
        """
        believed = []
        epoch, spoilt = self.epoch, self._spoilt
        for _, key, value, written_in in entries:
            if key == FENCE_KEY:
                # The first one of an epoch opens it; that of another worker, which had read as far at the same time, opens nothing.
                self._fences[value] = written_in > epoch
            elif written_in < epoch:
                self.stale += 1
                spoilt[check_key(key)] = value is None
                continue
            else:
                believed.append((key, value))
                if spoilt:
                    spoilt.pop(key, None)  # type: ignore[arg-type]  # what is no key is not there, and refused below
            # Not only fences raise it: compaction keeps the last one of them.
            if written_in > epoch:
                epoch = written_in
        self.epoch = epoch
        if entries:
            self.next_offset = entries[-1][0] + 1
        file_records(self.state, believed)

    def opened(self, token: bytes) -> bool | None:
        """Whether the fence with the value `token` opened its epoch; None if it hasn't been read."""
        return self._fences.get(token)

    def to_heal(self) -> list[Change]:
        """Return what must be written again: compaction keeps the last record of a key, which is a stale one there.

        Until it is written, readers find it again; so a crash in between leaves nothing to repair.
        """
        changes: list[Change] = []
        for key, deletes in self._spoilt.items():
            good = self.state.get(key[:ID_BYTES], {}).get(key[ID_BYTES:])
            if good is not None or not deletes:
                changes.append((key, good))
        return changes
