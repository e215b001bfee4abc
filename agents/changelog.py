"""What to believe of a partition's changelog: its owners in turn, and records of workers that were no longer owners when they wrote.

A worker that has lost a partition without noticing (it was stopped, or cut off, for longer than its session) may still write. So each owner
opens its *epoch* with a fence record, and every record carries its writer's epoch. In the order of the log, what carries a lower epoch than
one before it came too late: it is *stale*, and counts for nothing. See ADR 011.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.fencing import FENCE_KEY
from agents.shipping import Change
from agents.store import ID_BYTES, Partition, check_key, file_records

Entry = tuple[int, bytes | None, bytes | None, int]
"""A record of the changelog: offset, key, value and epoch."""


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
