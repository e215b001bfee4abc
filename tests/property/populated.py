"""What the tests of whole populations share: telling differences, and making a case that has some smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.generators import smallest
from tests.generators.populations import PopulationCase


def differing(what: str, expected: dict[Any, Any], found: dict[Any, Any]) -> list[str]:
    """A line for each key with other values."""
    return [
        f"{what} {key}: expected {expected.get(key)}, found {found.get(key)}"
        for key in sorted(expected.keys() | found.keys(), key=repr)
        if expected.get(key) != found.get(key)
    ]


def check(difference: Callable[..., str], case: PopulationCase, seed: int, *, crashes: int, stray: bool) -> None:
    """Fail with the smallest case that still differs, if there is a difference ('': there is none)."""
    wrong = difference(case, seed, crashes=crashes, stray=stray)
    if wrong:
        small = smallest(case, lambda smaller: difference(smaller, seed, crashes=crashes, stray=stray) != "")
        wrong = difference(small, seed, crashes=crashes, stray=stray)
        raise AssertionError(f"seed {seed}: {small}\n{wrong}")
