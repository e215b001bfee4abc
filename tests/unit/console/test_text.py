"""What people read: short, on one line, and unable to turn the page around."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from console import text
from console.values import read_answer


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("spring", "spring"),
        ("a\u202eb\u2066c", "a b c"),
        ("a\n\tb\x00c\x1b[31m", "a b c [31m"),
        ("x" * 200, "x" * 79 + "…"),
        ("🚀 مرحبا", "🚀 مرحبا"),
        ("", ""),
    ],
)
def test_names_from_outside(value: str, expected: str) -> None:
    """Directions and control characters are gone, what is long is cut, other scripts stay."""
    assert text.plain(value) == expected


def test_numbers() -> None:
    """As people write them; nothing is a dash."""
    assert (text.number(1234567), text.number(2.5), text.number(3.0), text.number(None)) == (
        "1,234,567",
        "2.50",
        "3",
        "–",
    )
    assert (text.percent(0.5), text.percent(0.012), text.percent(0), text.percent(None)) == ("50%", "1.2%", "0%", "–")
    assert text.money(Decimal("12606619.00"), "USD") == "12,606,619 USD"
    assert text.money(Decimal("1200.5")) == "1,200.50"
    assert text.amounts({"USD": 1, "EUR": Decimal(2)}) == "2.00 EUR, 1.00 USD"
    assert text.amounts({}) == "–"
    assert (text.ratio(1, 4), text.ratio(1, 0), text.ratio(None, 2)) == (0.25, None, None)


def test_targets_have_the_unit_of_their_metric() -> None:
    """Counts, amounts and rates; nothing is a dash of each."""
    assert text.measure(20.0, "entered") == "20"
    assert text.measure(250_000.0, "revenue", "EUR") == "250,000 EUR"
    assert text.measure(0.125, "conversion_rate") == "12%"
    assert [text.measure(None, metric) for metric in ("won", "revenue", "conversion_rate")] == ["–"] * 3
    assert (text.month(date(2026, 3, 1)), text.month(None)) == ("2026-03", "–")


def test_lengths_of_time() -> None:
    """The two largest units, also of what is not over yet."""
    assert text.duration(90_061) == "1 d 1 h"
    assert text.duration(0.4) == "0 s"
    assert text.duration(-61) == "-1 min 1 s"
    now = datetime(2026, 1, 10, 12, tzinfo=UTC)
    assert text.ago(datetime(2026, 1, 2, 11, tzinfo=UTC), now) == "8 d ago"
    assert text.ago(datetime(2026, 1, 10, 11, tzinfo=UTC), now) == "1 h ago"
    assert text.ago(now, now) == "just now"


def test_clickhouses_json_by_its_types() -> None:
    """Money keeps its cents, days and times are such, maps and arrays go all the way down."""
    content = (
        b'{"meta":[{"name":"a","type":"Decimal(38, 2)"},{"name":"b","type":"Nullable(Date)"},'
        b'{"name":"c","type":"DateTime64(6, \'UTC\')"},{"name":"d","type":"Map(LowCardinality(String), Decimal(38, 2))"},'
        b'{"name":"e","type":"Array(UInt64)"},{"name":"f","type":"UInt64"},{"name":"g","type":"Nullable(Float64)"}],'
        b'"data":[[12345678901234567.89,"2026-01-31","2026-01-31 10:00:00.000001",{"EUR":1.10},["18446744073709551615"],7,null]]}'
    )
    (row,) = read_answer(content).rows
    assert row == {
        "a": Decimal("12345678901234567.89"),
        "b": date(2026, 1, 31),
        "c": datetime(2026, 1, 31, 10, 0, 0, 1, tzinfo=UTC),
        "d": {"EUR": Decimal("1.10")},
        "e": [18446744073709551615],
        "f": 7,
        "g": None,
    }
