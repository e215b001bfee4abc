"""Owning a partition of a changelog: which epoch we write in, and whether anybody else has written since it began.

The changelog itself is the arbiter. Between an owner's writes nobody writes but one that is not the owner: either we have been fenced, or a
worker wrote that has been. Each acknowledgement says at which offset a batch lies, so the owner sees both at once, before anything follows
from the write. See ADR 011.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # this is all of it that `journey` needs, which starts without Kafka's clients
    from agents.shipping import Delivery, Headers

FENCE_KEY = b"fence"
"""The key of the record that opens an epoch; too short to be that of a prospect's."""
EPOCH_HEADER = "e"
_EPOCH = Struct(">I")


def epoch_headers(epoch: int) -> Headers:
    """The headers of records written in `epoch`."""
    return [(EPOCH_HEADER, _EPOCH.pack(epoch))]


def epoch_of(headers: Headers) -> int:
    """The epoch a record was written in; 0 if it doesn't say so: such are older than epochs, or were restored."""
    for name, value in headers:
        if name == EPOCH_HEADER and len(value) == _EPOCH.size:
            epoch: int = _EPOCH.unpack(value)[0]
            return epoch
    return 0


class Fenced(RuntimeError):
    """Another worker has written to a changelog partition that we took for ours: nothing may follow from what we write there."""


class Tenure:
    """The time for which a worker owns a partition.

    Attributes:
        epoch: what it writes in.
        headers: of the records it writes.
    """

    __slots__ = ("_next_offset", "_where", "epoch", "headers")

    def __init__(self, topic: str, partition: int, epoch: int, next_offset: int) -> None:
        self.epoch = epoch
        self.headers = epoch_headers(epoch)
        self._next_offset = next_offset
        self._where = f"{topic}-{partition}"

    def wrote(self, deliveries: Iterable[Delivery]) -> None:
        """Take note of batches that were acknowledged, in their order.

        Raises:
            Fenced: somebody else wrote before one of them.
        """
        for offset, records in deliveries:
            if offset != self._next_offset:
                raise Fenced(
                    f"another worker has written to {self._where}: our records of epoch {self.epoch} lie at offset {offset} "
                    f"instead of {self._next_offset}; either this worker has lost the partition, or one that lost it before wrote late. "
                    "Nothing was sent that follows from them; started again, this worker reads back what counts"
                )
            self._next_offset = offset + records


class Ownership:
    """The tenures of a worker, by partition of its changelog."""

    def __init__(self) -> None:
        self._tenures: dict[int, Tenure] = {}

    def begin(self, partition: int, tenure: Tenure) -> None:
        """Own a partition."""
        self._tenures[partition] = tenure

    def end(self, partition: int) -> None:
        """Own it no more."""
        self._tenures.pop(partition, None)

    def of(self, partition: int) -> Tenure:
        """The tenure of now. To be asked before a run is handled: what was made of the state then may not be written in a later one.

        Raises:
            Fenced: the partition is not ours.
        """
        tenure = self._tenures.get(partition)
        if tenure is None:
            raise Fenced(f"partition {partition} is not ours to write to; ours are {sorted(self._tenures)}")
        return tenure
