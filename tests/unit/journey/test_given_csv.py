"""journey.given_csv: what is read of files of costs and segments, and what is said of wrong ones."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from journey.errors import JourneyError
from journey.given_csv import read_segments, read_spend

HEADER = "day,channel_group,campaign,currency,amount\n"


def written(directory: Path, text: str | bytes) -> Path:
    """A file with this in it."""
    file = directory / "file.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_spend(tmp_path: Path) -> None:
    """Fields are trimmed, quoted ones may hold commas and line ends, an empty amount takes a row back."""
    text = (
        "\ufeffday, amount ,currency,campaign,channel_group\r\n"
        '2026-01-31, 12.5 ,EUR,"spring, launch",Display\r\n'
        "\r\n"
        '2026-02-01,0,USD,"a\nb",\r\n'
        "2026-02-01,,USD,gone,Email\r\n"
    )
    assert read_spend(written(tmp_path, text)) == {
        (dt.date(2026, 1, 31), "Display", "spring, launch", "EUR"): (Decimal("12.50"),),
        (dt.date(2026, 2, 1), "", "a\nb", "USD"): (Decimal("0.00"),),
        (dt.date(2026, 2, 1), "Email", "gone", "USD"): None,
    }
    assert read_spend(written(tmp_path, "day,currency,amount\n2026-01-01,EUR,1\n")) == {
        (dt.date(2026, 1, 1), "", "", "EUR"): (Decimal("1.00"),)
    }


def test_segments(tmp_path: Path) -> None:
    """An empty segment takes an account out of its own."""
    file = written(tmp_path, "segment,account_id\nEnterprise,acme\n,initech\n")
    assert read_segments(file) == {("acme",): ("Enterprise",), ("initech",): None}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2026-02-30,g,c,EUR,1", "line 3: day: expected YYYY-MM-DD"),
        ("20260201,g,c,EUR,1", "line 3: day: expected YYYY-MM-DD"),
        ("1999-12-31,g,c,EUR,1", "line 3: day: expected YYYY-MM-DD"),
        ("2026-02-01,g,c,eur,1", "line 3: currency: expected three capital letters"),
        ("2026-02-01,g,c,EUR,-1", "line 3: amount: expected a number"),
        ("2026-02-01,g,c,EUR,1.005", "line 3: amount: expected a number"),
        ('2026-02-01,g,c,EUR,"1,5"', "line 3: amount: expected a number"),
        ("2026-02-01,g,c,EUR,NaN", "line 3: amount: expected a number"),
        ("2026-02-01,g,c,EUR,1e99", "line 3: amount: expected a number"),
        ("2026-02-01,g,c,EUR", "line 3: expected as many fields as in the header"),
        ("2026-02-01,g,c,EUR,1,2", "line 3: expected as many fields as in the header"),
        ("2026-01-01,g,c,EUR,2", "line 3: expected one line of a kind; line 2 is about the same"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, line: str, told: str) -> None:
    """With their number and what was expected, and no value of them; all of them."""
    text = f"{HEADER}2026-01-01,g,c,EUR,1\n{line}\n2026-03-01,g,c,EUR,0x7f\n"
    with pytest.raises(JourneyError) as error:
        read_spend(written(tmp_path, text))
    assert told in str(error.value)
    assert "line 4: amount" in str(error.value)
    assert str(error.value).count("file.csv") == 2
    assert "0x7f" not in str(error.value)


def test_not_all_of_many_wrong_lines_are_named(tmp_path: Path) -> None:
    """Twenty are enough to know what is wrong."""
    with pytest.raises(JourneyError, match=r"line 21: .*\nand 80 more$") as error:
        read_spend(written(tmp_path, HEADER + "x,g,c,EUR,1\n" * 100))
    assert "line 22" not in str(error.value)


@pytest.mark.parametrize("read", [read_spend, read_segments])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: expected a header with"),
        ("day;currency;amount\n", "line 1: expected a header with"),
        ("day,currency,amount,account_id,segment\n", "line 1: expected a header with"),
        ("account_id,segment,segment\n", "line 1: expected a header with"),
        (b"\xff\xfe", "expected UTF-8"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, read: Callable[[Path], object], text: str | bytes, told: str) -> None:
    """They are named, and what was expected of them."""
    with pytest.raises(JourneyError, match=r"file\.csv") as error:
        read(written(tmp_path, text))
    assert told in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(JourneyError, match=r"none\.csv: expected a readable file"):
        read_spend(tmp_path / "none.csv")


def test_a_quote_that_is_not_closed(tmp_path: Path) -> None:
    """It would swallow the rest of the file."""
    with pytest.raises(JourneyError, match="expected CSV"):
        read_segments(written(tmp_path, 'account_id,segment\n"acme,Enterprise\n'))
