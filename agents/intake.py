"""The agent of the input topics: bytes become touches, keyed by prospect, or dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from faust.types import TP

from agents import declarations, erasures, metrics
from agents.acceptance import Acceptance, Accepted, Refused
from agents.backlog import Backlog
from agents.batching import Record
from agents.dead_letters import headers, origin_header, origin_of
from agents.declarations import Announced, Declarations
from agents.driver import Shipment
from agents.partitioning import partition_of
from agents.shipping import Output
from schemas.catalog import SUBJECT_OF_CHANNEL

CHANNEL_OF_TOPIC = {subject: channel for channel, subject in SUBJECT_OF_CHANNEL.items()} | {
    erasures.TOPIC: erasures.CHANNEL
}
"""The input topics, and the channel whose events they carry."""
ANNOUNCING = {declarations.CHANNEL, erasures.CHANNEL}
"""Channels of what is said about identifiers; no events."""


class Intake:
    """Judges every record by itself; it keeps no state."""

    def __init__(
        self,
        acceptance: Acceptance,
        declarations: Declarations,
        backlog: Backlog,
        channels: Mapping[str, str],
        *,
        touches: str,
        dead_letters: str,
        partitions: int,
        dead_letter_partitions: int,
    ) -> None:
        """Make one; topics by their full names.

        Args:
            acceptance: what decides on events ...
            declarations: ... and on declarations.
            backlog: told how old the records are that are handled.
            channels: channel of each input topic.
            touches: where accepted events go ...
            dead_letters: ... and refused ones.
            partitions: how many `touches` has.
            dead_letter_partitions: how many `dead_letters` has.
        """
        self._acceptance, self._declarations = acceptance, declarations
        self._backlog, self._channels = backlog, channels
        self._touches, self._partitions = touches, partitions
        self._dead_letters, self._dead_letter_partitions = dead_letters, dead_letter_partitions

    def handle(self, tp: TP, records: Sequence[Record]) -> Shipment:
        """One output a record, two of declarations."""
        self._backlog.note(tp, records[-1].timestamp)
        channel = self._channels[tp.topic]
        announces = channel in ANNOUNCING
        touches, partitions = self._touches, self._partitions
        outputs: list[Output] = []
        refused: Counter[str] = Counter()
        for record in records:
            result = (
                self._announced(channel, record)
                if announces
                else self._acceptance.accept(channel, record.value, record.timestamp)
            )
            if isinstance(result, Accepted):
                to, message = result
                outputs.append(Output(touches, partition_of(to, partitions), to, message, [origin_header(record)]))
            elif isinstance(result, Announced):
                origin = [origin_header(record)]
                outputs += [
                    Output(touches, partition_of(to, partitions), to, result.message, origin) for to in result.to
                ]
            else:
                refused[result.reason] += 1
                topic, origin_partition, offset = origin_of(record)
                about = headers(
                    "intake", result.reason, result.message, topic.decode(errors="replace"), origin_partition, offset
                )
                partition = tp.partition % self._dead_letter_partitions
                outputs.append(Output(self._dead_letters, partition, record.key, record.value, about))

        def settled() -> None:
            metrics.CONSUMED.labels(tp.topic).inc(len(records))
            accepted = metrics.DECLARED if announces else metrics.TOUCHES
            accepted.inc(len(records) - refused.total())
            for reason, count in refused.items():
                metrics.DEAD.labels(reason).inc(count)

        return Shipment(outputs=outputs, settled=settled)

    def _announced(self, channel: str, record: Record) -> Announced | Refused:
        if channel == erasures.CHANNEL:
            return erasures.accept(record.key, record.value)
        return self._declarations.accept(record.value, record.timestamp)
