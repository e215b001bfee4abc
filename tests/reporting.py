"""Populations for the reports: events through the real actors, what these tell of them into ClickHouse, and what must be true of it all."""

from __future__ import annotations

import datetime as dt
import random
import time
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

from clickhouse_driver import Client

from funnel.channels import ChannelRules, load_channels
from funnel.definition import parse_funnel
from funnel.facts import Facts, Transition
from funnel.rules import RuleSet
from sinks.facts import _removed_standing, _removed_transition
from sinks.funnels import write_funnels
from sinks.refresh import refresh
from tests.clickhouse import ClickHouse
from tests.generators import generate_population
from tests.generators.funnels import CHANNEL_RULES
from tests.oracle import Truth, truth_of
from tests.oracle.clauses import FunnelFile
from tests.oracle.visits import DAY, Visit, visits_of
from tests.replacing import ReplacingModel
from tests.simulator import Simulator, terms_of
from tests.sinking import Message
from tests.translation import SETTINGS

PRESETS = Path(__file__).resolve().parents[1] / "funnels"
DAYS = 87
"""As many as `lateness` lets come in any order, less a few."""


def preset(name: str, timezone: str, **changes: Any) -> str:
    """Give the text of a preset with another time zone, its durations changed, and how accounts stand."""
    text = (PRESETS / f"{name}.toml").read_text().replace('timezone = "UTC"', f'timezone = "{timezone}"')
    for old, new in changes.items():
        text = text.replace(f'{old} = "', f'{old} = "{new}" # "', 1)
    return text


FUNNELS = (
    preset("sales", "America/New_York"),
    preset("three-step", "Asia/Kathmandu"),  # whose days begin at a quarter to
    preset("b2b", "Europe/Berlin", window="20d") + '\n[accounts]\npolicy = "majority"\n',
)
FILES: list[FunnelFile] = [tomllib.loads(text) for text in FUNNELS]


def group_of(row: Any) -> str:
    """Give a channel group to the event that opened the visit of a row: which one it is doesn't matter here, but that it is kept apart does."""
    if row.first_channel == "call":
        return "Sales Call"
    return ("Email", "Paid Search", "Organic Search", "")[
        crc32(f"{row.first_channel}{row.first_campaign}".encode()) % 4
    ]


class Population(NamedTuple):
    """Events, and what must be true of them."""

    events: list[dict[str, Any]]
    truth: Truth
    visits: list[Visit]
    now: int

    @property
    def accounts(self) -> list[str]:
        """Give the accounts that there are."""
        return sorted({row.account_id for row in self.truth.transitions} - {""})


def population(seed: int, people: int, events: int) -> Population:
    """Make a population up to now, with merges, differing copies and duplicates; more of them buy than usual, and some buy again."""
    now = time.time_ns() // 1000
    made = generate_population(seed, events, people, now - (DAYS + 1) * DAY, days=DAYS)
    for event in made:  # copies have their original's event_id, so they stay copies
        chance = crc32(event["event_id"].encode()) % 100
        if event["type"] == "page_view" and chance < 12:
            event |= {
                "type": "purchase",
                "amount": Decimal(100 + chance * 37).scaleb(-2),
                "currency": ("EUR", "USD")[chance % 2],
            }
    truth = truth_of(made, FILES, SETTINGS, now)
    return Population(made, truth, visits_of(truth.transitions, FILES, group_of), now)


class _Noting(ReplacingModel):
    """Tables that note what they are told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Message] = []

    def insert(self, prospect: bytes, facts: Facts) -> None:
        """Take a message."""
        super().insert(prospect, facts)
        self.told.append((prospect, facts))


def messages_of(people: Population, seed: int) -> list[Message]:
    """Give what the actors tell when the events arrive in a random order: rows, corrections of them, and that some are no more."""
    rng = random.Random(seed)
    arriving = list(people.events)
    rng.shuffle(arriving)
    simulator = Simulator(
        terms_of(RuleSet(map(parse_funnel, FUNNELS), channels=ChannelRules(load_channels([CHANNEL_RULES])))),
        rng,
        crashes=0,
        partitions=2,
    )
    simulator.tables = tables = _Noting()
    simulator.deliver(arriving)
    simulator.tick_until(people.now)
    return tables.told


def prepare(clickhouse: ClickHouse, funnels: Iterable[str] = FUNNELS) -> Client:
    """Make tables, views and the funnels' stages; give a client."""
    clickhouse.migrate()
    client = clickhouse.client()
    write_funnels(client, [parse_funnel(text) for text in funnels])
    return client


def insert(client: Client, messages: list[Message], seed: int) -> None:
    """Insert what was told in a random order, some of it twice, in parts of chance size, which stay apart: whoever forgets FINAL is found out."""
    for table in ("stage_transitions", "prospects"):
        client.execute(f"SYSTEM STOP MERGES {table}")
    rng = random.Random(seed)
    arriving = messages + rng.sample(messages, len(messages) // 5)
    rng.shuffle(arriving)
    while arriving:
        size = rng.randint(1, max(2, len(messages) // 4))
        some, arriving = arriving[:size], arriving[size:]
        moves = []
        standings = []
        for prospect, facts in some:
            whose = {"prospect_id": UUID(bytes=prospect), "revision": facts.revision}
            moves += [{**_columns(row), **whose, "is_deleted": 0} for row in facts.transitions]
            moves += [{**_columns(_removed_transition(*key)), **whose, "is_deleted": 1} for key in facts.removed]
            standings += [{**row._asdict(), **whose, "is_deleted": 0} for row in facts.standings]
            standings += [
                {**_removed_standing(name)._asdict(), **whose, "is_deleted": 1} for name in facts.removed_standings
            ]
        put(client, "stage_transitions", moves)
        put(client, "prospects", standings)


def put(client: Client, table: str, rows: list[Mapping[str, Any]]) -> None:
    """Insert rows."""
    if rows:
        client.execute(f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES", [tuple(row.values()) for row in rows])


def _columns(row: Transition) -> dict[str, Any]:
    return {**row._asdict(), "amount": Decimal(row.amount).scaleb(-2), "first_channel_group": group_of(row)}


def read(client: Client, view: str, *, order: int | None = None) -> tuple[list[tuple[Any, ...]], int]:
    """Give the rows of a view, times as microseconds, sorted by so many columns (all of them if None), and the clock by which they are so."""
    columns = client.execute(f"DESCRIBE TABLE {view}")
    named = ", ".join(
        f"toUnixTimestamp64Micro({name})"
        if "DateTime64" in kind
        else f"round({name}, 6)"
        if "_seconds" in name or name.startswith("seconds_")
        else name
        for name, kind, *_ in columns
    )
    rows = client.execute(f"SELECT {named}, toUnixTimestamp64Micro(now64(6)) FROM {view}")
    now = rows[0][-1] if rows else time.time_ns() // 1000
    return sorted((row[:-1] for row in rows), key=lambda row: row[:order]), now


def up_to_now(client: Client) -> None:
    """Bring the aggregates up to now."""
    refresh(client)


def days_ago(now: int, days: int) -> dt.date:
    """Give the day in UTC so many days before an instant."""
    return (dt.datetime.fromtimestamp(now / 1_000_000, dt.UTC) - dt.timedelta(days=days)).date()
