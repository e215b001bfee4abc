"""Facts about identifiers, sealed as the workers seal them, and a way into ClickHouse for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

from funnel.facts import AliasRow, Facts, IdentifierRow
from funnel.identifiers import KINDS, prospect_id
from schemas.messages import encode_facts
from schemas.sealing import Sealer
from sinks.clickhouse import Writer
from sinks.config import ClickHouseConfig, PersonalData
from sinks.facts import FactsCollector
from sinks.identifiers import Opener
from tests.clickhouse import ClickHouse

KEY = b"a key of at least 16"
SEALER = Sealer(KEY)
Message = tuple[str, Facts]
"""The identifier whose facts they are."""


def id_of(canonical: str) -> UUID:
    """The prospect's id that an identifier makes."""
    return UUID(bytes=prospect_id(KEY, canonical))


def sealed(canonical: str) -> IdentifierRow:
    """An identifier as the workers send it."""
    return IdentifierRow(KINDS.index(canonical.partition(":")[0]), SEALER.seal(canonical.encode()))


def alias(to: str, since: int = 1_700_000_000_000_000) -> AliasRow:
    """It goes on to the prospect of that identifier."""
    return AliasRow(id_of(to).bytes, since)


def insert(clickhouse: ClickHouse, messages: list[Message], personal_data: PersonalData = "clear") -> None:
    """Insert facts about identifiers without Kafka, as the sink does, each message in a batch of its own."""
    address = ClickHouseConfig(clickhouse.server.host, clickhouse.server.native_port, clickhouse.database)
    writer, collector = Writer(address), FactsCollector(Opener(KEY, personal_data))
    for offset, (canonical, facts) in enumerate(messages):
        value = encode_facts(id_of(canonical).bytes, facts)
        record: Any = SimpleNamespace(topic="facts", partition=0, offset=offset, value=value)
        collector.add(record)
        for rows in collector.take():
            writer.insert(rows)
    writer.close()
