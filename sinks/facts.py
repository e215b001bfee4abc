"""Topic `facts` to the tables of prospects, of their identifiers, of their stalls and of their hand-offs.

Rows are kept as the tuples they are decoded to and turned into columns at once, in C: building columns value by value costs more than all else here.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import repeat
from typing import Any
from uuid import UUID

from funnel.facts import AliasRow, Facts, Handoff, SharedRow, Stall, Standing, Transition
from funnel.identifiers import KINDS
from schemas.errors import Undecodable
from schemas.messages import decode_facts
from schemas.sealing import WrongKey
from sinks.base import Insert, Record
from sinks.errors import PoisonRecordError
from sinks.identifiers import Opener

_AMOUNT = Transition._fields.index("amount")


def _removed_transition(funnel: str, visit: int, step: int) -> Transition:
    return Transition(funnel, 0, visit, step, "", "", "", 0, 0, 0.0, "", "", "", "", "", "", "", "", 0, "", "", "")


def _removed_standing(funnel: str) -> Standing:
    return Standing(funnel, 0, "", "", 0, 0, "")


def _removed_handoff(funnel: str, visit: int, step: int, part: int) -> Handoff:
    return Handoff(funnel, visit, step, part, 0, "", "", "", "", "", "", "", "")


class _Rows:
    """Rows of one table, and beside each its prospect, revision and whether it is deleted."""

    def __init__(self, table: str, fields: tuple[str, ...], prospect: str = "prospect_id") -> None:
        """`prospect` is what the table calls the column of the id whose facts these are."""
        self._table, self._names = table, (*fields, prospect, "revision", "is_deleted")
        self._clear()

    def _clear(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.prospects: list[UUID] = []
        self.revisions: list[int] = []
        self.deleted: list[int] = []

    def add(self, prospect: UUID, revision: int, rows: tuple[tuple[Any, ...], ...] | list[Any], deleted: int) -> None:
        self.rows += rows
        self.prospects += repeat(prospect, len(rows))
        self.revisions += repeat(revision, len(rows))
        self.deleted += repeat(deleted, len(rows))

    def take(self) -> Insert | None:
        if not self.rows:
            return None
        insert = Insert(
            self._table, self._names, [*zip(*self.rows, strict=True), self.prospects, self.revisions, self.deleted]
        )
        self._clear()
        return insert


class FactsCollector:
    """Collects facts. See `sinks.base.Collector`."""

    def __init__(self, opener: Opener) -> None:
        """Args: opener: of the identifiers that come sealed."""
        self._opener = opener
        self._transitions = _Rows("stage_transitions", Transition._fields)
        self._standings = _Rows("prospects", Standing._fields)
        self._identifiers = _Rows("prospect_identifiers", ("kind", "value"))
        self._aliases = _Rows("prospect_aliases", AliasRow._fields, "old_id")
        self._shared = _Rows("shared_identifiers", SharedRow._fields, "identifier")
        self._stalls = _Rows("stalls", Stall._fields)
        self._handoffs = _Rows("handoff_parts", Handoff._fields)

    def add(self, record: Record) -> int:
        """Take one message of the topic, and tell how many rows it makes.

        Raises:
            PoisonRecordError: it is not one; names where it is.
        """
        try:
            prospect_id, facts = decode_facts(record.value or b"")
            prospect = UUID(bytes=prospect_id)
        except (Undecodable, ValueError) as error:
            raise PoisonRecordError(
                f"{record.topic}[{record.partition}] offset {record.offset} is no facts message ({error}). Only our workers write there, so one of "
                "them is broken or of a newer release. The sink stops rather than lose facts: run the newest release, or skip the record by moving "
                "the sink's group one offset on"
            ) from error
        (
            revision, transitions, removed, standings, removed_standings, identifiers, removed_identifiers, aliases,
            removed_aliases, shared, removed_shared, stalls, handoffs, removed_handoffs,
        ) = facts  # fmt: skip
        rows = len(transitions) + len(standings) + len(removed) + len(removed_standings) + len(stalls)
        # Most messages say nothing of identity; of those that do, names are opened before anything is taken.
        if identifiers or removed_identifiers or aliases or removed_aliases or shared or removed_shared:
            rows += self._add_identity(record, prospect, facts)
        if transitions:
            self._transitions.add(prospect, revision, transitions, 0)
        if standings:
            self._standings.add(prospect, revision, standings, 0)
        if removed:
            self._transitions.add(prospect, revision, [_removed_transition(*key) for key in removed], 1)
        if removed_standings:
            self._standings.add(prospect, revision, [_removed_standing(funnel) for funnel in removed_standings], 1)
        if stalls:
            self._stalls.add(prospect, revision, stalls, 0)
        if handoffs or removed_handoffs:
            self._handoffs.add(prospect, revision, handoffs, 0)
            self._handoffs.add(prospect, revision, [_removed_handoff(*key) for key in removed_handoffs], 1)
            rows += len(handoffs) + len(removed_handoffs)
        return rows

    def _add_identity(self, record: Record, prospect: UUID, facts: Facts) -> int:
        open_ = self._opener.open
        try:
            identifiers = [open_(row) for row in facts.identifiers]
            removed_identifiers = [open_(row) for row in facts.removed_identifiers]
            shared = [(KINDS[row.kind], row.seen_with) for row in facts.shared]
            removed_shared = [(KINDS[kind], 0) for kind in facts.removed_shared]
        except (WrongKey, ValueError, IndexError) as error:
            raise PoisonRecordError(
                f"{record.topic}[{record.partition}] offset {record.offset}: an identifier in these facts can't be read ({error}). The sink stops "
                "rather than lose it: give it the JOURNEY_ID_KEY of the workers"
            ) from None
        aliases = [(UUID(bytes=alias.new_id), alias.since) for alias in facts.aliases]
        removed_aliases = [(UUID(bytes=new_id), 0) for new_id in facts.removed_aliases]
        rows = 0
        for table, present, removed in (
            (self._identifiers, identifiers, removed_identifiers),
            (self._aliases, aliases, removed_aliases),
            (self._shared, shared, removed_shared),
        ):
            table.add(prospect, facts.revision, present, 0)
            table.add(prospect, facts.revision, removed, 1)
            rows += len(present) + len(removed)
        return rows

    def take(self) -> list[Insert]:
        """What was collected, as inserts; it is empty afterwards."""
        inserts: list[Insert] = []
        if transitions := self._transitions.take():
            # clickhouse-driver takes a whole number for whole units, so hundredths go as decimals; 0 is 0 either way.
            transitions.columns[_AMOUNT] = [
                Decimal(amount).scaleb(-2) if amount else 0 for amount in transitions.columns[_AMOUNT]
            ]
            inserts.append(transitions)
        others = (self._standings, self._identifiers, self._aliases, self._shared, self._stalls, self._handoffs)
        return inserts + [insert for table in others if (insert := table.take())]
