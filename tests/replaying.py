"""What tests of backtests share: the oracle's events as records, and what a backtest makes of them in the oracle's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from agents.acceptance import phone_parser
from agents.erasures import request_of
from backtest.gathering import Gathering, Installation
from backtest.records import InputRecord
from funnel.facts import Transition
from funnel.rules import RuleSet
from schemas.codec import EventCodec
from schemas.registry import FileRegistry
from tests.oracle import Declaration, TransitionRow
from tests.oracle.identity import Event
from tests.translation import SETTINGS, id_of, transition_row

CODEC = EventCodec(FileRegistry())
INSTALLATION = Installation(CODEC, SETTINGS.id_key, phone_parser(SETTINGS.phone_region), 1_000_000)
NO_TIMESTAMP = -1


def records_of(
    events: Iterable[Event], declarations: Iterable[Declaration] = (), named: Iterable[str] = ()
) -> list[InputRecord]:
    """The records that would have come of events, declarations, and of forgetting the identifiers that are named."""
    declared = [{**one._asdict(), "channel": "declaration"} for one in declarations]
    records = [
        InputRecord(event["channel"], 0, offset, NO_TIMESTAMP, None, CODEC.encode(event))
        for offset, event in enumerate((*events, *declared))
    ]
    request = request_of(SETTINGS.id_key, named=True)
    return [
        *records,
        *(InputRecord("erasure", 0, at, NO_TIMESTAMP, id_of(one), request) for at, one in enumerate(named)),
    ]


def gathered(records: Iterable[InputRecord], rules: RuleSet) -> Gathering:
    """Records, taken in."""
    gathering = Gathering(INSTALLATION, rules)
    gathering.take(records)
    gathering.seal()
    return gathering


def oracle_rows(rows_by_prospect: Iterable[tuple[bytes, Sequence[Transition]]]) -> list[TransitionRow]:
    """Rows as the oracle writes them, sorted."""
    return sorted(transition_row(prospect, row) for prospect, rows in rows_by_prospect for row in rows)


def shown_rows(rows: Iterable[TransitionRow]) -> dict[UUID, list[tuple[object, ...]]]:
    """By prospect, what of its rows says how it is treated: all but the funnel's name and version."""
    found: dict[UUID, list[tuple[object, ...]]] = {}
    for row in sorted(rows):
        found.setdefault(row.prospect_id, []).append(row[3:])
    return found
