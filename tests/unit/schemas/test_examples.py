"""Every example payload is read and written alike by us and by the reference, byte for byte."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from funnel.alerts import Alert
from funnel.events import Touch
from funnel.facts import AliasRow, Facts, Handoff, IdentifierRow, SharedRow, Stall, Standing, Transition
from schemas import messages
from schemas.alerts import ALERTS, DELIVERIES, Delivery
from schemas.catalog import SUBJECT_OF_CHANNEL, catalog, current
from schemas.codec import EventCodec
from schemas.model import Fixed, Primitive, Record
from schemas.ndjson import parse_line
from schemas.registry import FileRegistry
from tests.unit.schemas.reference import (
    event_datum,
    facts_datum,
    reference_read,
    reference_write,
    statement_datum,
    touch_datum,
)
from tests.unit.schemas.strategies import STATEMENTS

_FOLDER = resources.files("schemas") / "examples"


def _paths(subjects: list[str]) -> list[str]:
    return [
        f"{subject}/v{version.number}/{file.name}"
        for subject in subjects
        for version in catalog()[subject]
        for file in (_FOLDER / subject / f"v{version.number}").iterdir()
    ]


def _example(path: str) -> tuple[str, Any, bytes]:
    document = json.loads((_FOLDER / path).read_text("utf-8"))
    return path.partition("/")[0], document["value"], bytes.fromhex(document["framed"])


def _is_current(path: str) -> bool:
    """Whether it is an example of the version that we write; older ones are only read."""
    return path.split("/")[1] == f"v{current(path.split('/', maxsplit=1)[0]).number}"


def _from_hex(value: dict[str, Any], schema: Record) -> dict[str, Any]:
    """An example's fields, where the schema has bytes from hexadecimal digits."""
    of_bytes = [
        field.name for field in schema.fields if isinstance(field.type, Fixed) or field.type == Primitive("bytes")
    ]
    return value | {name: bytes.fromhex(value[name]) for name in of_bytes if isinstance(value.get(name), str)}


@pytest.mark.parametrize("path", _paths(list(SUBJECT_OF_CHANNEL.values())))
def test_event(path: str) -> None:
    """The example's line of JSON is the event in its bytes, for us and for avro-python3."""
    subject, value, framed = _example(path)
    event = parse_line(json.dumps(value).encode())
    codec = EventCodec(FileRegistry())
    assert codec.encode(event) == framed
    assert codec.decode(event["channel"], framed) == event
    assert reference_read(subject, framed) == event_datum(event)
    assert reference_write(subject, event_datum(event)) == framed


@pytest.mark.parametrize("path", _paths(["touch"]))
def test_touch(path: str) -> None:
    """The example is the touch in its bytes, for us and for avro-python3."""
    subject, value, framed = _example(path)
    touch = Touch(**_from_hex(value, current("touch").schema))
    assert messages.decode_touch(framed) == touch
    assert messages.decode_touch_without_body(framed) == touch._replace(body=b"")
    assert messages.decode_message(framed) == touch._replace(body=b"")
    assert messages.message_kind(framed) == "touch"
    assert reference_read(subject, framed) == touch_datum(touch)
    if _is_current(path):
        assert messages.encode_touch(touch) == framed
        assert reference_write(subject, touch_datum(touch)) == framed


@pytest.mark.parametrize("path", _paths(list(STATEMENTS)))
def test_statement(path: str) -> None:
    """The example is the statement in its bytes, for us and for avro-python3."""
    subject, value, framed = _example(path)
    statement = STATEMENTS[subject](**_from_hex(value, current(subject).schema))
    assert messages.encode_statement(statement) == framed
    assert messages.decode_message(framed) == statement
    assert type(messages.decode_message(framed)) is STATEMENTS[subject]
    assert messages.message_kind(framed) == subject
    assert reference_read(subject, framed) == statement_datum(statement)
    assert reference_write(subject, statement_datum(statement)) == framed


@pytest.mark.parametrize("path", _paths(["stalled-prospects", "alert-deliveries"]))
def test_alerts(path: str) -> None:
    """The example is the alert, or its delivery, in its bytes, for us and for avro-python3."""
    subject, value, framed = _example(path)
    kind, codec = (Alert, ALERTS) if subject == "stalled-prospects" else (Delivery, DELIVERIES)
    alert = kind(**_from_hex(value, current(subject).schema))
    assert codec.encode(alert) == framed
    assert codec.decode(framed) == alert
    assert type(codec.decode(framed)) is kind
    assert reference_read(subject, framed) == alert._asdict()
    assert reference_write(subject, alert._asdict()) == framed


@pytest.mark.parametrize("path", _paths(["tick"]))
def test_tick(path: str) -> None:
    """The example is the tick in its bytes, for us and for avro-python3."""
    subject, value, framed = _example(path)
    assert messages.encode_tick(value["now"]) == framed
    assert messages.decode_tick(framed) == value["now"]
    assert messages.decode_message(framed) == value["now"]
    assert messages.message_kind(framed) == "tick"
    assert reference_read(subject, framed) == value
    assert reference_write(subject, value) == framed


@pytest.mark.parametrize("path", _paths(["facts"]))
def test_facts(path: str) -> None:
    """The example is the facts in its bytes, for us and for avro-python3."""
    subject, value, framed = _example(path)
    prospect_id = bytes.fromhex(value["prospect_id"])
    facts = Facts(
        value["revision"],
        tuple(Transition(**{name: _frozen(field) for name, field in row.items()}) for row in value["transitions"]),
        tuple((key["funnel"], key["visit"], key["step"]) for key in value["removed"]),
        tuple(Standing(**row) for row in value["standings"]),
        tuple(value["removed_standings"]),
        tuple(IdentifierRow(row["kind"], bytes.fromhex(row["name"])) for row in value.get("identifiers", ())),
        tuple(IdentifierRow(row["kind"], bytes.fromhex(row["name"])) for row in value.get("removed_identifiers", ())),
        tuple(AliasRow(bytes.fromhex(row["new_id"]), row["since"]) for row in value.get("aliases", ())),
        tuple(bytes.fromhex(new_id) for new_id in value.get("removed_aliases", ())),
        tuple(SharedRow(**row) for row in value.get("shared", ())),
        tuple(value.get("removed_shared", ())),
        tuple(Stall(**row) for row in value.get("stalls", ())),
        tuple(Handoff(**row) for row in value.get("handoffs", ())),
        tuple((key["funnel"], key["visit"], key["step"], key["part"]) for key in value.get("removed_handoffs", ())),
    )
    assert messages.decode_facts(framed) == (prospect_id, facts)
    assert messages.message_kind(framed) == "facts"
    assert reference_read(subject, framed) == facts_datum(prospect_id, facts)
    if _is_current(path):
        assert messages.encode_facts(prospect_id, facts) == framed
        assert reference_write(subject, facts_datum(prospect_id, facts)) == framed


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def test_every_version_has_examples() -> None:
    """No version of a subject ships without an example, and no example without a version."""
    assert {path.rpartition("/")[0] for path in _paths(list(catalog()))} == {
        f"{version.subject}/v{version.number}" for versions in catalog().values() for version in versions
    }
    assert {subject.name for subject in _FOLDER.iterdir()} == set(catalog())
