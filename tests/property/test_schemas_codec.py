"""The codec against the reference on generated values, and against garbage."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from funnel.events import Event, Touch
from funnel.facts import Facts
from funnel.messages import Statement
from schemas import messages
from schemas.catalog import SUBJECT_OF_CHANNEL, catalog, current
from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.framing import HEADER, header
from schemas.registry import FileRegistry
from tests.property.effort import tries
from tests.unit.schemas.reference import (
    event_datum,
    facts_datum,
    reference_read,
    reference_write,
    statement_datum,
    subject_of,
    touch_datum,
)
from tests.unit.schemas.strategies import (
    BYTES,
    LONG,
    STATEMENTS,
    any_event,
    facts,
    prospect_ids,
    statements,
    touches,
)

_CODEC = EventCodec(FileRegistry())
_HEADERS = [header(version.schema_id) for versions in catalog().values() for version in versions]
_MEMORY = 2_000_000
"""Bytes that decoding a few hundred may take at most: what a block count that lies would exceed."""


@tries(120)
@given(any_event)
def test_events_agree_with_the_reference(event: Event) -> None:
    """What we write avro-python3 reads, to the byte, and the other way round; nothing is lost on the way."""
    subject, framed = subject_of(event), _CODEC.encode(event)
    assert framed == reference_write(subject, event_datum(event))
    assert reference_read(subject, framed) == event_datum(event)
    assert _CODEC.decode(event["channel"], framed) == event


@tries(120)
@given(touches)
def test_touches_agree_with_the_reference(touch: Touch) -> None:
    """As for events."""
    framed = messages.encode_touch(touch)
    assert framed == reference_write("touch", touch_datum(touch))
    assert reference_read("touch", framed) == touch_datum(touch)
    assert messages.decode_touch(framed) == touch
    assert messages.decode_touch_body(framed) == (touch.channel, touch.body)
    assert messages.decode_touch_without_body(framed) == touch._replace(body=b"")


@tries(120)
@given(prospect_ids, facts)
def test_facts_agree_with_the_reference(prospect_id: bytes, given_facts: Facts) -> None:
    """As for events."""
    framed = messages.encode_facts(prospect_id, given_facts)
    assert framed == reference_write("facts", facts_datum(prospect_id, given_facts))
    assert reference_read("facts", framed) == facts_datum(prospect_id, given_facts)
    assert messages.decode_facts(framed) == (prospect_id, given_facts)


@tries(300)
@given(statements)
def test_statements_agree_with_the_reference(statement: Statement) -> None:
    """As for events."""
    subject = next(subject for subject, kind in STATEMENTS.items() if kind is type(statement))
    framed = messages.encode_statement(statement)
    assert framed == reference_write(subject, statement_datum(statement))
    assert reference_read(subject, framed) == statement_datum(statement)
    assert messages.decode_message(framed) == statement


@tries(120)
@given(LONG)
def test_ticks_agree_with_the_reference(now: int) -> None:
    """As for events; numbers of every length on the way."""
    framed = messages.encode_tick(now)
    assert framed == reference_write("tick", {"now": now})
    assert messages.decode_tick(framed) == now


@tries(120)
@given(any_event, st.data())
def test_projections_see_the_same(event: Event, data: st.DataObject) -> None:
    """Any choice of fields decodes to what the whole record has there."""
    fields = data.draw(st.frozensets(st.sampled_from(sorted(event.keys() - {"channel"}))))
    framed = _CODEC.encode(event)
    projected = _CODEC.decode(event["channel"], framed, fields)
    assert projected == {name: event[name] for name in fields | {"channel"}}


_events = any_event.map(_CODEC.encode)
_own = (
    touches.map(messages.encode_touch)
    | st.builds(messages.encode_facts, prospect_ids, facts)
    | LONG.map(messages.encode_tick)
    | statements.map(messages.encode_statement)
)


@st.composite
def _mutated(draw: Callable[[st.SearchStrategy[Any]], Any], sound: st.SearchStrategy[bytes]) -> bytes:
    """Sound payloads after a few accidents: bits flipped, bytes cut out, put in, swapped."""
    data = bytearray(draw(sound))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0 if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del data[place : place + draw(st.integers(1, 12))]
            case 2:
                data[place:place] = draw(BYTES)
            case _:
                # Numbers at their limits, where counts, lengths and indexes were.
                data[place : place + 1] = draw(st.sampled_from(_EXTREMES))
    return bytes(data)


_EXTREMES = [
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # -2**63
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # 2**63 - 1
    b"\xff" * 20,
    b"\x80" * 11,
    b"\x01",  # -1
    b"\x03",  # -2
    b"\x80\x00",
    b"\xfe\xff\xff\xff\x0f",
]
_garbage = (
    BYTES
    | _mutated(_events)
    | _mutated(_own)
    | st.builds(bytes.__add__, st.sampled_from(_HEADERS), st.binary(max_size=400))
)


@tries(300)
@given(_garbage, st.sampled_from(sorted(SUBJECT_OF_CHANNEL)))
def test_garbage_is_undecodable_or_a_record(data: bytes, channel: str) -> None:
    """Any bytes are an event or Undecodable, and an event's bytes only in ways that say the same.

    Whatever is accepted has only one meaning: encoding it again gives bytes that decode to it again, and
    every projection accepts it too.
    """
    try:
        event = _CODEC.decode(channel, data)
    except Undecodable as error:
        _check_message(error)
        return
    again = _CODEC.encode(event)
    assert _CODEC.decode(channel, again) == event
    assert reference_read(SUBJECT_OF_CHANNEL[channel], again) == event_datum(event)
    assert _CODEC.decode(channel, data, frozenset({"type"})) == {"channel": channel, "type": event["type"]}


def _check_message(error: Undecodable) -> None:
    assert "\n" not in str(error)
    assert len(str(error)) < 600


_DECODERS: list[tuple[str, Callable[[bytes], Any]]] = [
    ("touch", messages.decode_touch),
    ("touch", messages.decode_touch_without_body),
    ("tick", messages.decode_tick),
    ("facts", messages.decode_facts),
]


@tries(250)
@given(_garbage)
def test_garbage_in_our_own_topics(data: bytes) -> None:
    """Any bytes are one of our messages or Undecodable, whoever reads them; nothing else comes out."""
    for subject, decode in _DECODERS:
        if _accepts(decode, data):
            assert messages.message_kind(data) == subject
    if _accepts(messages.decode_message, data):
        kind = messages.message_kind(data)
        if kind in STATEMENTS:  # its bytes mean only that statement
            message = messages.decode_message(data)
            assert type(message) is STATEMENTS[kind]
            assert messages.decode_message(messages.encode_statement(message)) == message


def _accepts(decode: Callable[[bytes], Any], data: bytes) -> bool:
    try:
        decode(data)
    except Undecodable:
        return False
    return True


@tries(120)
@given(_mutated(_events), st.sampled_from(sorted(SUBJECT_OF_CHANNEL)))
def test_what_we_accept_others_read_alike(data: bytes, channel: str) -> None:
    """Where we accept bytes, fastavro reads the same from them: we are stricter, never different."""
    try:
        event = _CODEC.decode(channel, data)
    except Undecodable:
        return
    schema = fastavro.parse_schema(_plain(channel))
    read = fastavro.schemaless_reader(BytesIO(data[HEADER:]), schema, None)
    assert isinstance(read, dict)
    raw = read.pop("amount", None)
    assert {name: event[name] for name in read} == read
    if raw is not None:
        assert event["amount"].scaleb(2) == int.from_bytes(raw, "big", signed=True)


def _plain(channel: str) -> dict[str, Any]:
    """The channel's schema without logical types."""

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: strip(value) for key, value in node.items() if key not in ("logicalType", "precision", "scale")
            }
        return [strip(part) for part in node] if isinstance(node, list) else node

    stripped: dict[str, Any] = strip(json.loads(current(SUBJECT_OF_CHANNEL[channel]).text))
    return stripped


@tries(80)
@given(_garbage)
def test_garbage_takes_no_memory(data: bytes) -> None:
    """No count or length in a few hundred bytes makes us reserve more than they could hold."""
    _CODEC.decode("web", _CODEC.encode(_MINIMAL))  # compiled before we measure
    tracemalloc.start()
    try:
        for channel in SUBJECT_OF_CHANNEL:
            with contextlib.suppress(Undecodable):
                _CODEC.decode(channel, data)
        assert tracemalloc.get_traced_memory()[1] < _MEMORY
    finally:
        tracemalloc.stop()


_MINIMAL: Event = {
    "channel": "web",
    "event_id": "1",
    "source": "s",
    "occurred_at": 0,
    "type": "page_view",
    "properties": {},
}
