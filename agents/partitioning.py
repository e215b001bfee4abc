"""Which partition a prospect lives in: the same for touches, changelog and facts."""

from __future__ import annotations


def partition_of(prospect_id: bytes, partitions: int) -> int:
    """The partition of a prospect.

    Its id is a keyed hash, so its first bytes are as even as any hash of it would be. Only our own processes write
    keyed by prospect; whoever else does has to use this.
    """
    return int.from_bytes(prospect_id[:4], "big") % partitions
