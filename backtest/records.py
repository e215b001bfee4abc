"""Records of the input topics, as they are replayed."""

from __future__ import annotations

from typing import NamedTuple


class InputRecord(NamedTuple):
    """A record of an input topic, or what `journey produce` would have made of a line."""

    channel: str
    """web, email, call, declaration or erasure, by the topic it came from."""
    partition: int
    offset: int
    timestamp: int
    """Kafka's, milliseconds since the epoch; -1: it has none."""
    key: bytes | None
    value: bytes | None
