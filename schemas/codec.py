"""Events to framed Avro and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro

from funnel.events import Event
from schemas.catalog import SUBJECT_OF_CHANNEL, current
from schemas.decoding import compile_decoder, project
from schemas.errors import IncompatibleSchema, RefusedSchema, Undecodable, UnknownSchema
from schemas.framing import HEADER, header, schema_id_of
from schemas.model import Record
from schemas.registry import Registry

_AMOUNT_LIMIT = Decimal(10) ** 16
_Key = tuple[str, bytes, frozenset[str] | None]


class EventCodec:
    """Encodes events with the schemas we write; decodes those of every version we know."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._decoders: dict[_Key, Callable[[bytes], Event]] = {}
        """Bounded by the schemas of the registry: nothing is kept for ids that are unknown."""
        self._writers: dict[str, tuple[bytes, Any]] = {}

    def encode(self, event: Event) -> bytes:
        """The event as a message of its channel's topic; fields of other channels are left out.

        Raises ValueError, naming the field, where it doesn't fit the schema; and what `Registry.id_of` raises.
        """
        channel = event.get("channel")
        if not isinstance(channel, str) or channel not in SUBJECT_OF_CHANNEL:
            raise ValueError(f"channel: expected one of {', '.join(SUBJECT_OF_CHANNEL)}")
        if channel not in self._writers:
            self._writers[channel] = self._writer(channel)
        prefix, schema = self._writers[channel]
        amount = event.get("amount")
        if amount is not None and not _fits_decimal(amount):  # fastavro lets a 19th digit pass
            raise ValueError(_misfit(schema, event))
        out = BytesIO()
        out.write(prefix)
        try:
            fastavro.schemaless_writer(out, schema, event)
        except (ValueError, TypeError, AttributeError, ArithmeticError, KeyError):
            raise ValueError(_misfit(schema, event)) from None
        return out.getvalue()

    def decode(self, channel: str, data: bytes | None, fields: frozenset[str] | None = None) -> Event:
        """The event in a message of this channel's topic; with `fields`, only those of it, and its channel.

        Raises Undecodable where the bytes are not exactly one record of a known schema of this channel;
        RegistryUnavailable where that can't be known now; ValueError for a channel or field there is none of.
        With `fields`, text that isn't asked for is not checked to be UTF-8; everything else is checked alike.
        """
        if not data:
            raise Undecodable("the record is empty")
        decoder = self._decoders.get((channel, data[:HEADER], fields))
        if decoder is None:
            decoder = self._decoder(channel, data, fields)
        return decoder(data)

    def _writer(self, channel: str) -> tuple[bytes, Any]:
        subject = SUBJECT_OF_CHANNEL[channel]
        schema = fastavro.parse_schema(json.loads(current(subject).text))
        return header(self._registry.id_of(subject)), schema

    def _decoder(self, channel: str, data: bytes, fields: frozenset[str] | None) -> Callable[[bytes], Event]:
        if channel not in SUBJECT_OF_CHANNEL:
            raise ValueError(f"there is no channel {channel}; expected one of {', '.join(SUBJECT_OF_CHANNEL)}")
        reader = current(SUBJECT_OF_CHANNEL[channel]).schema
        if fields is not None:
            reader = project(reader, fields - {"channel"})
        schema_id = schema_id_of(data)
        try:
            writer = self._registry.schema(schema_id)
        except UnknownSchema:
            raise Undecodable(f"schema id {schema_id} is unknown") from None
        except RefusedSchema as error:
            return self._keep(channel, data, fields, _refusal(f"schema id {schema_id} is refused: {error}"))
        try:
            decoder = _event_decoder(channel, writer, reader)
        except IncompatibleSchema as error:
            decoder = _refusal(f"schema id {schema_id} is not one of {channel} events: {error}")
        return self._keep(channel, data, fields, decoder)

    def _keep(
        self, channel: str, data: bytes, fields: frozenset[str] | None, decoder: Callable[[bytes], Event]
    ) -> Callable[[bytes], Event]:
        self._decoders[channel, data[:HEADER], fields] = decoder
        return decoder


def _event_decoder(channel: str, writer: Record, reader: Record) -> Callable[[bytes], Event]:
    if writer.name != reader.name:
        raise IncompatibleSchema(f"it is {writer.name}, expected {reader.name}")
    fields = [field.name for field in reader.fields]

    def construct(values: Any) -> str:
        return f"{{'channel': {channel!r}, " + ", ".join(f"{name!r}: {values[name]}" for name in fields) + "}"

    return compile_decoder(writer, reader, {reader.name: construct}, names={}, start=HEADER)


def _refusal(message: str) -> Callable[[bytes], Event]:
    def refuse(_: bytes) -> Event:
        raise Undecodable(message[:500])

    return refuse


def _fits_decimal(value: Any) -> bool:
    """Whether a value fits decimal(18,2)."""
    return isinstance(value, Decimal) and value.is_finite() and abs(value) < _AMOUNT_LIMIT and value == round(value, 2)


def _has_utf8(text: str) -> bool:
    """False where there is a lone surrogate in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _misfit(schema: Any, event: Event) -> str:
    """Which field of the event doesn't fit the schema, without its value."""
    for field in schema["fields"]:
        value = event.get(field["name"], field.get("default"))
        try:
            fits = fastavro.validate(value, field["type"], raise_errors=False)
        except (ValueError, TypeError, AttributeError):
            fits = False
        if field["name"] == "amount" and value is not None:
            fits = _fits_decimal(value)
        if fits and isinstance(value, str):
            fits = _has_utf8(value)
        if not fits:
            return f"{field['name']}: does not fit the schema {schema['name']}"
    return f"the event does not fit the schema {schema['name']}"
