"""Removal effects in an absorbing Markov chain, exactly: by solving its linear system, not by walking it at random.

A path walks from touch to touch and ends, and what it brought (a conversion, an amount, nothing) is the reward of its last touch. The chain that is
counted from all paths has a touch's kind as its state. What it brings in the mean is the same as what the paths did; and so is, with a state taken out,
what it brings if everything that would have come to that state ends there with nothing. The share that is missing then is the state's removal effect.

With Q the probabilities between states, r the mean reward after a state and s the probabilities of the first one:
N = (I - Q)^-1 has how often each state is visited from each, W = N r what a path brings from there on, and V = s W what one brings at all. State c is
reached with probability (s N)_c / N_cc, and what is lost without it is that times W_c. So one inverse gives the effects of all states.

Steps from a state to itself change none of this, and neither do paths without a touch. (Anderl et al., Mapping the customer journey, 2016, section 3.)
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

NOTHING = 1e-12
"""Smaller effects are what rounding left of none: shares of them would be by chance. One won path in ten million has 1e-7."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What is counted from paths, of n states and m kinds of reward."""

    starts: Matrix
    """(n): paths that begin with the state."""
    moves: Matrix
    """(n, n): steps from a state to another."""
    ends: Matrix
    """(n): paths that end with the state, whatever they brought."""
    rewards: Matrix
    """(n, m): sum of what the paths that end with the state brought."""

    def collapsed(self, labels: Sequence[Hashable]) -> tuple[list[Hashable], Chain]:
        """The chain in which states of one label are one state.

        Args:
            labels: one for each state.

        Returns:
            The labels, in the order of the new states, and that chain.
        """
        names = list(dict.fromkeys(labels))
        numbers = {name: number for number, name in enumerate(names)}
        belongs = np.zeros((len(labels), len(names)))
        belongs[np.arange(len(labels)), [numbers[label] for label in labels]] = 1.0
        return names, Chain(
            belongs.T @ self.starts, belongs.T @ self.moves @ belongs, belongs.T @ self.ends, belongs.T @ self.rewards
        )


def removal_effects(chain: Chain) -> Matrix:
    """Which share of each reward would be missing without each state.

    Args:
        chain: every state of it is left at some time, as counted paths do; mean rewards are not negative.

    Returns:
        (n, m), of 0 to 1; 0 throughout for a reward that is 0 in all.
    """
    count = len(chain.starts)
    if count == 0:
        return np.zeros(chain.rewards.shape)
    moves = chain.moves.copy()
    np.fill_diagonal(moves, 0.0)
    leaving = moves.sum(axis=1) + chain.ends
    visits = np.linalg.inv(np.eye(count) - moves / leaving[:, None])
    onwards = visits @ (chain.rewards / leaving[:, None])
    starts = chain.starts / chain.starts.sum()
    reached = (starts @ visits) / np.diag(visits)
    lost = reached[:, None] * onwards
    brought = starts @ onwards
    effects: Matrix = np.zeros(lost.shape)
    np.divide(lost, brought, out=effects, where=brought > 0)
    np.clip(effects, 0.0, 1.0, out=effects)
    effects[effects < NOTHING] = 0.0
    return effects


def shares(effects: Matrix) -> Matrix:
    """Removal effects in proportion, so that those of each reward add up to 1; where all are 0 they stay so."""
    total = effects.sum(axis=0)
    found: Matrix = np.zeros(effects.shape)
    np.divide(effects, total, out=found, where=total > 0)
    return found


def shares_within(chain: Chain, labels: Sequence[Hashable]) -> Matrix:
    """The share of each state, where the states of one label share what that label gets as one state.

    So what a channel gets does not depend on how many campaigns its touches are told apart by. A label may matter of which no state does: what comes to
    it by one state would be won, in the coarser chain, by the steps that only another one has. By how often they are come to they share, then.

    Args:
        chain: as for `removal_effects`.
        labels: one for each state.

    Returns:
        (n, m); those of each reward add up to 1, or are all 0.
    """
    names, coarse = chain.collapsed(labels)
    of_labels = shares(removal_effects(coarse))
    fine = removal_effects(chain)
    touched = chain.starts + chain.moves.sum(axis=0)
    found = np.zeros_like(fine)
    for number, name in enumerate(names):
        members = [index for index, label in enumerate(labels) if label == name]
        often = np.broadcast_to(touched[members, None], fine[members].shape)
        matters = fine[members].any(axis=0)
        found[members] = shares(np.where(matters, fine[members], often)) * of_labels[number]
    return found
