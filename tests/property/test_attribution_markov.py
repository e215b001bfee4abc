"""The Markov model against brute force in fractions: removal effects, what they do not depend on, and shares."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reports.markov import Chain, removal_effects, shares, shares_within
from tests.property.effort import tries

STATES = "abcd"


class Walk(NamedTuple):
    """The touches of a closed visit, and what it brought."""

    touches: str
    won: int
    amount: int


def chain_of(paths: Iterable[Walk]) -> tuple[list[str], Chain]:
    """The chain that paths are counted to, of the states that they have."""
    paths = list(paths)
    names = sorted({touch for path in paths for touch in path.touches})
    numbers = {name: number for number, name in enumerate(names)}
    count = len(names)
    chain = Chain(np.zeros(count), np.zeros((count, count)), np.zeros(count), np.zeros((count, 2)))
    for path in paths:
        if path.touches:
            places = [numbers[touch] for touch in path.touches]
            chain.starts[places[0]] += 1
            chain.ends[places[-1]] += 1
            chain.rewards[places[-1]] += (path.won, path.amount)
            for source, target in itertools.pairwise(places):
                chain.moves[source, target] += 1
    return names, chain


def brought(paths: Sequence[Walk], without: str = "") -> list[Fraction]:
    """What a walk through the counted chain brings in the mean, where what comes to a state of `without` ends there. By elimination, in fractions."""
    names = sorted({touch for path in paths for touch in path.touches})
    leaving: Counter[str] = Counter()
    steps: defaultdict[str, Counter[str]] = defaultdict(Counter)
    rewards: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    starts: Counter[str] = Counter()
    for path in paths:
        if path.touches:
            starts[path.touches[0]] += 1
            rewards[path.touches[-1]] = [
                a + b for a, b in zip(rewards[path.touches[-1]], (path.won, path.amount), strict=True)
            ]
            leaving[path.touches[-1]] += 1
            for source, target in zip(path.touches, path.touches[1:], strict=False):
                steps[source][target] += 1
                leaving[source] += 1
    kept = [name for name in names if name not in without]
    # W = r + Q W, a row for each state that is kept.
    rows = [
        [Fraction(source == target) - Fraction(steps[source][target], leaving[source]) for target in kept]
        + [Fraction(reward, leaving[source]) for reward in rewards[source]]
        for source in kept
    ]
    for column in range(len(kept)):
        pivot = next(row for row in range(column, len(kept)) if rows[row][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for row in range(len(kept)):
            if row != column and rows[row][column]:
                factor = rows[row][column]
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[column], strict=True)]
    onwards = {name: rows[number][len(kept) :] for number, name in enumerate(kept)}
    total = sum(starts.values())
    return [sum((Fraction(starts[name], total) * onwards[name][kind] for name in kept), Fraction(0)) for kind in (0, 1)]


def effects_by_hand(paths: Sequence[Walk]) -> list[list[float]]:
    """Each state's removal effect on wins and on amounts."""
    whole = brought(paths)
    names = sorted({touch for path in paths for touch in path.touches})
    return [
        [
            float(1 - left / all_of_it) if all_of_it else 0.0
            for left, all_of_it in zip(brought(paths, without), whole, strict=True)
        ]
        for without in names
    ]


PATHS = st.lists(
    st.builds(
        lambda touches, won, amount: Walk(touches, won, amount if won else 0),
        st.text(STATES, max_size=6),
        st.integers(0, 1),
        st.integers(0, 1_000),
    ),
    min_size=1,
    max_size=12,
).filter(lambda paths: any(path.touches for path in paths))


@given(PATHS)
@tries(100)
def test_equals_brute_force(paths: list[Walk]) -> None:
    """The closed form is what solving the chain without each state gives, in fractions."""
    _, chain = chain_of(paths)
    assert removal_effects(chain) == pytest.approx(np.array(effects_by_hand(paths)), abs=1e-9)


@given(PATHS, st.randoms(use_true_random=False))
@tries(40)
def test_neither_order_nor_repetition_matters(paths: list[Walk], chance: random.Random) -> None:
    """Paths in another order, each touch told twice in a row, and paths without touches change nothing."""
    changed = [path._replace(touches="".join(touch * chance.randint(1, 3) for touch in path.touches)) for path in paths]
    changed += [Walk("", 1, 5), Walk("", 0, 0)]
    chance.shuffle(changed)
    _, chain = chain_of(paths)
    _, other = chain_of(changed)
    assert removal_effects(other) == pytest.approx(removal_effects(chain), abs=1e-9)


@given(PATHS)
# After "c" nothing is won, but where "a" and "b" are one, something is: "c" matters only then.
@example([Walk("cca", 0, 0), Walk("bdbd", 1, 19)])
@tries(40)
def test_shares_are_a_whole(paths: list[Walk]) -> None:
    """Shares of what was brought add up to 1, of nothing to 0; and what a label gets is what it would get as one state."""
    names, chain = chain_of(paths)
    labels = ["x" if name in "ab" else name for name in names]
    within = shares_within(chain, labels)
    for kind in (0, 1):
        anything = any(path.touches and (path.won, path.amount)[kind] for path in paths)
        assert within[:, kind].sum() == pytest.approx(float(anything), abs=1e-12)
    _, merged = chain_of([path._replace(touches=path.touches.replace("b", "a")) for path in paths])
    coarse = shares(removal_effects(merged))
    for kind in (0, 1):
        of_x = sum(within[number, kind] for number, label in enumerate(labels) if label == "x")
        assert of_x == pytest.approx(coarse[0, kind] if "x" in labels else 0.0, abs=1e-9)


def test_by_hand() -> None:
    """Three won paths and a lost one, worked out on paper in docs/attribution.md."""
    names, chain = chain_of([Walk("ab", 1, 100), Walk("b", 1, 50), Walk("ba", 1, 200), Walk("a", 0, 0)])
    # s = (1/2, 1/2); a: 1/3 to b, 1/3 won, 1/3 lost; b: 1/3 to a, 2/3 won. V = 3/4 wins.
    assert names == ["a", "b"]
    effects = removal_effects(chain)
    assert effects[:, 0] == pytest.approx([1 - Fraction(1, 3) / Fraction(3, 4), 1 - Fraction(1, 6) / Fraction(3, 4)])
    # A win after a is worth 200, one after b 75 in the mean: V = 350 / 4.
    assert effects[:, 1] == pytest.approx([1 - 25 / 87.5, 1 - Fraction(100, 3) / Fraction(175, 2)])
