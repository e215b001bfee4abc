"""A few people for the commands that are about people: Ada, who is all canaries, and Bob, with whom she shares a laptop and a phone."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from journey.clickhouse import connected
from journey.reading import readable
from journey.settings import Settings
from tests.e2e.harness import event

START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=7)
EMAIL, USER, DEVICE, SECRET = "canary-ada@example.com", "canary-ada-7", "canary-device-41", "canary-in-a-property"
CANARY = b"canary"
PHONE = "+14155550142"
"""Ada's by the rules, as she used it first."""
FACTS = (
    *("stage_transitions", "prospects", "prospect_identifiers", "prospect_aliases", "shared_identifiers", "stalls"),
    "handoff_parts",
)
_COLUMNS = "* EXCEPT (revision, is_deleted, written_at)"
RESULTS = {
    "stage_transitions FINAL": _COLUMNS,
    "prospects FINAL": _COLUMNS,
    "prospect_identifiers FINAL": _COLUMNS,
    "prospect_aliases FINAL": _COLUMNS,
    "conversion_facts": "*",
}


def at(hours: float) -> str:
    """So many hours after the start, as ISO-8601."""
    return (START + timedelta(hours=hours)).isoformat()


ADA = [
    event("a1", "web", "page_view", at(1), anonymous_id=DEVICE, url="/pricing", properties={"note": SECRET}),
    event("a2", "web", "signup", at(2), anonymous_id=DEVICE, email=EMAIL.upper(), phone=PHONE, user_id=USER),
    event("a3", "email", "clicked", at(3), email=EMAIL),
    event("a4", "call", "completed", at(4), phone=PHONE, outcome="demo", duration_seconds=900, rep="rep-1"),
    event("a5", "web", "page_view", at(5), anonymous_id="laptop", user_id=USER),
    event("a6", "web", "page_view", at(6), anonymous_id="laptop", url="/pricing"),
]
BOB = [
    event("b1", "web", "page_view", at(8), anonymous_id="laptop", user_id="bob", email="bob@example.com"),
    event("b2", "web", "signup", at(9), anonymous_id="laptop"),
    event("b3", "call", "completed", at(10), phone=PHONE, user_id="bob", outcome="demo", duration_seconds=900),
]
REFUSED = [
    event("a7", "web", "page_view", (datetime.now(UTC) + timedelta(days=90)).isoformat(), user_id=USER),
    event("a8", "web", "page_view", at(1), user_id=USER, url=5),
    event("b4", "web", "page_view", at(1), user_id="bob", url=5),
]
"""From the future, and not events at all: dead letters."""


def write(path: Path, lines: Iterable[str]) -> str:
    """A file of events; its name."""
    path.write_text("\n".join(lines))
    return path.name


class Contents(NamedTuple):
    """What ClickHouse holds."""

    facts: dict[str, list[str]]
    """Rows of what people read, as text, without when they were told."""
    everything: str
    """All that any table has, whatever was replaced or is masked as deleted, as text."""
    letters: int


def contents(settings: Settings) -> Contents:
    """What the ClickHouse that the settings name holds; the embedded one is started once for it."""
    with readable(settings) as found, connected(found) as client:
        facts = {
            name: sorted(map(str, client.execute(f"SELECT {columns} FROM {name}"))) for name, columns in RESULTS.items()
        }
        held = [client.execute(f"SELECT * FROM {name} SETTINGS apply_deleted_mask = 0") for name in FACTS]
        letters = client.execute("SELECT * FROM dead_letters SETTINGS apply_deleted_mask = 0")
        return Contents(facts, str([held, letters]).lower(), len(letters))


def files_with(canary: bytes, directory: Path) -> Iterator[Path]:
    """Files that have the bytes, compressed ones unpacked."""
    for path in directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            if canary in data.lower():
                yield path
