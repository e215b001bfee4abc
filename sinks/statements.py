"""Migration files as statements, and what each statement can do to data. Reads the SQL of `sinks/tables`, not all SQL there is."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_COMMENT = re.compile(r"--[^\n]*")
_SPACE = re.compile(r"\s+")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'")
_CREATE_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) ?\(", re.IGNORECASE)
_ALTER = re.compile(r"ALTER TABLE (?:IF EXISTS )?(\w+) ", re.IGNORECASE)
_DROP = re.compile(r"(?:(?:DROP|DETACH|TRUNCATE|RENAME) TABLE|EXCHANGE TABLES) (?:IF EXISTS )?(\w+)", re.IGNORECASE)
_DELETE = re.compile(r"DELETE FROM (\w+)|OPTIMIZE TABLE (\w+)", re.IGNORECASE)
_DERIVED = re.compile(
    r"CREATE OR REPLACE VIEW \w+|CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ REFRESH |DROP VIEW IF EXISTS \w+",
    re.IGNORECASE,
)
_HARMLESS_ALTER = re.compile(
    r"ADD (?:COLUMN|INDEX|PROJECTION|CONSTRAINT) IF NOT EXISTS |MODIFY COMMENT |COMMENT COLUMN |MODIFY SETTING |RESET SETTING ",
    re.IGNORECASE,
)
_ADDED = re.compile(r"ADD COLUMN IF NOT EXISTS (\w+) ", re.IGNORECASE)
_LONGER_KEY = re.compile(r"MODIFY ORDER BY \(\w+(?:, \w+)*, (\w+)\)$", re.IGNORECASE)
_TYPE_ENDS = re.compile(r" (?:DEFAULT|MATERIALIZED|ALIAS|EPHEMERAL|CODEC|COMMENT|TTL|STATISTICS)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a migration file."""

    sql: str

    @property
    def shape(self) -> str:
        """The statement on one line, its spaces single, without its quoted text: what patterns can be matched with."""
        return _SPACE.sub(" ", _QUOTED.sub("''", self.sql)).strip()

    @property
    def is_derived(self) -> bool:
        """Whether it only makes (or remakes) something that is computed from tables: nothing can be lost by it."""
        return _DERIVED.match(self.shape) is not None

    @property
    def creates(self) -> str | None:
        """The table that it creates where there is none."""
        match = _CREATE_TABLE.match(self.shape)
        return match[1] if match else None

    @property
    def endangers(self) -> str | None:
        """The table that may lose data by it; '' where that can't be told; None where nothing can be lost."""
        if self.is_derived or self.creates:
            return None
        if match := _ALTER.match(self.shape):
            commands = [command.strip() for command in _top_level(self.shape[match.end() :])]
            return None if all(_is_harmless(command, commands) for command in commands) else match[1]
        for pattern in (_DROP, _DELETE):
            if match := pattern.match(self.shape):
                return next(group for group in match.groups() if group)
        return ""

    @property
    def columns(self) -> dict[str, str]:
        """Of a CREATE TABLE: its columns and their types, spaces taken out."""
        match = _CREATE_TABLE.match(self.shape)
        if match is None:
            return {}
        sql = _SPACE.sub(" ", self.sql).strip()
        parts = _top_level(_enclosed(sql, sql.index("(")))
        columns = {}
        for part in parts:
            name, _, rest = part.strip().partition(" ")
            columns[name] = _TYPE_ENDS.split(rest)[0].replace(" ", "")
        return columns

    @property
    def sorting_key(self) -> str:
        """Of a CREATE TABLE: what it is ordered by, spaces and brackets taken out."""
        match = re.search(r"\bORDER BY (\([^)]*\)|\w+)", self.shape, re.IGNORECASE)
        return match[1].replace(" ", "").strip("()") if match else ""

    @property
    def longer_key(self) -> tuple[str, str] | None:
        """Of an ALTER TABLE that lets a sorting key grow: the table, and what it is ordered by then, as in `sorting_key`."""
        match = _ALTER.match(self.shape)
        if match is None or self.endangers is not None or "MODIFY ORDER BY" not in self.shape.upper():
            return None
        return match[1], self.sorting_key


def split(text: str) -> tuple[Statement, ...]:
    """The statements of a file, which end with semicolons; comments are left out."""
    without_comments = _COMMENT.sub("", text)
    return tuple(Statement(part.strip()) for part in without_comments.split(";") if part.strip())


def checksum(statements: tuple[Statement, ...]) -> str:
    """What tells changed statements from the same ones with other comments or line breaks."""
    text = ";".join(_SPACE.sub(" ", statement.sql) for statement in statements)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_harmless(command: str, commands: list[str]) -> bool:
    """Whether one command of an ALTER TABLE loses nothing.

    A sorting key may grow by a column that the same statement adds: all rows have the same in it. ClickHouse refuses any that would no longer
    begin with the primary key, or grow by a column that has been there.
    """
    if key := _LONGER_KEY.match(command):
        return any((added := _ADDED.match(other)) and added[1] == key[1] for other in commands)
    return _HARMLESS_ALTER.match(command) is not None


def _enclosed(text: str, start: int) -> str:
    """What is between the bracket at `start` and the one that closes it."""
    depth = 0
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return text[start + 1 : index]
    raise ValueError(f"a bracket is not closed: {text[start : start + 60]}")


def _top_level(text: str) -> list[str]:
    """The parts between the commas that no bracket encloses."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
