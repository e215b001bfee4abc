"""Values as people read them. What comes from outside is text only, of a bounded length, and can't steer the page."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from console.filters import NONE

LONGEST_SHOWN = 80
"""Characters of a name in a page; the whole of it is in the CSV."""
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
NOTHING = "–"


def plain(value: object, longest: int = LONGEST_SHOWN) -> str:
    """Text from outside on one line: without control characters and those that turn the direction of what follows, and cut."""
    letters = []
    for letter in str(value):
        if letter in _DIRECTIONS or unicodedata.category(letter) in ("Cc", "Cs"):
            letter = " "  # noqa: PLW2901  replaced
        letters.append(letter)
        if len(letters) > longest:
            break
    text = " ".join("".join(letters).split())
    return text if len(letters) <= longest else text[: longest - 1].rstrip() + "…"


def name_of(value: object) -> str:
    """A channel, campaign or the like; those without one have a name, too."""
    return plain(value) or NONE


def number(value: Any) -> str:
    """A count, or a number with at most two digits behind the point."""
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    text = f"{value:,.2f}"
    return text.removesuffix(".00")


def money(value: Any, currency: str = "") -> str:
    """An amount with its currency."""
    if value is None:
        return NOTHING
    amount = Decimal(str(value))
    shown = f"{amount:,.0f}" if abs(amount) >= 10_000 or not amount else f"{amount:,.2f}"
    return f"{shown} {plain(currency, 8)}".rstrip()


def amounts(value: Mapping[str, Any] | None) -> str:
    """Amounts by currency."""
    return ", ".join(money(amount, currency) for currency, amount in sorted((value or {}).items())) or NOTHING


def percent(value: Any) -> str:
    """A share between 0 and 1."""
    if value is None:
        return NOTHING
    share = float(value)
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def ratio(part: Any, whole: Any) -> float | None:
    """A share; None of nothing."""
    return float(part) / float(whole) if part is not None and whole else None


def duration(seconds: Any) -> str:
    """A length of time: its two largest units."""
    if seconds is None:
        return NOTHING
    left = round(float(seconds))
    sign, left = ("-", -left) if left < 0 else ("", left)
    parts: list[str] = []
    for unit, size in _UNITS:
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return sign + " ".join(parts[:2])


def moment(value: datetime | None) -> str:
    """A time, to the minute, in UTC."""
    return NOTHING if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def day(value: date | None) -> str:
    """A day."""
    return NOTHING if value is None else value.isoformat()


def month(value: date | None) -> str:
    """A month, by any of its days."""
    return NOTHING if value is None else f"{value:%Y-%m}"


def measure(value: Any, metric: str, currency: str = "") -> str:
    """A target or how far it is: a rate, an amount or a count, by the metric that it is of."""
    if metric == "conversion_rate":
        return percent(value)
    if metric == "revenue":
        return money(value, currency)
    return number(value)


def toml(value: str) -> str:
    """A text as it stands in a TOML file."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def ago(value: datetime | None, now: datetime) -> str:
    """How long ago."""
    if value is None:
        return NOTHING
    seconds = (now - value).total_seconds()
    return (
        "just now"
        if abs(seconds) < 60
        else f"{duration(seconds).rsplit(' ', 2)[0] if seconds >= 86_400 * 2 else duration(seconds)} ago"
    )
