"""The agent of the input topics: bytes become touches, keyed by prospect, or dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from faust.types import TP

from agents import metrics
from agents.acceptance import Acceptance, Accepted
from agents.backlog import Backlog
from agents.batching import Record
from agents.dead_letters import headers, origin_header
from agents.driver import Shipment
from agents.partitioning import partition_of
from agents.shipping import Output

CHANNEL_OF_TOPIC = {"web-events": "web", "email-events": "email", "sales-call-events": "call"}
"""The input topics, and the channel whose events they carry."""


class Intake:
    """Judges every record by itself; it keeps no state."""

    def __init__(
        self,
        acceptance: Acceptance,
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
            acceptance: what decides.
            backlog: told how old the records are that are handled.
            channels: channel of each input topic.
            touches: where accepted events go ...
            dead_letters: ... and refused ones.
            partitions: how many `touches` has.
            dead_letter_partitions: how many `dead_letters` has.
        """
        self._acceptance, self._backlog, self._channels = acceptance, backlog, channels
        self._touches, self._partitions = touches, partitions
        self._dead_letters, self._dead_letter_partitions = dead_letters, dead_letter_partitions

    def handle(self, tp: TP, records: Sequence[Record]) -> Shipment:
        """One output a record."""
        self._backlog.note(tp, records[-1].timestamp)
        accept, channel = self._acceptance.accept, self._channels[tp.topic]
        touches, partitions = self._touches, self._partitions
        outputs: list[Output] = []
        refused: Counter[str] = Counter()
        for record in records:
            result = accept(channel, record.value, record.timestamp)
            if isinstance(result, Accepted):
                prospect, touch = result
                outputs.append(
                    Output(touches, partition_of(prospect, partitions), prospect, touch, [origin_header(record)])
                )
            else:
                refused[result.reason] += 1
                about = headers("intake", result.reason, result.message, tp.topic, tp.partition, record.offset)
                partition = tp.partition % self._dead_letter_partitions
                outputs.append(Output(self._dead_letters, partition, record.key, record.value, about))

        def settled() -> None:
            metrics.CONSUMED.labels(tp.topic).inc(len(records))
            metrics.TOUCHES.inc(len(records) - refused.total())
            for reason, count in refused.items():
                metrics.DEAD.labels(reason).inc(count)

        return Shipment(outputs=outputs, settled=settled)
