"""A worker's state: many small records per prospect, in memory, backed by a changelog topic.

The table is Faust's (it makes the changelog part of the group's assignment), the records are not written through it: handlers read and write
the store directly, and `agents.driver` ships the changelog before anything that follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from faust.stores.memory import Store
from faust.tables.table import Table
from faust.types import TP

from agents.changelog import Partition, Records, StateError, file_records
from agents.fencing import Ownership

if TYPE_CHECKING:
    from agents.app import RunApp

__all__ = ["Partition", "PartitionStore", "Records", "StateError", "StateTable", "file_records"]
_NOTHING: Mapping[bytes, bytes] = MappingProxyType({})


class PartitionStore:
    """The records of the partitions that are ours; those of others are gone."""

    def __init__(self) -> None:
        self._partitions: dict[int, Partition] = {}
        self.listeners: list[Callable[[int], None]] = []
        """Called with a partition whose records were dropped or read anew: whatever was derived from them must go."""

    @property
    def partitions(self) -> Collection[int]:
        """The partitions whose records are complete."""
        return self._partitions.keys()

    def records(self, partition: int, prospect_id: bytes) -> Mapping[bytes, bytes]:
        """A prospect's records by suffix, empty if there are none. To be read only, and before the next `apply`.

        Raises:
            StateError: the partition is not ours.
        """
        return self._own(partition).get(prospect_id, _NOTHING)

    def prospects(self, partition: int) -> Iterator[bytes]:
        """The ids of all prospects with records in `partition`."""
        return iter(self._own(partition))

    def sizes(self) -> dict[int, int]:
        """How many prospects each partition holds."""
        return {partition: len(prospects) for partition, prospects in self._partitions.items()}

    def apply(self, partition: int, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """File records (changelog key, value or None to delete).

        Raises:
            StateError: the partition is not ours, or a key is too short.
        """
        file_records(self._own(partition), records)

    def change(self, partition: int, prospect_id: bytes, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """File one prospect's records (suffix, value or None to delete).

        Raises:
            StateError: the partition is not ours.
        """
        prospects = self._own(partition)
        kept = prospects.get(prospect_id)
        if kept is None:
            kept = prospects[prospect_id] = {}
        for suffix, value in records:
            if value is None:
                kept.pop(suffix, None)
            else:
                kept[suffix] = value
        if not kept:
            del prospects[prospect_id]

    def install(self, partition: int, records: Partition) -> None:
        """Take over a partition's complete records."""
        self._partitions[partition] = records
        self._tell(partition)

    def retain(self, partitions: Collection[int]) -> None:
        """Drop the records of all partitions but these."""
        for partition in [held for held in self._partitions if held not in partitions]:
            del self._partitions[partition]
            self._tell(partition)

    def _own(self, partition: int) -> Partition:
        try:
            return self._partitions[partition]
        except KeyError:
            raise StateError(f"partition {partition} is not ours; ours are {sorted(self._partitions)}") from None

    def _tell(self, partition: int) -> None:
        for listener in self.listeners:
            listener(partition)


class StateStore(Store):  # type: ignore[misc]  # Faust is untyped for mypy
    """Faust's view of the store: how a changelog comes back."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.records = PartitionStore()
        self.ownership = Ownership()
        # Who gives records up, or reads them anew, may not go on writing.
        self.records.listeners.append(self.ownership.end)

    def persisted_offset(self, tp: TP) -> int | None:  # noqa: ARG002  the signature is Faust's
        """None: nothing outlives the process, so the changelog is read from its beginning."""
        return None

    def apply_changelog_batch(self, batch: Iterable[Any], **_converters: Any) -> None:
        """File events of Faust's stock recovery. Ours reads the changelog itself (`agents.recovery`)."""
        for event in batch:
            message = event.message
            if message.partition not in self.records.partitions:
                self.records.install(message.partition, {})
            self.records.apply(message.partition, [(message.key, message.value)])

    async def on_rebalance(self, assigned: set[TP], *_changes: Any) -> None:
        """Drop what is no longer ours."""
        changelog = self.table.changelog_topic_name
        self.records.retain({tp.partition for tp in assigned if tp.topic == changelog})

    async def on_recovery_completed(self, active_tps: set[TP], _standby_tps: set[TP]) -> None:
        """A partition of which the changelog has nothing yet is complete, too."""
        for tp in active_tps:
            if tp.partition not in self.records.partitions:
                self.records.install(tp.partition, {})


class StateTable(Table):  # type: ignore[misc]  # Faust is untyped for mypy
    """A Faust table for its changelog and assignment; its items are read and written through `records`."""

    app: RunApp

    def _new_store_by_url(self, url: Any) -> StateStore:
        return StateStore(url, self.app, self, table_name=self.name, loop=self.loop)

    @property
    def records(self) -> PartitionStore:
        """The records themselves."""
        store: StateStore = self.data
        return store.records

    @property
    def ownership(self) -> Ownership:
        """What may be written to the changelog."""
        store: StateStore = self.data
        return store.ownership

    async def on_start(self) -> None:
        """Start the store. The changelog topic is created by `journey topics`, never by a worker."""
        await self.add_runtime_dependency(self.data)

    def on_key_set(self, _key: Any, _value: Any) -> None:
        """Refuse Faust's own way of writing: its deliveries are not awaited."""
        raise TypeError(f"table {self.name} is written by its agent's shipments only")

    def on_key_del(self, _key: Any) -> None:
        """Refuse Faust's own way of deleting."""
        raise TypeError(f"table {self.name} is written by its agent's shipments only")
