"""CSV files that people load: what campaigns cost, and which segment an account is in."""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from journey.errors import JourneyError
from sinks.given import Key

MOST_LINES = 1_000_000
"""More don't fit into one insert, which is what makes a file count as a whole or not at all."""
_MOST_TOLD = 20
_CURRENCY = re.compile(r"[A-Z]{3}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_FIRST_DAY, _LAST_DAY = dt.date(2000, 1, 1), dt.date(2149, 6, 6)  # up to what ClickHouse's Date can hold
_MOST_MONEY = Decimal(10) ** 15
_CENT = Decimal("0.01")

Line = Mapping[str, str]


def read_spend(path: Path) -> dict[Key, Key | None]:
    """What campaigns cost: columns `day` (YYYY-MM-DD), `channel_group`, `campaign`, `currency`, `amount`.

    Returns:
        Of (day, channel_group, campaign, currency) the amount; None where the amount is empty, which takes the row back.

    Raises:
        JourneyError: the file can't be read, or some of its lines are wrong: each of them is named with its number.
    """
    return _read(path, ("day", "currency", "amount"), ("channel_group", "campaign"), _spend)


def read_segments(path: Path) -> dict[Key, Key | None]:
    """Which segment accounts are in: columns `account_id`, `segment`.

    Returns:
        Of (account_id,) the segment; None where it is empty: the account is in none.

    Raises:
        JourneyError: as `read_spend`.
    """
    return _read(path, ("account_id", "segment"), (), _segment)


def _spend(line: Line) -> tuple[Key, Key | None]:
    day, currency = line["day"], line["currency"]
    if not _CURRENCY.fullmatch(currency):
        raise ValueError("currency: expected three capital letters, such as EUR")
    return (_day(day), line["channel_group"], line["campaign"], currency), _amount(line["amount"])


def _segment(line: Line) -> tuple[Key, Key | None]:
    if not line["account_id"]:
        raise ValueError("account_id: expected one, as on the events")
    return (line["account_id"],), (line["segment"],) if line["segment"] else None


def _day(text: str) -> dt.date:
    try:
        day = dt.date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not _FIRST_DAY <= day <= _LAST_DAY:
        raise ValueError("day: expected YYYY-MM-DD, from 2000 on")
    return day


def _amount(text: str) -> tuple[Decimal] | None:
    if not text:
        return None
    try:
        amount = Decimal(text)
        cents = amount.quantize(_CENT) if 0 <= amount <= _MOST_MONEY else None
    except InvalidOperation:
        cents = None
    if cents is None or cents != amount:
        raise ValueError("amount: expected a number from 0 on with at most two decimals, such as 1250.50")
    return (cents,)


def _read(
    path: Path,
    required: tuple[str, ...],
    optional: tuple[str, ...],
    parse: Callable[[Line], tuple[Key, Key | None]],
) -> dict[Key, Key | None]:
    rows: dict[Key, Key | None] = {}
    line_of: dict[Key, int] = {}
    wrong: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, fields in _lines(csv.reader(file, strict=True), path, required, optional):
                if len(line_of) >= MOST_LINES:
                    raise JourneyError(f"{path}: line {number}: expected at most {MOST_LINES:,} lines: split the file")
                try:
                    key, values = parse(_named(fields))
                except ValueError as error:
                    wrong.append(f"line {number}: {error}")
                    continue
                if key in line_of:
                    wrong.append(f"line {number}: expected one line of a kind; line {line_of[key]} is about the same")
                rows[key] = values
                line_of.setdefault(key, number)
    except UnicodeDecodeError:
        raise JourneyError(f"{path}: expected UTF-8") from None
    except OSError as error:
        raise JourneyError(f"{path}: expected a readable file ({error.strerror})") from error
    except csv.Error as error:
        raise JourneyError(f"{path}: expected CSV, fields in double quotes where need be ({error})") from error
    if wrong:
        more = f"\nand {len(wrong) - _MOST_TOLD:,} more" if len(wrong) > _MOST_TOLD else ""
        told = "\n".join(f"{path}: {one}" for one in wrong[:_MOST_TOLD])
        raise JourneyError(told + more, hint="nothing was loaded: mend these lines and load the file again")
    return rows


def _lines(
    reader: Any, path: Path, required: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str] | None]]:
    """The lines below the header with their numbers, fields by name; None for fields where there are too many or too few."""
    known = ", ".join((*required, *optional))
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in required if name not in header]
    unknown = [name for name in header if name not in (*required, *optional)]
    if missing or unknown or len(set(header)) < len(header):
        raise JourneyError(f"{path}: line 1: expected a header with {known}, separated by commas, each once")
    while True:
        number = reader.line_num + 1
        fields = next(reader, None)
        if fields is None:
            return
        if not fields:  # an empty line
            continue
        texts = [field.strip() for field in fields]
        named = {**dict.fromkeys(optional, ""), **dict(zip(header, texts, strict=False))}
        yield number, named if len(texts) == len(header) else None


def _named(fields: Line | None) -> Line:
    if fields is None:
        raise ValueError("expected as many fields as in the header")
    return fields
