"""What a sink needs to know, as plain values; `journey` makes them from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MIB = 2**20
PersonalData = Literal["clear", "hash"]
"""How identifiers are written: as they are, or as keyed hashes."""


@dataclass(frozen=True, slots=True)
class ClickHouseConfig:
    """How to reach ClickHouse, over the native protocol. Times are seconds."""

    host: str
    port: int = 9000
    database: str = "journey"
    user: str = "default"
    password: str = field(default="", repr=False)
    secure: bool = False
    """TLS."""
    connect_timeout: float = 5.0
    answer_timeout: float = 60.0
    """How long the server may stay silent before it counts as away."""


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """One sink process. Times are seconds."""

    brokers: str
    """host:port, several separated by commas."""
    clickhouse: ClickHouseConfig
    id_key: bytes = field(repr=False)
    """JOURNEY_ID_KEY, which opens identifiers."""
    personal_data: PersonalData = "clear"
    """How identifiers are written."""
    kafka_options: Mapping[str, object] = field(default_factory=dict, repr=False)
    """What any aiokafka client needs beside the brokers: security_protocol, ssl_context, sasl_*."""
    facts_topic: str = "facts"
    dead_letters_topic: str = "dead-letters"
    deliveries_topic: str = ""
    """Of what became of alerts; empty: none is read."""
    group: str = "journey-sink"
    max_rows: int = 20_000
    """A batch is inserted when it has this many rows ..."""
    max_bytes: int = 32 * MIB
    """... or came from this many bytes ..."""
    max_delay: float = 0.5
    """... or its first record has waited this long."""
    fetch_bytes: int = 4 * MIB
    """At most so much of a partition is fetched ahead."""
    session_timeout: float = 10.0
    """Without a heartbeat for this long, the group gives our partitions to others. The embedded broker keeps every first member waiting for half of it."""
    rebalance_timeout: float = 30.0
    """How long the group waits for a member when partitions move."""
    first_retry: float = 0.2
    longest_retry: float = 10.0
    """Waits between attempts double from the first to the longest."""
    stop_seconds: float = 6.0
    """How long a stop may take to insert and commit what was read; what is not, is read again at the next start."""
