"""Every example payload is read and written alike by us and by the reference, byte for byte."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from funnel.events import Touch
from funnel.facts import Facts, Standing, Transition
from schemas import messages
from schemas.catalog import SUBJECT_OF_CHANNEL, catalog
from schemas.codec import EventCodec
from schemas.ndjson import parse_line
from schemas.registry import FileRegistry
from tests.unit.schemas.reference import event_datum, facts_datum, reference_read, reference_write, touch_datum

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
    touch = Touch(**value | {"body": bytes.fromhex(value["body"])})
    assert messages.encode_touch(touch) == framed
    assert messages.decode_touch(framed) == touch
    assert messages.decode_touch_without_body(framed) == touch._replace(body=b"")
    assert messages.decode_message(framed) == touch._replace(body=b"")
    assert messages.message_kind(framed) == "touch"
    assert reference_read(subject, framed) == touch_datum(touch)
    assert reference_write(subject, touch_datum(touch)) == framed


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
        tuple(Transition(**row) for row in value["transitions"]),
        tuple((key["funnel"], key["visit"], key["step"]) for key in value["removed"]),
        tuple(Standing(**row) for row in value["standings"]),
        tuple(value["removed_standings"]),
    )
    assert messages.encode_facts(prospect_id, facts) == framed
    assert messages.decode_facts(framed) == (prospect_id, facts)
    assert messages.message_kind(framed) == "facts"
    assert reference_read(subject, framed) == facts_datum(prospect_id, facts)
    assert reference_write(subject, facts_datum(prospect_id, facts)) == framed


def test_every_version_has_examples() -> None:
    """No version of a subject ships without an example, and no example without a version."""
    assert {path.rpartition("/")[0] for path in _paths(list(catalog()))} == {
        f"{version.subject}/v{version.number}" for versions in catalog().values() for version in versions
    }
    assert {subject.name for subject in _FOLDER.iterdir()} == set(catalog())
