"""CSV that a spreadsheet opens as text: Excel, LibreOffice and Sheets take a cell that begins with `=` and the like for a formula, quoted or not."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

_FORMULAS = tuple(letter.encode() for letter in "=+-@\t\r\n\0＝＋－＠")
_QUOTE, _MARK = b'"', b"'"
_HELD = frozenset(start[:length] for start in _FORMULAS for length in range(len(start)))
"""Beginnings of a cell that don't tell yet how it begins."""


async def as_text(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same CSV, with an apostrophe in front of each text that a spreadsheet would compute, as OWASP says of CSV injection.

    Args:
        pieces: as ClickHouse writes it: text in quotes, and quotes in it doubled; numbers without, which stay as they are, negative ones too.
    """
    marking = Marking()
    async with aclosing(pieces):
        async for piece in pieces:
            yield marking.feed(piece)
    yield marking.rest()


class Marking:
    """Goes through CSV piece by piece; a piece may end anywhere, also within a letter."""

    def __init__(self) -> None:
        self._in_quotes = False
        self._after_quote = False
        """Whether the last byte so far was a quote: another one belongs to it, and begins no cell."""
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """What can be said so far."""
        first, *others = (self._held + piece).split(_QUOTE)
        self._held = b""
        written = [first]
        after_quote = self._after_quote and not first
        for number, text in enumerate(others, 1):
            begins = not self._in_quotes and not after_quote
            if begins and number == len(others) and text in _HELD:
                # Its first letter comes with the next piece.
                self._held, self._after_quote = _QUOTE + text, False
                return b"".join(written)
            self._in_quotes = not self._in_quotes
            written += (_QUOTE, _MARK if begins and text.startswith(_FORMULAS) else b"", text)
            after_quote = not text
        self._after_quote = after_quote
        return b"".join(written)

    def rest(self) -> bytes:
        """What was held back and nothing came after."""
        return self._held
