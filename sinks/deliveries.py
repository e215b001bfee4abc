"""Topic `alert-deliveries` to the table `alert_deliveries`: who was told of whom, and what couldn't be delivered."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from schemas.alerts import DELIVERIES, Delivery
from schemas.errors import Undecodable
from sinks.base import Insert, Record
from sinks.errors import PoisonRecordError

_NAMES = tuple(name for name in Delivery._fields if name != "alert")
_IDS = ("alert_id", "prospect_id")


class DeliveriesCollector:
    """Collects deliveries. See `sinks.base.Collector`."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def add(self, record: Record) -> int:
        """Take one: one row, or none where the topic forgets about one; the table does so by itself.

        Raises:
            PoisonRecordError: it is none; names where it is.
        """
        if record.value is None:
            return 0
        try:
            delivery: Delivery = DELIVERIES.decode(record.value)
        except Undecodable as error:
            raise PoisonRecordError(
                f"{record.topic}[{record.partition}] offset {record.offset} is no delivery ({error}). Only our notifiers write there: run the"
                " newest release, or skip the record by moving the sink's group one offset on"
            ) from error
        ids = {name: UUID(bytes=getattr(delivery, name)) for name in _IDS}
        self._rows.append(tuple(ids.get(name, getattr(delivery, name)) for name in _NAMES))
        return 1

    def take(self) -> list[Insert]:
        """What was collected, as inserts; it is empty afterwards."""
        if not self._rows:
            return []
        rows, self._rows = self._rows, []
        return [Insert("alert_deliveries", _NAMES, list(zip(*rows, strict=True)))]
