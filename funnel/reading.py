"""Values of a TOML document: each as what it has to be, or an error with file, key and what was expected."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from funnel.durations import UNIT_SECONDS, parse_duration


class FunnelError(ValueError):
    """A funnel file is wrong; says in which file, at which key, and what was expected there."""

    def __init__(self, file: str, key: str, expected: str) -> None:
        super().__init__(f"{file}: {key}: {expected}" if key else f"{file}: {expected}")
        self.file, self.key, self.expected = file, key, expected


def text_in(path: Path) -> str:
    """What a file says. Raises FunnelError where it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FunnelError(str(path), "", f"expected a readable UTF-8 file ({error})") from error


def document_in(text: str, file: str) -> dict[str, Any]:
    """A TOML document. Raises FunnelError, which calls it `file`, where it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FunnelError(file, "", f"expected valid TOML ({error})") from error


class Reading:
    """Reads one document; every method takes the key it stands at, for errors."""

    def __init__(self, file: str) -> None:
        self._file = file

    def _wrong(self, key: str, expected: str) -> FunnelError:
        return FunnelError(self._file, key, expected)

    def _whole(self, value: object, key: str, *, least: int) -> int:
        if type(value) is not int or value < least:
            raise self._wrong(key, f"expected a whole number of at least {least}")
        if value > 1_000_000_000:
            raise self._wrong(key, "expected a whole number of at most 1000000000")
        return value

    def _duration(self, value: object, key: str, unit_seconds: Mapping[str, int] = UNIT_SECONDS) -> int:
        try:
            return parse_duration(value, unit_seconds)
        except ValueError as error:
            raise self._wrong(key, str(error)) from error

    def _name(self, value: object, key: str) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, "expected a non-empty string")
        return value

    def _one_of(self, value: object, key: str, known: Sequence[str]) -> str:
        if not isinstance(value, str) or value not in known:
            raise self._wrong(key, f"expected one of {', '.join(known)}")
        return value

    def _globs(self, value: object, key: str) -> tuple[str, ...]:
        globs = value if isinstance(value, list) else [value]
        if not globs or not all(isinstance(glob, str) for glob in globs):
            raise self._wrong(key, "expected a string or a list of strings (globs: * and ? are special)")
        return tuple(globs)

    def _list(self, value: object, key: str) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise self._wrong(key, "expected a list")
        return list(value)

    def _table(self, value: object, key: str, known: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._wrong(key, f"expected a table with {', '.join(known)}")
        self._only(value, key, known)
        return value

    def _only(self, table: Mapping[str, Any], key: str, known: tuple[str, ...]) -> None:
        for name in table:
            if name not in known:
                raise self._wrong(f"{key}.{name}" if key else name, f"expected one of {', '.join(known)}")
