"""A model of `ReplacingMergeTree(revision, is_deleted)` read with FINAL, fed with the messages of topic `facts`."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from funnel.facts import STALL, Facts, Handoff, HandoffKey, RowKey, Stall, Standing, Transition
from tests.translation import IdentityFacts


class ContradictionError(AssertionError):
    """Two inserts gave one key different contents under one revision: which one is kept would be chance."""


class ReplacingTable:
    """Keeps, for each key, the row of the highest revision; a tombstone is a row like any other."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, tuple[int, Any]] = {}

    def insert(self, key: Hashable, revision: int, row: Any) -> None:
        """Insert a row; None is a tombstone.

        Raises:
            ContradictionError: the key has another row of the same revision.
        """
        kept = self._rows.get(key)
        if kept is not None and kept[0] == revision and kept[1] != row:
            raise ContradictionError(f"{key} has at revision {revision} both {kept[1]} and {row}")
        if kept is None or revision > kept[0]:
            self._rows[key] = (revision, row)

    def final(self) -> dict[Any, Any]:
        """Give the rows that FINAL shows."""
        return {key: row for key, (_, row) in self._rows.items() if row is not None}


class ReplacingModel:
    """The tables that facts fill. Inserts may come in any order and any number of times."""

    def __init__(self) -> None:
        self._transitions = ReplacingTable()
        self._standings = ReplacingTable()
        self._identifiers = ReplacingTable()
        self._aliases = ReplacingTable()
        self._shared = ReplacingTable()
        self._stalls = ReplacingTable()
        self._handoffs = ReplacingTable()

    def insert(self, prospect: bytes, facts: Facts) -> None:
        """Insert what one message says."""
        for transition in facts.transitions:
            self._transitions.insert((prospect, transition.key), facts.revision, transition)
        for key in facts.removed:
            self._transitions.insert((prospect, key), facts.revision, None)
        for standing in facts.standings:
            self._standings.insert((prospect, standing.funnel), facts.revision, standing)
        for funnel in facts.removed_standings:
            self._standings.insert((prospect, funnel), facts.revision, None)
        for identifier in facts.identifiers:
            self._identifiers.insert((prospect, identifier), facts.revision, identifier)
        for identifier in facts.removed_identifiers:
            self._identifiers.insert((prospect, identifier), facts.revision, None)
        for alias in facts.aliases:
            self._aliases.insert((prospect, alias.new_id), facts.revision, alias)
        for new_id in facts.removed_aliases:
            self._aliases.insert((prospect, new_id), facts.revision, None)
        for shared in facts.shared:
            self._shared.insert((prospect, shared.kind), facts.revision, shared)
        for kind in facts.removed_shared:
            self._shared.insert((prospect, kind), facts.revision, None)
        for stall in facts.stalls:
            self._stalls.insert((prospect, stall.key), facts.revision, stall)
        for handoff in facts.handoffs:
            self._handoffs.insert((prospect, handoff[:4]), facts.revision, handoff)
        for part in facts.removed_handoffs:
            self._handoffs.insert((prospect, part), facts.revision, None)

    def transitions(self) -> dict[tuple[bytes, RowKey], Transition]:
        """Give the rows of `stage_transitions` by (prospect, key)."""
        return self._transitions.final()

    def standings(self) -> dict[tuple[bytes, str], Standing]:
        """Give the rows of `prospects` by (prospect, funnel)."""
        return self._standings.final()

    def handoffs(self) -> dict[tuple[bytes, HandoffKey], Handoff]:
        """Give the rows of `handoff_parts` by (prospect, key)."""
        return self._handoffs.final()

    def stalls(self) -> dict[tuple[bytes, tuple[str, int, str, int, str]], Stall]:
        """Give the rows of `stalls` by (prospect, key)."""
        return self._stalls.final()

    def going_on(self, kind: str = STALL) -> dict[tuple[bytes, str], list[int]]:
        """Give the deadlines of the rows of `stalls` of a kind that nothing ended, by (prospect, funnel)."""
        found: dict[tuple[bytes, str], list[int]] = {}
        for (prospect, _), stall in self.stalls().items():
            if stall.resolved_at is None and stall.kind == kind:
                found.setdefault((prospect, stall.funnel), []).append(stall.deadline)
        return found

    def identity(self) -> IdentityFacts:
        """Give the rows of identity, keyed as the oracle's are."""
        return IdentityFacts(self._identifiers.final(), self._aliases.final(), self._shared.final())
