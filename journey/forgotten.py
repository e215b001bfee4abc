"""Who was asked to be forgotten so far: the topic `erasures`, which several installations may read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from funnel.listed import ID_BYTES
from funnel.messages import Forget
from journey import topics
from journey.forget_topics import records_of
from journey.kafka_clients import consumer_client
from journey.offsets import true_ends
from journey.settings import Settings
from schemas.errors import Undecodable
from schemas.messages import decode_message


class Everybody(NamedTuple):
    """All who were ever asked to be forgotten."""

    theirs: frozenset[UUID]
    named: frozenset[UUID]
    """Those of them that somebody named: events that name one of these go, too."""


def everybody(settings: Settings, progress: Callable[[str, int], None]) -> Everybody:
    """Read the list; what is no request on it is passed over, as workers do.

    Raises:
        JourneyError: the topic does not exist, or the brokers stopped answering.
    """
    theirs, named = set(), set()
    with consumer_client(settings) as consumer:
        ends = {
            tp: end for tp, end in true_ends(consumer, [topics.topic_name(settings, topics.ERASURES)]).items() if end
        }
        for _, record in records_of(consumer, ends, progress, "reading who was forgotten"):
            try:
                request = decode_message(record.value or b"")
            except Undecodable:
                continue
            if isinstance(request, Forget) and record.key is not None and len(record.key) == ID_BYTES:
                theirs.add(UUID(bytes=record.key))
                if request.named:
                    named.add(UUID(bytes=record.key))
    return Everybody(frozenset(theirs), frozenset(named))
