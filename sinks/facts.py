"""Topic `facts` to `stage_transitions` and `prospects`.

Rows are kept as the tuples they are decoded to and turned into columns at once, in C: building columns value by value costs more than all else here.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import repeat
from typing import Any
from uuid import UUID

from funnel.facts import Standing, Transition
from schemas.errors import Undecodable
from schemas.messages import decode_facts
from sinks.base import Insert, Record
from sinks.errors import PoisonRecordError

_KEY_AND_REVISION = ("prospect_id", "revision", "is_deleted")
_AMOUNT = Transition._fields.index("amount")


def _removed_transition(funnel: str, visit: int, step: int) -> Transition:
    return Transition(funnel, 0, visit, step, "", "", "", 0, 0, 0.0, "", "", "", "", "", "", "", "", 0, "", "", "")


def _removed_standing(funnel: str) -> Standing:
    return Standing(funnel, 0, "", "", 0, 0, "")


class _Rows:
    """Rows of one table, and beside each its prospect, revision and whether it is deleted."""

    def __init__(self, table: str, fields: tuple[str, ...]) -> None:
        self._table, self._names = table, (*fields, *_KEY_AND_REVISION)
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

    def __init__(self) -> None:
        self._transitions = _Rows("stage_transitions", Transition._fields)
        self._standings = _Rows("prospects", Standing._fields)

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
        revision, transitions, removed, standings, removed_standings, *_ = facts
        if transitions:
            self._transitions.add(prospect, revision, transitions, 0)
        if standings:
            self._standings.add(prospect, revision, standings, 0)
        if removed:
            self._transitions.add(prospect, revision, [_removed_transition(*key) for key in removed], 1)
        if removed_standings:
            self._standings.add(prospect, revision, [_removed_standing(funnel) for funnel in removed_standings], 1)
        return len(transitions) + len(standings) + len(removed) + len(removed_standings)

    def take(self) -> list[Insert]:
        """What was collected, as inserts; it is empty afterwards."""
        inserts = []
        if transitions := self._transitions.take():
            # clickhouse-driver takes a whole number for whole units, so hundredths go as decimals; 0 is 0 either way.
            transitions.columns[_AMOUNT] = [
                Decimal(amount).scaleb(-2) if amount else 0 for amount in transitions.columns[_AMOUNT]
            ]
            inserts.append(transitions)
        if standings := self._standings.take():
            inserts.append(standings)
        return inserts
