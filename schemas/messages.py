"""What goes over our own topics: touches, ticks and statements on `touches`, facts on `facts`.

Framed as the events are, with the ids fixed in `schemas/avsc/ids.json`: only our own processes write
here, so no registry is asked. Every function here runs once an event; `benchmarks` has their cost.

The decoders raise Undecodable on any bytes that are not exactly one such message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from funnel.events import Touch
from funnel.facts import AliasRow, Facts, Handoff, IdentifierRow, SharedRow, Stall, Standing, Transition
from funnel.messages import (
    Alias,
    Declaration,
    Forget,
    Forgotten,
    Handover,
    Membership,
    Reset,
    Sighting,
    SignInsWanted,
    Statement,
)
from schemas.catalog import catalog, current
from schemas.decoding import compile_decoder, project
from schemas.encoding import compile_encoder
from schemas.errors import Undecodable
from schemas.framing import HEADER, header
from schemas.tuples import TupleCodec

Kind = Literal[
    "touch",
    "tick",
    "facts",
    "sighting",
    "sign-ins-wanted",
    "handover",
    "membership",
    "reset",
    "declaration",
    "alias",
    "forget",
    "forgotten",
]

_STATEMENTS: tuple[tuple[Kind, type[Any]], ...] = (
    ("sighting", Sighting),
    ("sign-ins-wanted", SignInsWanted),
    ("handover", Handover),
    ("membership", Membership),
    ("reset", Reset),
    ("declaration", Declaration),
    ("alias", Alias),
    ("forget", Forget),
    ("forgotten", Forgotten),
)
_STATEMENT_CODECS = {kind: TupleCodec(subject, kind) for subject, kind in _STATEMENTS}

_MATCHES = "from_bytes(%s, 'little')"
_RULES = "from_bytes(%s, 'little', signed=True)"


def _tuple_of(kind: type[Any], name: str, **special: str) -> Callable[[Mapping[str, str]], str]:
    """What builds a NamedTuple from a record with fields of the same names (a default where it has none)."""

    def construct(values: Mapping[str, str]) -> str:
        fields = (special.get(field, "%s").replace("%s", values.get(field, "b''")) for field in kind._fields)
        return f"new({name}, ({', '.join(fields)},))"

    return construct


def _facts(values: Mapping[str, str]) -> str:
    lists = (f"tuple({values[field]})" for field in Facts._fields[1:])
    return f"({values['prospect_id']}, new(Facts, ({values['revision']}, {', '.join(lists)})))"


_CONSTRUCT: dict[str, Callable[[Mapping[str, str]], str]] = {
    "journey.touch.v1.Touch": _tuple_of(Touch, "Touch", matches=_MATCHES, rules=_RULES),
    "journey.tick.v1.Tick": lambda values: values["now"],
    "journey.facts.v1.Facts": _facts,
    "journey.facts.v1.Transition": _tuple_of(
        Transition,
        "Transition",
        touched_at="tuple(%s)",
        touch_channel_groups="tuple(%s)",
        touch_campaigns="tuple(%s)",
    ),
    "journey.facts.v1.Standing": _tuple_of(Standing, "Standing"),
    "journey.facts.v1.RemovedTransition": lambda values: "({funnel}, {visit}, {step})".format(**values),
    "journey.facts.v1.Identifier": _tuple_of(IdentifierRow, "IdentifierRow"),
    "journey.facts.v1.Alias": _tuple_of(AliasRow, "AliasRow"),
    "journey.facts.v1.Shared": _tuple_of(SharedRow, "SharedRow"),
    "journey.facts.v1.Stall": _tuple_of(Stall, "Stall"),
    "journey.facts.v1.Handoff": _tuple_of(Handoff, "Handoff"),
    "journey.facts.v1.RemovedHandoff": lambda values: "({funnel}, {visit}, {step}, {part})".format(**values),
}
_NAMES: dict[str, Any] = {
    "new": tuple.__new__,
    "from_bytes": int.from_bytes,
    "Touch": Touch,
    "Transition": Transition,
    "Standing": Standing,
    "Facts": Facts,
    "IdentifierRow": IdentifierRow,
    "AliasRow": AliasRow,
    "SharedRow": SharedRow,
    "Stall": Stall,
    "Handoff": Handoff,
}
_UNPACK = {
    "journey.touch.v1.Touch": ", ".join(Touch._fields),
    "journey.tick.v1.Tick": "now",
    "journey.facts.v1.Facts": f"prospect_id, ({', '.join(Facts._fields)})",
    "journey.facts.v1.Transition": ", ".join(Transition._fields),
    "journey.facts.v1.Standing": ", ".join(Standing._fields),
    "journey.facts.v1.RemovedTransition": "funnel, visit, step",
    "journey.facts.v1.Identifier": ", ".join(IdentifierRow._fields),
    "journey.facts.v1.Alias": ", ".join(AliasRow._fields),
    "journey.facts.v1.Shared": ", ".join(SharedRow._fields),
    "journey.facts.v1.Stall": ", ".join(Stall._fields),
    "journey.facts.v1.Handoff": ", ".join(Handoff._fields),
    "journey.facts.v1.RemovedHandoff": "funnel, visit, step, part",
}
_CONVERT = {
    "matches": "matches.to_bytes((matches.bit_length() + 7) // 8, 'little')",
    "rules": "rules.to_bytes(8, 'little', signed=True)",
}


def _decoders(subject: str, without: frozenset[str] = frozenset()) -> dict[bytes, Callable[[bytes], Any]]:
    """By frame header, what decodes each version of the subject into what we know it as."""
    reader = current(subject).schema
    reader = project(reader, frozenset(field.name for field in reader.fields) - without)
    return {
        header(version.schema_id): compile_decoder(version.schema, reader, _CONSTRUCT, names=_NAMES, start=HEADER)
        for version in catalog()[subject]
    }


def _encoder(subject: str) -> Any:
    version = current(subject)
    return compile_encoder(version.schema, header(version.schema_id), _UNPACK, _CONVERT)


_TOUCHES = _decoders("touch")
_TOUCHES_WITHOUT_BODY = _decoders("touch", frozenset({"body"}))
_TOUCH_BODIES = _decoders("touch", frozenset(Touch._fields) - {"channel", "body"})
_TICKS = _decoders("tick")
_FACTS = _decoders("facts")
_MESSAGES: dict[bytes, Callable[[bytes], Any]] = _TOUCHES_WITHOUT_BODY | _TICKS
for _codec in _STATEMENT_CODECS.values():
    _MESSAGES |= _codec.decoders
_SUBJECTS: tuple[Kind, ...] = ("touch", "tick", "facts", *(subject for subject, _ in _STATEMENTS))
_KINDS: dict[bytes, Kind] = {
    header(version.schema_id): subject for subject in _SUBJECTS for version in catalog()[subject]
}
_encode_facts = _encoder("facts")

encode_touch: Callable[[Touch], bytes] = _encoder("touch")
"""A touch as a message. Raises ValueError for numbers that don't fit and text that has no UTF-8."""

encode_tick: Callable[[int], bytes] = _encoder("tick")
"""A tick as a message: the time, microseconds since the epoch, UTC."""

encode_handover: Callable[[Handover], bytes] = _STATEMENT_CODECS[Handover].encode
"""As `encode_statement`, for the one kind there is of once an event."""


def encode_statement(statement: Statement) -> bytes:
    """A statement as a message. Raises ValueError where an id has not 16 bytes, or as `encode_touch`."""
    return _STATEMENT_CODECS[type(statement)].encode(statement)


def encode_facts(prospect_id: bytes, facts: Facts) -> bytes:
    """A prospect's facts as a message. Raises ValueError where the id has not 16 bytes, or as `encode_touch`."""
    message: bytes = _encode_facts((prospect_id, facts))
    return message


def message_kind(data: bytes) -> Kind:
    """Which of our messages the bytes claim to be. Raises Undecodable where it is none."""
    kind = _KINDS.get(data[:HEADER])
    if kind is None:
        raise Undecodable("not framed as one of our own messages")
    return kind


def decode_touch(data: bytes) -> Touch:
    """A touch from its message."""
    decode = _TOUCHES.get(data[:HEADER])
    if decode is None:
        raise Undecodable("not framed as a touch")
    touch: Touch = decode(data)
    return touch


def decode_touch_without_body(data: bytes) -> Touch:
    """A touch from its message, with an empty `body`: all that a prospect needs unless copies differ."""
    decode = _TOUCHES_WITHOUT_BODY.get(data[:HEADER])
    if decode is None:
        raise Undecodable("not framed as a touch")
    touch: Touch = decode(data)
    return touch


def decode_touch_body(data: bytes) -> tuple[str, bytes]:
    """Of a touch in its message only the event's channel and its sealed original bytes: what opening it takes."""
    decode = _TOUCH_BODIES.get(data[:HEADER])
    if decode is None:
        raise Undecodable("not framed as a touch")
    touch: Touch = decode(data)
    return touch.channel, touch.body


def decode_tick(data: bytes) -> int:
    """A tick's time from its message, microseconds since the epoch, UTC."""
    decode = _TICKS.get(data[:HEADER])
    if decode is None:
        raise Undecodable("not framed as a tick")
    now: int = decode(data)
    return now


def decode_facts(data: bytes) -> tuple[bytes, Facts]:
    """Prospect id and facts from their message."""
    decode = _FACTS.get(data[:HEADER])
    if decode is None:
        raise Undecodable("not framed as facts")
    facts: tuple[bytes, Facts] = decode(data)
    return facts


def decode_message(data: bytes) -> Touch | int | Statement:
    """What the topic `touches` carries: a touch (without its body), a tick's time, or a statement.

    The touch within a Handover is a message of its own, to the letter: `decode_touch_without_body` reads it.
    """
    decode = _MESSAGES.get(data[:HEADER])
    if decode is None:
        raise Undecodable("not framed as a touch, a tick or a statement")
    message: Touch | int | Statement = decode(data)
    return message
