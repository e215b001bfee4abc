"""Framing, channels, versions, and what an event must be to be encoded."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from funnel.events import Event, Touch
from funnel.facts import Facts
from funnel.messages import Handover
from schemas.catalog import current
from schemas.codec import EventCodec
from schemas.errors import RefusedSchema, RegistryUnavailable, Undecodable, UnknownSchema
from schemas.framing import HEADER, header
from schemas.messages import (
    decode_facts,
    decode_message,
    decode_touch,
    decode_touch_body,
    encode_facts,
    encode_handover,
    encode_statement,
    encode_tick,
    encode_touch,
    message_kind,
)
from schemas.model import Record, parse
from schemas.registry import FileRegistry

_EVENT: Event = {
    "channel": "web",
    "event_id": "1",
    "source": "website",
    "occurred_at": 1_700_000_000_000_000,
    "type": "page_view",
    "properties": {"secret": "jane@example.com"},
    "email": "jane@example.com",
    "amount": Decimal("1.50"),
}


class Shelf:
    """A registry of what a test puts in it, on top of the schemas that ship."""

    def __init__(self, **texts: str) -> None:
        self.texts = {int(name.removeprefix("id")): text for name, text in texts.items()}
        self.asked = 0
        self.away = False

    def schema(self, schema_id: int) -> Record:
        """See Registry."""
        self.asked += 1
        if self.away:
            raise RegistryUnavailable("away")
        if schema_id in self.texts:
            return parse(self.texts[schema_id])
        return FileRegistry().schema(schema_id)

    def id_of(self, subject: str) -> int:
        """See Registry."""
        return FileRegistry().id_of(subject)


def _newer_web() -> str:
    """A later version of the web schema, from a producer that is ahead of us."""
    document = json.loads(current("web-events").text)
    document["fields"].insert(0, {"name": "shard", "type": "int", "default": 0})
    document["fields"].append({"name": "extra", "type": {"type": "array", "items": "string"}, "default": []})
    return json.dumps(document)


def test_round_trip_fills_in_what_is_absent() -> None:
    """All fields of the channel are there after decoding, those that were absent as None."""
    codec = EventCodec(FileRegistry())
    decoded = codec.decode("web", codec.encode(_EVENT))
    assert {name: value for name, value in decoded.items() if value is not None} == _EVENT
    assert list(decoded) == ["channel", *(field.name for field in current("web-events").schema.fields)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\x00\x00\x00", "too short"),
        (b"{}garbage", "first byte is 123"),
        (header(999), "schema id 999 is unknown"),
        (header(0xFFFFFFFF) + b"x", "schema id 4294967295 is unknown"),
        (header(2), "schema id 2 is not one of web events: it is journey.events.v1.EmailEvent"),
        (header(4), "schema id 4 is not one of web events: it is journey.touch.v1.Touch"),
        (header(50), "schema id 50 is refused: schema.f: a recursive type"),
        (header(1), "cut short"),
    ],
)
def test_undecodable(data: bytes | None, why: str) -> None:
    """Everything that isn't one record of a schema of this channel, each with its reason; again and again."""
    recursive = {"type": "record", "name": "R", "fields": [{"name": "f", "type": ["null", "R"]}]}
    codec = EventCodec(Shelf(id50=json.dumps(recursive)))
    for _ in range(2):
        with pytest.raises(Undecodable, match=why) as caught:
            codec.decode("web", data)
        assert "\n" not in str(caught.value)


def test_no_personal_data_in_messages() -> None:
    """A broken record's values don't get into the message, nor into what a traceback would print."""
    codec = EventCodec(FileRegistry())
    data = codec.encode(_EVENT)
    for broken in (data[:-1], data + b"jane@example.com", data.replace(b"jane", b"jan\xff")):
        with pytest.raises(Undecodable) as caught:
            codec.decode("web", broken)
        assert "jan" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_writer_that_is_ahead_of_us() -> None:
    """Records of a later version are read as ours; the registry is asked once."""
    shelf = Shelf(id77=_newer_web())
    codec, sound = EventCodec(shelf), EventCodec(FileRegistry()).encode(_EVENT)
    newer = header(77) + b"\x0a" + sound[HEADER:] + b"\x02\x04hi\x00"
    for _ in range(3):
        assert codec.decode("web", newer) == EventCodec(FileRegistry()).decode("web", sound)
    assert shelf.asked == 1


def test_nothing_is_kept_for_unknown_ids() -> None:
    """A flood of ids must not fill the memory, and an id may become known."""
    shelf = Shelf()
    codec = EventCodec(shelf)
    for schema_id in range(1000, 1100):
        with pytest.raises(Undecodable):
            codec.decode("web", header(schema_id))
    assert not codec._decoders
    shelf.texts[1000] = current("web-events").text
    sound = EventCodec(FileRegistry()).encode(_EVENT)
    assert codec.decode("web", header(1000) + sound[HEADER:])["event_id"] == "1"


def test_a_registry_that_is_away_is_no_bad_record() -> None:
    """The event may be sound: that must not look like a dead letter."""
    shelf = Shelf()
    shelf.away = True
    with pytest.raises(RegistryUnavailable):
        EventCodec(shelf).decode("web", header(77))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event_id": None}, "event_id"),
        ({"occurred_at": "today"}, "occurred_at"),
        ({"occurred_at": 1 << 63}, "occurred_at"),
        ({"properties": {"secret": 5}}, "properties"),
        ({"url": 5}, "url"),
        ({"url": "\ud800"}, "url"),
        ({"amount": Decimal("1.001")}, "amount"),
        ({"amount": Decimal(10) ** 16}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"),
        ({"channel": "fax"}, "channel"),
        ({"channel": None}, "channel"),
    ],
)
def test_what_does_not_fit_is_not_encoded(change: dict[str, Any], field: str) -> None:
    """The error names the field and keeps the value to itself."""
    with pytest.raises(ValueError, match=f"^{field}: ") as caught:
        EventCodec(FileRegistry()).encode(_EVENT | change)
    assert "jane" not in str(caught.value)


def test_unknown_channel_is_a_mistake_of_the_program() -> None:
    """It does not depend on the bytes, so it is no Undecodable."""
    with pytest.raises(ValueError, match="no channel fax") as caught:
        EventCodec(FileRegistry()).decode("fax", header(1))
    assert not isinstance(caught.value, Undecodable)


def test_file_registry() -> None:
    """Ids are those of the committed file, both ways; others are unknown, by name."""
    registry = FileRegistry()
    assert registry.schema(registry.id_of("web-events")) == current("web-events").schema
    with pytest.raises(UnknownSchema, match="no schema has the id 404"):
        registry.schema(404)
    with pytest.raises(UnknownSchema, match="there is no subject nope; there are web-events"):
        registry.id_of("nope")


def test_own_messages_are_told_apart() -> None:
    """A message of one kind is Undecodable as another, and by the dispatcher."""
    tick, facts = encode_tick(5), encode_facts(bytes(16), Facts(1))
    assert (message_kind(tick), message_kind(facts), decode_message(tick)) == ("tick", "facts", 5)
    for call, data in (
        (decode_touch, tick),
        (decode_touch_body, tick),
        (decode_facts, tick),
        (decode_message, facts),
        (message_kind, b"\0junk"),
    ):
        with pytest.raises(Undecodable, match="not framed"):
            call(data)


def test_a_prospect_id_has_16_bytes() -> None:
    """Anything else would shift every field behind it."""
    with pytest.raises(ValueError, match="ProspectId takes 16 bytes"):
        encode_facts(bytes(15), Facts(1))
    with pytest.raises(ValueError, match="IdentifierId takes 16 bytes"):
        encode_statement(Handover(bytes(16), 1, bytes(17), b""))


def test_the_touch_in_a_handover() -> None:
    """It comes out to the letter, and is read without its body like any other."""
    touch = Touch(5, "s", "e", "web", "t", "", "", 0, "", "", "", "", 1, 2, 3, b"weaker", "Email", b"body")
    message = decode_message(encode_handover(Handover(bytes(16), 1, bytes(16), encode_touch(touch))))
    assert isinstance(message, Handover)
    assert message.touch == encode_touch(touch)
    assert decode_message(message.touch) == touch._replace(body=b"")
    with pytest.raises(ValueError, match="64 bits"):
        encode_tick(1 << 63)


def test_refusals_are_remembered() -> None:
    """A refused schema is not fetched for every record that names it."""

    class Refusing(Shelf):
        def schema(self, schema_id: int) -> Record:
            self.asked += 1
            raise RefusedSchema("no")

    shelf = Refusing()
    codec = EventCodec(shelf)
    for _ in range(3):
        with pytest.raises(Undecodable):
            codec.decode("web", header(9))
    assert shelf.asked == 1
