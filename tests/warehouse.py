"""What ClickHouse holds, in the oracle's words, and a sink that fills it as a process of its own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from clickhouse_driver import Client

from funnel.definition import load_funnels
from funnel.facts import Handoff
from sinks.config import ClickHouseConfig, SinkConfig
from sinks.funnels import write_funnels
from sinks.process import run_sink
from sinks.refresh import refresh
from tests.clickhouse import ClickHouse
from tests.oracle import AliasRow, ConversionRow, IdentifierRow, ProspectRow, SharedRow, TransitionRow, Truth
from tests.pipeline import ID_KEY
from tests.translation import handoffs_of
from tests.warm import Process

Rows = list[list[str]]
TABLES: dict[str, tuple[str, ...]] = {
    "stage_transitions": TransitionRow._fields,
    "prospects": ProspectRow._fields,
    "conversion_facts": ConversionRow._fields,
    "prospect_identifiers": IdentifierRow._fields,
    "prospect_aliases": AliasRow._fields,
    "shared_identifiers": SharedRow._fields,
    "handoff_parts": ("prospect_id", *Handoff._fields),
}
_MICROSECONDS = frozenset(
    (
        *("entered_at", "visit_opened_at", "stage_entered_at", "last_activity_at", "stalled_since", "since"),
        *("snoozed_until", "touched_at"),
        *("occurred_at", "respond_by"),
    )
)
_SECONDS = frozenset(("seconds_in_from", "seconds_to_move_on"))
_MONEY = frozenset(("amount", "revenue"))


def prepare(clickhouse: ClickHouse, funnels: Sequence[Path]) -> None:
    """Tables, views and the funnels' stages."""
    clickhouse.migrate()
    with clickhouse.client() as client:
        write_funnels(client, load_funnels(funnels))


def tables(client: Client) -> dict[str, Rows]:
    """The rows of each table, aggregates brought up to now first."""
    refresh(client)
    found = {}
    for table, fields in TABLES.items():
        columns = ", ".join(map(_column, fields))
        final = "" if table == "conversion_facts" else "FINAL"
        rows = client.execute(f"SELECT {columns} FROM {table} {final}")
        found[table] = sorted(_text(fields, row) for row in rows)
    return found


def expected(truth: Truth) -> dict[str, Rows]:
    """The rows that each table must have."""
    rows: dict[str, Sequence[Any]] = {
        "stage_transitions": truth.transitions,
        "prospects": truth.prospects,
        "conversion_facts": truth.conversion_facts,
        "prospect_identifiers": truth.identifiers,
        "prospect_aliases": truth.aliases,
        "shared_identifiers": truth.shared,
        "handoff_parts": [(UUID(bytes=key[0]), *row) for key, row in handoffs_of(truth.handoffs).items()],
    }
    return {table: sorted(_text(fields, row) for row in rows[table]) for table, fields in TABLES.items()}


def _column(field: str) -> str:
    if field == "touched_at":
        return f"arrayMap(at -> toUnixTimestamp64Micro(at), {field})"
    return f"toUnixTimestamp64Micro({field})" if field in _MICROSECONDS else field


def _text(fields: Sequence[str], row: Sequence[Any]) -> list[str]:
    """A row as text, the same from the oracle as from ClickHouse: both sum whole microseconds, so seconds agree to the last."""
    texts = []
    for name, value in zip(fields, row, strict=True):
        if name in _SECONDS:
            texts.append(f"{value:.6f}")
        elif name in _MONEY:
            texts.append(f"{value:.2f}")
        else:
            texts.append(str(list(value) if isinstance(value, tuple) else value))
    return texts


@contextmanager
def sink_process(
    brokers: str, prefix: str, clickhouse: ClickHouse, log: Path, session_timeout: float = 10.0
) -> Iterator[Process]:
    """A sink of an installation with this prefix."""
    options = {
        "brokers": brokers,
        "prefix": prefix,
        "port": clickhouse.server.native_port,
        "database": clickhouse.database,
        "session_timeout": session_timeout,
    }
    process = Process("tests.warehouse", json.dumps(options), log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def main() -> None:
    """Run a sink as `sink_process` says."""
    options = json.loads(sys.argv[1])
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = SinkConfig(
        brokers=options["brokers"],
        clickhouse=ClickHouseConfig("127.0.0.1", port=options["port"], database=options["database"]),
        id_key=ID_KEY.encode(),
        facts_topic=options["prefix"] + "facts",
        dead_letters_topic=options["prefix"] + "dead-letters",
        group=options["prefix"] + "journey-sink",
        session_timeout=options["session_timeout"],
    )
    sys.exit(run_sink(config))


if __name__ == "__main__":
    main()
