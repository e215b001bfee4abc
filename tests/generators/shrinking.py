"""A smallest part of a failing case: Hypothesis can't shrink what was drawn by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

AnyCase = TypeVar("AnyCase", bound=Any)
"""A NamedTuple with lists of `events` and `funnels`, and perhaps `declarations`."""
OPTIONAL = ("timezone", "calendar", "rest", "wake", "activity", "lost", "back", "snooze")
"""Keys that a funnel can do without."""


def smallest(case: AnyCase, fails: Callable[[AnyCase], bool]) -> AnyCase:
    """Give a smallest part of a failing case that still fails: large pieces are tried first, then single things."""
    parts = [name for name in ("declarations", "events", "funnels") if hasattr(case, name)]
    shrinking = True
    while shrinking:
        shrinking = False
        for part in parts:
            shorter = _shortest(
                getattr(case, part),
                0 if part == "declarations" else 1,
                lambda kept, part=part, case=case: fails(case._replace(**{part: kept})),  # type: ignore[misc] # mypy can't infer lambdas with defaults
            )
            if len(shorter) < len(getattr(case, part)):
                case, shrinking = case._replace(**{part: shorter}), True
    return _with_plainer_funnels(case, fails)


def _with_plainer_funnels(case: AnyCase, fails: Callable[[AnyCase], bool]) -> AnyCase:
    """Leave out of funnels what they need not have, and all clauses of a stage but one."""
    for at in range(len(case.funnels)):
        for key in OPTIONAL:
            plainer = {name: value for name, value in case.funnels[at].items() if name != key}
            case = _if_it_fails(case, at, plainer, fails)
        for number, stage in enumerate(case.funnels[at]["stage"]):
            for clause in stage["enter"]:
                stages = list(case.funnels[at]["stage"])
                stages[number] = {**stage, "enter": [clause]}
                case = _if_it_fails(case, at, {**case.funnels[at], "stage": stages}, fails)
    return case


def _if_it_fails(case: AnyCase, at: int, funnel: dict[str, Any], fails: Callable[[AnyCase], bool]) -> AnyCase:
    """Put a funnel in the place of another if the case still fails."""
    if funnel == case.funnels[at]:
        return case
    smaller: AnyCase = case._replace(funnels=[*case.funnels[:at], funnel, *case.funnels[at + 1 :]])
    return smaller if fails(smaller) else case


def _shortest(whole: Sequence[Any], least: int, fails: Callable[[list[Any]], bool]) -> list[Any]:
    """Leave out pieces, ever smaller ones, while what is left still fails."""
    kept = list(whole)
    size = max(1, len(kept) // 2)
    while True:
        at = 0
        while at < len(kept):
            without = kept[:at] + kept[at + size :]
            if len(without) >= least and fails(without):
                kept = without
            else:
                at += size
        if size == 1:
            return kept
        size = max(1, size // 2)
