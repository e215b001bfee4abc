"""avro-python3 as the reference: what it writes we read, what we write it reads, to the byte."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from io import BytesIO
from typing import Any

import avro.io
import avro.schema

from funnel.events import Event, Touch
from funnel.facts import Facts
from funnel.messages import Statement
from schemas.catalog import SUBJECT_OF_CHANNEL, catalog, current
from schemas.framing import HEADER, header
from schemas.model import Primitive


@cache
def reference_schema(subject: str) -> Any:
    """The current schema of a subject, as avro-python3 parses it."""
    return avro.schema.parse(current(subject).text)


def reference_write(subject: str, datum: dict[str, Any]) -> bytes:
    """A datum framed as the subject's current schema, written by avro-python3."""
    out = BytesIO()
    avro.io.DatumWriter(reference_schema(subject)).write(datum, avro.io.BinaryEncoder(out))
    return header(current(subject).schema_id) + out.getvalue()


def reference_read(subject: str, framed: bytes) -> Any:
    """What avro-python3 reads from a framed message, of any version, as the current one; it must be all of it."""
    source = BytesIO(framed)
    prefix = source.read(HEADER)
    (writer,) = (version for version in catalog()[subject] if header(version.schema_id) == prefix)
    reader = avro.io.DatumReader(avro.schema.parse(writer.text), reference_schema(subject))
    datum = reader.read(avro.io.BinaryDecoder(source))
    assert not source.read()
    if writer != current(subject):  # it leaves defaults of bytes as the text that the schema's JSON has
        bytes_fields = [field.name for field in current(subject).schema.fields if field.type == Primitive("bytes")]
        datum |= {name: datum[name].encode("latin-1") for name in bytes_fields if isinstance(datum[name], str)}
    return datum


def event_datum(event: Event) -> dict[str, Any]:
    """An event as avro-python3, which knows no logical types, has it: amounts in bytes, no channel."""
    datum = {name: value for name, value in event.items() if name != "channel"}
    if isinstance(datum.get("amount"), Decimal):
        unscaled = int(datum["amount"].scaleb(2))
        # As fastavro writes it: -128 could do with one byte and gets two. Any length that holds it is right.
        size = unscaled.bit_length() // 8 + 1
        datum["amount"] = unscaled.to_bytes(size, "big", signed=True)
    return datum


def touch_datum(touch: Touch) -> dict[str, Any]:
    """A touch as its schema has it."""
    matches = touch.matches.to_bytes((touch.matches.bit_length() + 7) // 8, "little")
    return touch._asdict() | {"matches": matches, "rules": touch.rules.to_bytes(8, "little", signed=True)}


def facts_datum(prospect_id: bytes, facts: Facts) -> dict[str, Any]:
    """Facts as their schema has them."""
    return {
        "prospect_id": prospect_id,
        "revision": facts.revision,
        "transitions": [
            {name: list(field) if isinstance(field, tuple) else field for name, field in row._asdict().items()}
            for row in facts.transitions
        ],
        "removed": [dict(zip(("funnel", "visit", "step"), key, strict=True)) for key in facts.removed],
        "standings": [row._asdict() for row in facts.standings],
        "removed_standings": list(facts.removed_standings),
        "identifiers": [row._asdict() for row in facts.identifiers],
        "removed_identifiers": [row._asdict() for row in facts.removed_identifiers],
        "aliases": [row._asdict() for row in facts.aliases],
        "removed_aliases": list(facts.removed_aliases),
        "shared": [row._asdict() for row in facts.shared],
        "removed_shared": list(facts.removed_shared),
        "stalls": [row._asdict() for row in facts.stalls],
        "handoffs": [row._asdict() for row in facts.handoffs],
        "removed_handoffs": [
            dict(zip(("funnel", "visit", "step", "part"), key, strict=True)) for key in facts.removed_handoffs
        ],
    }


def statement_datum(statement: Statement) -> dict[str, Any]:
    """A statement as its schema has it."""
    return statement._asdict()


def subject_of(event: Event) -> str:
    """The subject of an event's channel."""
    return SUBJECT_OF_CHANNEL[event["channel"]]
