"""Lines of JSON: what they may hold, and what is said about those that don't."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from schemas.errors import Undecodable
from schemas.ndjson import parse_line

_LINE: dict[str, Any] = {
    "channel": "web",
    "event_id": "1",
    "source": "website",
    "occurred_at": "2024-05-01T12:00:00Z",
    "type": "page_view",
    "email": "jane@example.com",
}
_NOON = 1_714_564_800_000_000
_SECRET = "jane-secret"


def _parse(**changes: Any) -> dict[str, Any]:
    return parse_line(json.dumps(_LINE | changes).encode())


def _parse_raw(field: str, raw: str) -> dict[str, Any]:
    """With a value as it is written, not as Python would write it."""
    line = json.dumps({name: value for name, value in _LINE.items() if name != field})
    return parse_line(f'{line[:-1]}, "{field}": {raw}}}\n'.encode())


def test_all_fields_of_the_channel() -> None:
    """What the line has, None for the rest, no properties for missing ones, and nothing of other channels."""
    event = parse_line(json.dumps(_LINE).encode() + b"\r\n")
    assert {name: value for name, value in event.items() if value is not None} == _LINE | {
        "occurred_at": _NOON,
        "properties": {},
    }
    assert "url" in event
    assert "direction" not in event


@pytest.mark.parametrize(
    ("raw", "micros"),
    [
        ('"2024-05-01T12:00:00Z"', _NOON),
        ('"2024-05-01T14:00:00+02:00"', _NOON),
        ('"2024-05-01 12:00:00.5+00:00"', _NOON + 500_000),
        ('"2024-05-01T12:00:00.123456789Z"', _NOON + 123_456),
        ('"20240501T120000Z"', _NOON),
        ('"1969-12-31T23:59:59.999999Z"', -1),
        ("0", 0),
        ("1714564800", _NOON),
        ("1714564800.123456", _NOON + 123_456),
        ("1714564800.1234569", _NOON + 123_456),
        ("1714564800123", _NOON + 123_000),
        ("1714564800123.456", _NOON + 123_456),
        ("1714564800123456", _NOON + 123_456),
        ("1714564800123456.9", _NOON + 123_456),
        ("1.7145648e9", _NOON),
        ("-1.5", -1_500_000),
        ("-0.0000001", -1),
        ("99999999999", 99_999_999_999_000_000),
        ("99999999999.999999", 99_999_999_999_999_999),
        ("99999999999.9999999999999999999", 99_999_999_999_999_999),
        ("100000000000", 100_000_000_000_000),
        ("99999999999999", 99_999_999_999_999_000),
        ("100000000000000", 100_000_000_000_000),
        ("9223372036854775807", (1 << 63) - 1),
        ("1e-400", 0),
    ],
)
def test_times(raw: str, micros: int) -> None:
    """ISO-8601 with an offset, and epochs at both sides of each threshold, to the microsecond."""
    assert _parse_raw("occurred_at", raw)["occurred_at"] == micros


@pytest.mark.parametrize(
    ("raw", "amount"),
    [
        ("12", "12.00"),
        ("12.5", "12.50"),
        ("1.005", "1.00"),
        ("1.015", "1.02"),
        ("1.00500000000000000000000000000000000001", "1.01"),
        ("-1.005", "-1.00"),
        ("-0.001", "0.00"),
        ("1e3", "1000.00"),
        ("9999999999999999.99", "9999999999999999.99"),
        ("-9999999999999999.994", "-9999999999999999.99"),
        ('"9999999999999999.99"', "9999999999999999.99"),
        ('"12.345"', "12.34"),
        ('"+7"', "7.00"),
        ('"-0"', "0.00"),
    ],
)
def test_amounts(raw: str, amount: str) -> None:
    """Numbers and decimal strings, exact to the last digit, rounded half to even."""
    parsed = _parse_raw("amount", raw)["amount"]
    assert str(parsed) == amount
    assert isinstance(parsed, Decimal)


@pytest.mark.parametrize(
    ("field", "raw", "says"),
    [
        ("occurred_at", '"2024-05-01T12:00:00"', "occurred_at: no offset; expected ISO-8601"),
        ("occurred_at", '"2024-05-01"', "occurred_at: expected ISO-8601"),
        ("occurred_at", '"2024-05-01x12:00:00+00:00"', "occurred_at: expected ISO-8601"),
        ("occurred_at", '"jane-secret"', "occurred_at: expected ISO-8601"),
        ("occurred_at", '"1714564800"', "occurred_at: expected ISO-8601"),
        ("occurred_at", "true", "occurred_at: expected ISO-8601"),
        ("occurred_at", "null", "occurred_at: missing; expected"),
        ("occurred_at", "[1]", "occurred_at: expected ISO-8601"),
        ("occurred_at", "9223372036854775808", "occurred_at: out of range"),
        ("occurred_at", "-9223372036855", "occurred_at: out of range"),
        ("occurred_at", "1e30", "occurred_at: out of range"),
        ("occurred_at", "1" * 400, "character"),
        ("occurred_at", "NaN", "not a line of JSON"),
        ("occurred_at", "-Infinity", "not a line of JSON"),
        ("amount", "true", "amount: expected a number or a decimal string"),
        ("amount", '"jane-secret"', "amount: expected"),
        ("amount", '"1e3"', "amount: expected"),
        ("amount", '"NaN"', "amount: expected"),
        ("amount", '"١٢"', "amount: expected"),
        ("amount", '"1_000"', "amount: expected"),
        ("amount", '""', "amount: expected"),
        ("amount", "10000000000000000", "amount: expected"),
        ("amount", "9999999999999999.995", "amount: expected"),
        ("amount", "1e300", "amount: expected"),
        ("amount", "{}", "amount: expected"),
        ("event_id", "null", "event_id: missing; expected a string"),
        ("event_id", "5", "event_id: expected a string"),
        ("type", '["page_view"]', "type: expected a string"),
        ("email", "5", "email: expected a string or null"),
        ("url", "false", "url: expected a string or null"),
        ("properties", "[]", "properties: expected an object of strings"),
        ("properties", '{"plan": 5}', "properties.plan: expected a string"),
        ("properties", '{"a\\nb": null}', "properties.a\\\\nb: expected a string"),
        ("plan", '"jane-secret"', "plan: not a field of web events; put it under properties"),
        ("direction", '"outbound"', "direction: not a field of web events"),
        ("a\\u2028\\nb", "1", "a\\\\u2028\\\\nb: not a field of web events"),
        ("channel", '"fax"', "channel: expected one of web, email, call, declaration"),
        ("channel", "null", "channel: expected one of"),
        ("channel", '["web"]', "channel: expected one of"),
    ],
)
def test_wrong_values(field: str, raw: str, says: str) -> None:
    """The message names the field and what was expected, on one line, and keeps the value to itself."""
    with pytest.raises(Undecodable, match="^" + says if not says.startswith("character") else says) as caught:
        _parse_raw(field, raw)
    assert _SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("raw", ["1.5", "1830.0", "true", '"60"', "2147483648", "[]"])
def test_durations_are_whole_numbers(raw: str) -> None:
    """Calls have `duration_seconds`, an Avro int."""
    line = json.dumps(_LINE | {"channel": "call"})[:-1] + f', "duration_seconds": {raw}}}'
    with pytest.raises(Undecodable, match=r"^duration_seconds: expected a whole number"):
        parse_line(line.encode())
    assert parse_line(line.replace(raw, "60").encode())["duration_seconds"] == 60


def test_unknown_keys_without_a_value_are_ignored() -> None:
    """Exports write null for what an event doesn't have, also for fields of other channels."""
    assert _parse(direction=None, whatever=None, properties=None) == _parse()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"null",
        b"5",
        b"[]",
        b'"x"',
        b"{",
        b"{} {}",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"channel": "\xff"}',
        b'{"channel": "web", "event_id": "\\ud800"}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"channel": "web", "occurred_at": ' + b"9" * 200_000 + b"}",
        b'{"channel": "web", "amount": 1e99999999999999999999}',
    ],
)
def test_no_line_of_json(line: bytes) -> None:
    """Whatever it is, it is Undecodable: no recursion, no other error."""
    with pytest.raises(Undecodable):
        parse_line(line)


def test_a_very_long_value_is_no_trouble() -> None:
    """2 MB of digits where an amount is expected are judged in no time."""
    with pytest.raises(Undecodable, match=r"^amount"):
        _parse(amount="1" * 2_000_000)
    assert _parse(amount="0." + "1" * 2_000_000)["amount"] == Decimal("0.11")


def test_the_last_of_two_values_counts() -> None:
    """As in every JSON reader of note, also on the exact path."""
    assert _parse_raw("amount", '1.25, "amount": 2.5')["amount"] == Decimal("2.50")


_DECLARATION = {
    "channel": "declaration",
    "event_id": "d-1",
    "source": "crm",
    "occurred_at": 0,
    "type": "link",
    "weaker": "email:jane@example.com",
    "stronger": "user_id:42",
}


def test_declarations() -> None:
    """They have their own fields and none of events, but null is what is not there."""
    assert parse_line(json.dumps(_DECLARATION).encode()) == _DECLARATION
    assert parse_line(json.dumps(_DECLARATION | {"properties": None, "email": None}).encode()) == _DECLARATION


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weaker": None}, "weaker: missing; expected a string"),
        ({"stronger": 42}, "stronger: expected a string"),
        ({"email": "jane@example.com"}, "email: not a field of declaration events"),
        ({"properties": {}}, "properties: not a field of declaration events"),
    ],
)
def test_wrong_declarations(change: dict[str, object], says: str) -> None:
    """Refused with the field and what was expected; there are no properties to put things under."""
    with pytest.raises(Undecodable) as caught:
        parse_line(json.dumps(_DECLARATION | change).encode())
    assert str(caught.value) == says
