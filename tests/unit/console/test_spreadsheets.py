"""No text of a download is a formula, and nothing else is another than it was."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.spreadsheets import as_text

Cell = str | int
_FORMULAS = "=+-@\t\r\n\0＝＋－＠"
_LETTERS = st.text(alphabet=_FORMULAS + "\"',a é🚀", max_size=6)
_TABLES = st.lists(st.lists(_LETTERS | st.integers(), min_size=1, max_size=4), min_size=1, max_size=6)


def written(table: Sequence[Sequence[Cell]]) -> bytes:
    """As ClickHouse writes it: text in quotes, numbers without."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(table)
    return text.getvalue().encode()


async def through(content: bytes, ends: Sequence[int] = ()) -> bytes:
    """What comes out where it goes in by pieces that end there."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        borders = [0, *sorted(end % (len(content) + 1) for end in ends), len(content)]
        for start, end in itertools.pairwise(borders):
            yield content[start:end]

    return b"".join([piece async for piece in as_text(pieces())])


@pytest.mark.parametrize("start", _FORMULAS)
async def test_formulas_become_text(start: str) -> None:
    """Each beginning that OWASP names, in the first and the last column."""
    rows = [["name", "note"], [f"{start}1+1", "a"], ["b", start]]
    marked = [["name", "note"], [f"'{start}1+1", "a"], ["b", f"'{start}"]]
    assert await through(written(rows)) == written(marked)


async def test_numbers_stay_numbers() -> None:
    """Negative ones too; so does text that has a sign further on, or a quote before it."""
    content = b'"n","t"\n-5,"a=b"\n-0.5,"""=1"\n\\N," =1"\n'
    assert await through(content) == content


@given(_TABLES, st.lists(st.integers(0, 10_000), max_size=5))
async def test_whatever_is_in_it_and_wherever_it_is_cut(table: list[list[Cell]], ends: list[int]) -> None:
    """Commas, quotes and lines in text begin no cell; a piece that ends within one, or within a letter, changes nothing."""
    marked = [
        [f"'{cell}" if isinstance(cell, str) and cell.startswith(tuple(_FORMULAS)) else cell for cell in row]
        for row in table
    ]
    assert await through(written(table), ends) == written(marked)
