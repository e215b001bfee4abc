"""Lines of JSON against exact fractions, and against garbage."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from funnel.events import Event
from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.ndjson import parse_line
from schemas.registry import FileRegistry
from tests.property.effort import tries
from tests.unit.schemas.strategies import any_event

_CODEC = EventCodec(FileRegistry())
_PLAIN = {"channel": "web", "event_id": "1", "source": "s", "type": "t"}

_digits = st.text("0123456789", min_size=1, max_size=24)
_whole = st.integers(0, 10**19).map(str) | st.sampled_from(
    ["99999999999", "100000000000", "99999999999999", "100000000000000", "9999999999999999"]
)
_numbers = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{whole}{fraction}{exponent}",
    st.sampled_from(["", "-"]),
    _whole,
    st.just("") | _digits.map(lambda digits: f".{digits}") | st.sampled_from([".5", ".005", ".995", ".9999999"]),
    st.just("") | st.integers(-30, 30).map(lambda exponent: f"e{exponent}"),
)


def _line(**raw: str) -> bytes:
    plain = json.dumps(_PLAIN)[:-1]
    return (plain + "".join(f', "{name}": {value}' for name, value in raw.items()) + "}").encode()


@tries(300)
@given(_numbers)
def test_epochs_are_exact(number: str) -> None:
    """Any JSON number is cut to the microsecond that exact fractions give, or is out of range."""
    exact = Fraction(number)
    factor = 10**6 if exact < 10**11 else 1000 if exact < 10**14 else 1
    expected = math.floor(exact * factor)
    try:
        assert parse_line(_line(occurred_at=number))["occurred_at"] == expected
    except Undecodable:
        assert not -(1 << 63) <= expected < 1 << 63 or not -(1 << 63) <= exact < 1 << 63


@tries(300)
@given(_numbers)
def test_amounts_are_exact(number: str) -> None:
    """Any JSON number is rounded half-even to the cent that exact fractions give, or is out of range."""
    hundredths = round(Fraction(number) * 100)  # Fraction rounds half to even
    try:
        assert parse_line(_line(occurred_at="0", amount=number))["amount"] * 100 == hundredths
    except Undecodable:
        assert abs(hundredths) >= 10**18


@tries(120)
@given(any_event, st.booleans())
def test_events_survive(event: Event, ascii_only: bool) -> None:
    """Any event whose time is written in microseconds comes back from its line as it went."""
    event["occurred_at"] = abs(event["occurred_at"]) % (1 << 62) + 10**14
    line = json.dumps(
        {name: str(value) if name == "amount" and value is not None else value for name, value in event.items()},
        ensure_ascii=ascii_only,
    )
    assert parse_line(line.encode()) == event


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    """Events with wrong values in right places, then maybe bytes changed."""
    document: dict[str, Any] = dict(draw(any_event))
    document["amount"] = None
    for name in draw(st.lists(st.sampled_from([*document, "new"]), max_size=3)):
        document[name] = draw(_json)
    line = bytearray(json.dumps(document).encode("utf-8", "surrogatepass"))
    for place in draw(st.lists(st.integers(0, len(line) - 1), max_size=2)):
        line[place] = draw(st.integers(0, 255))
    return bytes(line)


@tries(300)
@given(st.binary(max_size=100) | _lines())
def test_garbage_is_undecodable_or_an_event(line: bytes) -> None:
    """Any bytes are Undecodable, or an event that can be encoded; nothing else comes out."""
    try:
        event = parse_line(line)
    except Undecodable:
        return
    assert _CODEC.decode(event["channel"], _CODEC.encode(event)) == event
