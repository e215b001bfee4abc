"""Events as lines of JSON (contract, section 1): what `journey produce` reads."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Any, NamedTuple, NoReturn

import orjson

from funnel.events import Event
from schemas.catalog import SUBJECT_OF_CHANNEL, current
from schemas.errors import Undecodable
from schemas.model import Primitive, Union

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_LONG, _MAX_LONG = -(1 << 63), (1 << 63) - 1
_MIN_INT, _MAX_INT = -(1 << 31), (1 << 31) - 1
_SECONDS_BELOW, _MILLISECONDS_BELOW = Decimal(10**11), Decimal(10**14)
_FINEST = Decimal("1e-12")
_CENT, _NO_AMOUNT, _AMOUNT_LIMIT = Decimal("0.01"), Decimal("0.00"), Decimal(10**16)
_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_EXACT = Context(prec=60, traps=[])
"""Room for every amount and time that is in range; nothing traps, as ranges are checked first."""
_SHOWN = 60
"""Characters of a key that a message shows."""
_TIME = "expected ISO-8601 with an offset (2024-05-01T12:00:00Z), or an epoch number"
_AMOUNT = "expected a number or a decimal string, of at most 16 digits before the point"


class _Plan(NamedTuple):
    """What an event of one channel may hold."""

    empty: Event
    required: tuple[str, ...]
    strings: tuple[str, ...]
    """Those that may be null."""
    ints: tuple[str, ...]
    has_amount: bool
    has_properties: bool


def _plan(channel: str) -> _Plan:
    fields = current(SUBJECT_OF_CHANNEL[channel]).schema.fields
    optional = {field.name: field.type.branches[1] for field in fields if isinstance(field.type, Union)}
    return _Plan(
        {"channel": channel} | {field.name: None for field in fields},
        tuple(field.name for field in fields if field.type == Primitive("string")),
        tuple(name for name, type_ in optional.items() if type_ == Primitive("string")),
        tuple(name for name, type_ in optional.items() if type_ == Primitive("int")),
        "amount" in optional,
        any(field.name == "properties" for field in fields),
    )


_PLANS = {channel: _plan(channel) for channel in SUBJECT_OF_CHANNEL}


def parse_line(line: bytes) -> Event:
    """The event in one line of JSON, its line end included or not.

    All fields of its channel are there, None where the line has none. Times finer than a microsecond
    are cut, amounts rounded half-even to two places. Raises Undecodable, naming the field and what was
    expected, never the value; nothing else, whatever the bytes.
    """
    try:
        read = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Undecodable(f"not a line of JSON (character {error.pos + 1})") from None
    if type(read) is not dict:
        raise Undecodable("not a JSON object")
    channel = read.get("channel")
    plan = _PLANS.get(channel) if type(channel) is str else None
    if plan is None:
        raise Undecodable(f"channel: expected one of {', '.join(_PLANS)}")
    event = plan.empty | read
    if len(event) != len(plan.empty):
        _drop_unknown(event, plan)
    for name in plan.required:
        if type(event[name]) is not str:
            raise Undecodable(f"{name}: {_missing(event[name])}expected a string")
    for name in plan.strings:
        value = event[name]
        if value is not None and type(value) is not str:
            raise Undecodable(f"{name}: expected a string or null")
    for name in plan.ints:
        value = event[name]
        if value is not None and (type(value) is not int or not _MIN_INT <= value <= _MAX_INT):
            raise Undecodable(f"{name}: expected a whole number of at most 32 bits, or null")
    if plan.has_properties:
        event["properties"] = _properties(event["properties"])
    occurred_at, amount = event["occurred_at"], event["amount"] if plan.has_amount else None
    if type(occurred_at) is float or type(amount) is float:
        # A float has lost digits that rounding and thresholds need: read the numbers again, exactly.
        exact = _read_exactly(line)
        occurred_at = exact["occurred_at"]
        amount = exact.get("amount") if plan.has_amount else None
    event["occurred_at"] = _micros(occurred_at)
    if amount is not None:
        event["amount"] = _amount(amount)
    return event


def _drop_unknown(event: Event, plan: _Plan) -> None:
    for name in [name for name in event if name not in plan.empty]:
        if event.pop(name) is not None:
            shown = json.dumps(name[:_SHOWN])[1:-1]  # escapes what would not stay on one line
            where = "; put it under properties" if plan.has_properties else ""
            raise Undecodable(f"{shown}: not a field of {event['channel']} events{where}")


def _properties(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if type(value) is not dict:
        raise Undecodable("properties: expected an object of strings")
    for name, text in value.items():
        if type(text) is not str:
            raise Undecodable(f"properties.{json.dumps(name[:_SHOWN])[1:-1]}: expected a string")
    return value


def _missing(value: Any) -> str:
    return "missing; " if value is None else ""


def _read_exactly(line: bytes) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(line.decode(), parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):  # ArithmeticError: an exponent beyond Decimal's
        raise Undecodable("a number is out of range") from None
    return read


def _micros(value: Any) -> int:
    """Microseconds since the epoch, UTC."""
    if type(value) is str:
        return _iso_micros(value)
    if type(value) is int:
        if not _MIN_LONG <= value <= _MAX_LONG:
            _refuse_time("out of range; ")
        micros = (
            value * 1_000_000 if value < _SECONDS_BELOW else value * 1_000 if value < _MILLISECONDS_BELOW else value
        )
    elif type(value) is Decimal:
        if not _MIN_LONG <= value <= _MAX_LONG:
            _refuse_time("out of range; ")
        factor = 1_000_000 if value < _SECONDS_BELOW else 1_000 if value < _MILLISECONDS_BELOW else 1
        whole = value.to_integral_value(ROUND_FLOOR, _EXACT)
        fraction = _EXACT.subtract(value.quantize(_FINEST, ROUND_FLOOR, _EXACT), whole)
        micros = int(whole) * factor + int(_EXACT.multiply(fraction, Decimal(factor)))
    else:
        _refuse_time(_missing(value))
    if not _MIN_LONG <= micros <= _MAX_LONG:
        _refuse_time("out of range; ")
    return micros


def _iso_micros(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        # Python takes any character between date and time.
        if "T" not in text and " " not in text and "t" not in text:
            _refuse_time("")
        if moment.tzinfo is None:
            _refuse_time("no offset; ")
        since = moment - _EPOCH
    except (ValueError, OverflowError) as error:
        if isinstance(error, Undecodable):
            raise
        _refuse_time("")
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _refuse_time(why: str) -> NoReturn:
    raise Undecodable(f"occurred_at: {why}{_TIME}") from None


def _amount(value: Any) -> Decimal:
    """With two places."""
    if type(value) is int or (type(value) is str and _DECIMAL.fullmatch(value)):
        value = Decimal(value)
    if type(value) is not Decimal or not -_AMOUNT_LIMIT < value < _AMOUNT_LIMIT:
        raise Undecodable(f"amount: {_AMOUNT}")
    rounded = value.quantize(_CENT, ROUND_HALF_EVEN, _EXACT)
    if not -_AMOUNT_LIMIT < rounded < _AMOUNT_LIMIT:  # rounding can add a digit
        raise Undecodable(f"amount: {_AMOUNT}")
    return rounded or _NO_AMOUNT
