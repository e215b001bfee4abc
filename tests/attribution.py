"""Visits to attribute, as rows that are corrected, and their credits by brute force in fractions."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from clickhouse_driver import Client

from reports.attribution import UNATTRIBUTED
from tests.sinking import funnel_file

FUNNELS = (
    funnel_file("one", "UTC", 1),
    funnel_file("two", "Europe/Berlin", 3),
    # In version 2 the last stage is another one.
    funnel_file("three", "America/New_York", 4),
    funnel_file("three", "Asia/Kathmandu", 3, version=2),
)
START = datetime(2025, 3, 28, tzinfo=UTC)
GROUPS = ("Direct", "Paid Search", "Email", "Sales Call", "")
CAMPAIGNS = ("", "spring", "Übergröße 'quoted'", "<script>")
CURRENCIES = ("EUR", "USD", "")
WEEK = timedelta(days=7)
Key = tuple[Any, ...]


class Visit(NamedTuple):
    """A visit as it is in the end. Amounts are cents; touches are (when, channel group, campaign)."""

    funnel: int
    prospect: UUID
    number: int
    status: str
    closed_at: datetime
    currency: str
    amounts: tuple[int, ...]
    touches: tuple[tuple[datetime, str, str], ...]
    """None of visits that an earlier release told of."""


def visits(seed: int, count: int) -> list[Visit]:
    """Visits of all kinds: some are won, some without touches or path; some amounts are large, 0 or below."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        closed = START + timedelta(microseconds=chance.randrange(10 * 86_400_000_000))
        # Touches may come at one moment, and long before the end.
        times = sorted(
            closed - chance.choice((1, 60, 1000)) * timedelta(hours=chance.random())
            for _ in range(chance.choice((0, 1, 1, 2, 3, 4, 7, 100)))
        )
        touches = tuple((at, chance.choice(GROUPS), chance.choice(CAMPAIGNS)) for at in times)
        amounts = tuple(chance.choice((0, 1, 1999, 10**9, -250)) for _ in range(chance.choice((1, 1, 1, 3))))
        made.append(
            Visit(
                chance.randrange(len(FUNNELS)), UUID(int=number // 3 + 1), number % 3 + 1, chance.choice(("won", "won", "lost", "expired", "open")),
                closed, chance.choice(CURRENCIES), amounts, touches,
            )
        )  # fmt: skip
    return made


Rows = list[dict[str, Any]]


def rows_of(visit: Visit, revision: int, *, deleted: bool = False) -> Rows:
    """What the sink would insert of it."""
    funnel = FUNNELS[visit.funnel]
    stages = [stage["name"] for stage in funnel["stage"]]
    key = {"funnel": funnel["name"], "prospect_id": visit.prospect, "visit": visit.number, "revision": revision}
    key["is_deleted"] = int(deleted)
    # The currency of rows that do not win it counts for nothing.
    first = {"kind": "enter", "to_stage": stages[0], "amount": 7, "currency": "XXX", "entered_at": START}
    moves = [first] if len(stages) > 1 else []
    if visit.status == "won":
        for number, amount in enumerate(visit.amounts):
            money = {
                "amount": Decimal(amount) / 100,
                "currency": "XXX" if number else visit.currency,
                "to_stage": stages[-1],
            }
            moves.append(
                {
                    "kind": "repeat" if number else "skip",
                    "entered_at": visit.closed_at + timedelta(days=40) * number,
                    **money,
                }
            )
    elif visit.status != "open":
        moves.append(first | {"kind": visit.status, "to_stage": visit.status, "entered_at": visit.closed_at})
    times, groups, names = ([touch[place] for touch in visit.touches] for place in range(3))
    closes = {"touched_at": times, "touch_channel_groups": groups, "touch_campaigns": names}
    opens: dict[str, Any] = {name: [] for name in closes}
    closing = (
        None if visit.status == "open" else len(moves) - len(visit.amounts) if visit.status == "won" else len(moves) - 1
    )
    return [
        key | {"funnel_version": funnel["version"], "step": step} | move | (closes if step == closing else opens)
        for step, move in enumerate(moves)
    ]


def corrected(before: Iterable[Visit], after: Iterable[Visit]) -> Iterator[Rows]:
    """What is told of visits, and what is told instead later: rows that are no more are taken back."""

    def key(row: Mapping[str, Any]) -> Key:
        return row["funnel"], row["prospect_id"], row["visit"], row["step"]

    later = [rows_of(visit, 9) for visit in after]
    kept = {key(row) for rows in later for row in rows}
    yield from later
    for visit in before:
        yield (earlier := rows_of(visit, 1))
        yield [row | {"revision": 9, "is_deleted": 1} for row in earlier if key(row) not in kept]


def insert(client: Client, told: Iterable[Rows]) -> None:
    """Insert in a few batches, in this order."""
    every = [row for rows in told for row in rows]
    names = tuple(every[0])
    for batch in (every[start : start + 1_500] for start in range(0, len(every), 1_500)):
        client.execute(
            f"INSERT INTO stage_transitions ({', '.join(names)}) VALUES",
            [[row[name] for name in names] for row in batch],
        )


def weights(model: str, visit: Visit, half_life: timedelta) -> list[Fraction]:
    """What each touch gets, of 1, as docs/attribution.md says."""
    touches = visit.touches
    count = len(touches)
    if model == "first":
        found = [Fraction(place == 0) for place in range(count)]
    elif model == "last":
        found = [Fraction(place == count - 1) for place in range(count)]
    elif model == "last_non_direct":
        others = [place for place, touch in enumerate(touches) if touch[1] != "Direct"] or [count - 1]
        found = [Fraction(place == others[-1]) for place in range(count)]
    elif model == "linear":
        found = [Fraction(1, count)] * count
    elif model == "time_decay":
        faded = [Fraction(2 ** ((touch[0] - touches[-1][0]) / half_life)) for touch in touches]
        found = [one / sum(faded) for one in faded]
    elif count <= 2:
        found = [Fraction(1, count)] * count
    else:
        found = [Fraction(2, 5), *[Fraction(1, 5 * (count - 2))] * (count - 2), Fraction(2, 5)]
    return found


def by_rules(made: Iterable[Visit], half_life: timedelta = WEEK) -> dict[Key, list[Fraction]]:
    """Credits by funnel, model, day, currency, channel group and campaign."""
    found: defaultdict[Key, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for visit in made:
        if visit.status != "won":
            continue
        funnel = FUNNELS[visit.funnel]
        day = visit.closed_at.astimezone(ZoneInfo(funnel["timezone"])).date()
        value = Fraction(sum(visit.amounts), 100)
        for model in ("first", "last", "last_non_direct", "linear", "time_decay", "position_based"):
            shared = (
                zip(visit.touches, weights(model, visit, half_life), strict=True)
                if visit.touches
                else [(("", "", ""), Fraction(1))]
            )
            for (_, group, campaign), weight in shared:
                if weight:
                    cell = found[funnel["name"], model, day, visit.currency, group or UNATTRIBUTED, campaign]
                    cell[0] += weight
                    cell[1] += weight * value
    return dict(found)
