"""Notes of an identifier (`funnel.identity`) as bytes in the changelog: fields one after the other, as their types say."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Any, get_type_hints

from funnel.identity import NOTE_OF, Note

_INT = Struct(">q")
_LENGTH = Struct(">I")


def pack_note(note: Note) -> bytes:
    """A note as bytes."""
    parts = []
    for field in note:
        if isinstance(field, int):
            parts.append(_INT.pack(field))
        else:
            data = field.encode() if isinstance(field, str) else field
            parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def unpack_note(key: bytes, data: bytes) -> Note:
    """A note from its bytes; its key says of what kind it is."""
    kind, fields = _form(key[:1])
    found: list[Any] = []
    at = 0
    for convert in fields:
        if convert is None:
            found.append(_INT.unpack_from(data, at)[0])
            at += _INT.size
        else:
            (size,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            found.append(convert(data[at : at + size]))
            at += size
    note: Note = kind(*found)
    return note


@cache
def _form(first: bytes) -> tuple[Any, tuple[Callable[[bytes], Any] | None, ...]]:
    """What makes a note under keys that begin so, and of each field what makes it of its bytes; None: it is a number."""
    kind = NOTE_OF[first]
    convert: dict[Any, Callable[[bytes], Any] | None] = {int: None, bytes: bytes, str: bytes.decode}
    hints = get_type_hints(kind)
    return kind, tuple(convert[hints[name]] for name in kind._fields)
