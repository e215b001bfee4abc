"""What the consumer group tells the sink."""

from __future__ import annotations

from typing import Any, Protocol

import structlog
from aiokafka import ConsumerRebalanceListener

_log = structlog.get_logger(__name__)


class Moved(Protocol):
    """Who is told."""

    def partitions_revoked(self) -> None:
        """Partitions are about to go."""

    def partitions_assigned(self) -> None:
        """Partitions have come."""


class Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Tells the sink of rebalances."""

    def __init__(self, sink: Moved) -> None:
        self._sink = sink

    def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002  aiokafka's signature
        """Partitions are about to go."""
        self._sink.partitions_revoked()

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Partitions have come; which is logged."""
        _log.info(
            "sink_assigned", partitions=sorted(f"{partition.topic}[{partition.partition}]" for partition in assigned)
        )
        self._sink.partitions_assigned()
