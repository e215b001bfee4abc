r"""Globs of funnel files: `*` is any run of characters, `?` any one, `\` makes the next one literal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence


def compile_globs(globs: Sequence[str]) -> Callable[[str], object]:
    """A predicate that is truthy where any of the globs matches the whole string, case-sensitively."""
    literals = frozenset(text for text in map(literal, globs) if text is not None)
    patterns = [_regex(glob) for glob in globs if literal(glob) is None]
    if not patterns:
        return literals.__contains__
    match = re.compile("|".join(patterns), re.DOTALL).fullmatch
    if not literals:
        return match
    return lambda text: text in literals or match(text)


def literal(glob: str) -> str | None:
    """The one string a glob without wildcards matches; None for a glob with some."""
    tokens = _tokens(glob)
    return None if any(wild for _, wild in tokens) else "".join(character for character, _ in tokens)


def _tokens(glob: str) -> list[tuple[str, bool]]:
    """(character, whether it is a wildcard); a backslash at the very end stands for itself."""
    tokens = []
    characters = iter(glob)
    for character in characters:
        if character == "\\":
            tokens.append((next(characters, "\\"), False))
        else:
            tokens.append((character, character in "*?"))
    return tokens


def _regex(glob: str) -> str:
    segments = [""]
    for character, wild in _tokens(glob):
        if wild and character == "*":
            segments.append("")
        else:
            segments[-1] += "." if wild else re.escape(character)
    if len(segments) == 1:
        return f"(?:{segments[0]})"
    first, *middle, last = segments
    # Taking each middle segment where it first occurs, for good (atomic), loses no match and keeps a hostile
    # string from costing more than its length times the number of stars.
    return f"(?:{first}{''.join(f'(?>.*?{segment})' for segment in middle if segment)}.*{last})"
