"""Dead letters: the original bytes, why, and where they came from (headers as Kafka Connect names them)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Only to name types: the command line makes dead letters too, and must not wait for Faust to be imported.
    from agents.acceptance import Reason
    from agents.batching import Record
    from agents.shipping import Headers

ORIGIN = "journey.origin"
"""Header of a touch: topic, partition and offset of its event, by which it is found again if it is refused late. Events that are tried again
(`journey dead-letters retry`) come with it, too."""
_ORIGIN = re.compile(rb"([^/]+)/(\d{1,9})/(\d{1,18})")


def origin_header(record: Record) -> tuple[str, bytes]:
    """Where a touch's event came from, as a header of the touch."""
    return ORIGIN, b"%b/%d/%d" % origin_of(record)


def origin_of(record: Record) -> tuple[bytes, int, int]:
    """Topic, partition and offset at which an event came first: of a letter that is tried again, those of the letter."""
    for name, value in record.headers:
        if name == ORIGIN and (known := _ORIGIN.fullmatch(value or b"")):
            return known[1], int(known[2]), int(known[3])
    return record.topic.encode(), record.partition, record.offset


def headers(stage: str, reason: Reason, message: str, topic: str, partition: int, offset: int) -> Headers:
    """The headers of a dead letter.

    Args:
        stage: who refused it: intake or prospects.
        reason: see `Reason`.
        message: for people; holds no personal data.
        topic: where the original record is.
        partition: of that topic.
        offset: in that partition.
    """
    return [
        ("__connect.errors.topic", topic.encode()),
        ("__connect.errors.partition", b"%d" % partition),
        ("__connect.errors.offset", b"%d" % offset),
        ("__connect.errors.exception.message", message.encode()),
        ("journey.reason", reason.encode()),
        ("journey.stage", stage.encode()),
    ]


def headers_of_touch(touch: Record, reason: Reason, message: str) -> Headers:
    """The headers of a dead letter that was accepted at intake and refused by its prospect."""
    topic, partition, offset = origin_of(touch)
    return headers("prospects", reason, message, topic.decode(errors="replace"), partition, offset)
