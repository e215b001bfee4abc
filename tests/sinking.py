"""Plausible facts with corrections, a way to send them, and sinks to take them; `python -m tests.sinking CONFIG` runs a sink as its own process."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer

from funnel.definition import parse_funnel
from funnel.facts import Facts, Standing, Transition
from schemas.messages import encode_facts
from sinks.config import ClickHouseConfig, SinkConfig
from sinks.funnels import write_funnels
from sinks.process import Sink, run_sink
from tests.broker import Broker, unique
from tests.clickhouse import ClickHouse
from tests.generators.funnels import FunnelFile, funnel_toml
from tests.oracle import ProspectRow, TransitionRow
from tests.replacing import ReplacingModel
from tests.translation import SETTINGS, prospect_row, transition_row

Message = tuple[bytes, Facts]
HOUR = 3_600_000_000
# The last Sunday of March 2025, when clocks in Europe go forward, less some days.
START = 1_743_292_800_000_000 - 48 * HOUR
CURRENCIES = ("EUR", "USD", "")
CAMPAIGNS = ("", "spring", "Übergröße 'quoted'")


def funnel_file(name: str, timezone: str, stages: int, version: int = 1) -> FunnelFile:
    """A funnel with that many stages."""
    stage = [
        {"name": f"stage {number}", "team": "sales", "enter": [{"type": f"t{number}"}]} for number in range(stages)
    ]
    return {"name": name, "version": version, "timezone": timezone, "window": "30d", "stage": stage}


FUNNELS = (
    funnel_file("one", "UTC", 1),
    funnel_file("two", "Europe/Berlin", 4),
    funnel_file("three", "America/New_York", 5, version=7),
    funnel_file("four", "Asia/Kathmandu", 3),
    funnel_file("five", "Pacific/Apia", 2),
)


def history(chance: random.Random, funnel: FunnelFile) -> list[Transition]:
    """The rows of a prospect's visits: advances, skips, moves back and forth, repeats; won, lost, expired or still open."""
    stages = [stage["name"] for stage in funnel["stage"]]
    now = START + chance.randrange(96 * HOUR)
    rows: list[Transition] = []
    for visit in range(1, chance.randint(1, 4)):
        first = {"first_channel": chance.choice(("web", "email", "call")), "first_campaign": chance.choice(CAMPAIGNS)}
        opened, stage, step, kind = now, chance.randrange(len(stages)), 0, "enter"
        before, from_stage, to_stage = now, "", stages[stage]
        while True:
            rows.append(
                Transition(
                    funnel=funnel["name"], funnel_version=funnel["version"], visit=visit, step=step, kind=kind, from_stage=from_stage,
                    to_stage=to_stage, entered_at=now, visit_opened_at=opened, seconds_in_from=(now - before) / 1_000_000 if step else 0.0,
                    cause_source="" if kind == "expired" else "website", cause_event_id=f"event-{chance.getrandbits(40)}",
                    channel="web", type="page_view", campaign=chance.choice(CAMPAIGNS), **first, account_id=chance.choice(("", "acme")),
                    amount=chance.choice((0, 1, 1999, 10**15, -250)), currency=chance.choice(CURRENCIES),
                    reason=chance.choice(("", "price")), rep=chance.choice(("", "Zoë")),
                )
            )  # fmt: skip
            before, from_stage, step = now, to_stage if kind not in ("lost", "expired") else "", step + 1
            now += chance.choice((0, 1, chance.randrange(3 * HOUR), chance.randrange(40 * HOUR)))
            is_won = to_stage == stages[-1]
            if kind in ("lost", "expired") or step > 12 or chance.random() < 0.15:
                break
            if is_won:
                if chance.random() < 0.5:
                    break
                kind = "repeat"
                continue
            kind = chance.choice(("move", "move", "move", "back", "lost", "expired"))
            if kind in ("lost", "expired"):
                to_stage = kind
            else:
                back = kind == "back" and stage > 0
                target = chance.randrange(stage) if back else chance.randrange(stage + 1, len(stages))
                kind = "back" if back else "advance" if target == stage + 1 else "skip"
                stage, to_stage = target, stages[target]
    return rows


def conversations(seed: int, prospects: int, funnels: Iterable[FunnelFile] = FUNNELS) -> Iterator[Message]:
    """Messages of prospects whose facts are corrected up to three times, each message with what changed since the one before."""
    chance = random.Random(seed)
    for _ in range(prospects):
        prospect, revision = uuid.UUID(int=chance.getrandbits(128), version=5).bytes, 0
        chosen = chance.sample(tuple(funnels), 2)
        known: dict[Any, Transition] = {}
        standing: dict[str, Standing] = {}
        for _ in range(chance.randint(1, 4)):
            revision += chance.randint(1, 10)
            rows = {row.key: row for funnel in chosen for row in history(chance, funnel)}
            if chance.random() < 0.2:
                rows = {}
            elif known and chance.random() < 0.5:  # some things stay
                kept = chosen[0]["name"]
                rows = {key: row for key, row in rows.items() if key[0] != kept} | {
                    key: row for key, row in known.items() if key[0] == kept
                }
            stands = {name: _standing(rows, name) for name in {key[0] for key in rows}}
            yield (
                prospect,
                Facts(
                    revision,
                    tuple(row for key, row in rows.items() if known.get(key) != row),
                    tuple(sorted(set(known) - set(rows))),
                    tuple(stand for name, stand in stands.items() if standing.get(name) != stand),
                    tuple(sorted(set(standing) - set(stands))),
                ),
            )
            known, standing = rows, stands


def _standing(rows: dict[Any, Transition], funnel: str) -> Standing:
    last = max((row for row in rows.values() if row.funnel == funnel), key=lambda row: (row.visit, row.step))
    status = last.kind if last.kind in ("lost", "expired") else "open"
    stage = last.to_stage if status == "open" else ""
    return Standing(funnel, last.visit, stage, status, last.entered_at, last.entered_at, last.account_id)


def expected(messages: Iterable[Message]) -> tuple[list[TransitionRow], list[ProspectRow]]:
    """What the tables must hold after these messages, in any order and any number of times."""
    model = ReplacingModel()
    for prospect, facts in messages:
        model.insert(prospect, facts)
    transitions = sorted(transition_row(prospect, row) for (prospect, _), row in model.transitions().items())
    return transitions, sorted(prospect_row(prospect, row) for (prospect, _), row in model.standings().items())


def stored(clickhouse: ClickHouse) -> tuple[list[TransitionRow], list[ProspectRow]]:
    """What the tables hold, read as a reader would who knows of FINAL."""

    def columns(kind: type[Any], times: tuple[str, ...]) -> str:
        return ", ".join(f"toUnixTimestamp64Micro({name})" if name in times else name for name in kind._fields)

    def values(row: tuple[Any, ...]) -> Iterator[Any]:
        for value in row:
            yield tuple(value) if isinstance(value, list) else value

    transitions = columns(TransitionRow, ("entered_at", "visit_opened_at"))
    standings = columns(ProspectRow, ("stage_entered_at", "last_activity_at", "stalled_since"))
    return (
        sorted(
            TransitionRow(*values(row))
            for row in clickhouse.query(f"SELECT {transitions} FROM stage_transitions FINAL")
        ),
        sorted(ProspectRow(*row) for row in clickhouse.query(f"SELECT {standings} FROM prospects FINAL")),
    )


def holds(clickhouse: ClickHouse, wanted: tuple[list[TransitionRow], list[ProspectRow]]) -> bool:
    """Whether the tables hold exactly that. Cheap as long as they don't."""
    counts = clickhouse.query(
        "SELECT (SELECT count() FROM stage_transitions FINAL), (SELECT count() FROM prospects FINAL)"
    )
    return counts == [(len(wanted[0]), len(wanted[1]))] and stored(clickhouse) == wanted


def prepare(clickhouse: ClickHouse, funnels: Iterable[FunnelFile] = FUNNELS, *, reports: bool = False) -> None:
    """Make the tables that sinks write, and with `reports` what is counted of them; write the funnels."""
    clickhouse.migrate(reports=reports)
    client = clickhouse.client()
    write_funnels(client, [parse_funnel(funnel_toml(funnel), funnel["name"]) for funnel in funnels])
    client.disconnect()


def sink_config(broker: Broker, clickhouse: ClickHouse, **changes: Any) -> SinkConfig:
    """A sink with topics and group of its own, which retries fast. The topics are made."""
    facts, dead = unique("facts"), unique("dead-letters")
    broker.create_topics(facts, dead, partitions=3, config={"max.message.bytes": str(8 * 2**20)})
    address = ClickHouseConfig(
        clickhouse.server.host, clickhouse.server.native_port, clickhouse.database, answer_timeout=5
    )
    settings = {"max_delay": 0.1, "first_retry": 0.05, "longest_retry": 0.5, "session_timeout": 2.0} | changes
    return SinkConfig(
        broker.bootstrap,
        address,
        SETTINGS.id_key,
        facts_topic=facts,
        dead_letters_topic=dead,
        group=unique("sink"),
        **settings,
    )


@asynccontextmanager
async def producer(config: SinkConfig) -> Any:
    """A producer for the sink's topics."""
    sender = AIOKafkaProducer(bootstrap_servers=config.brokers, linger_ms=20, max_request_size=8 * 2**20)
    await sender.start()
    try:
        yield sender
    finally:
        await sender.stop()


async def send_facts(config: SinkConfig, messages: Iterable[Message]) -> None:
    """Send them, each to its prospect's partition, and wait until the broker has them."""
    async with producer(config) as sender:
        sent = [await sender.send(config.facts_topic, encode_facts(*message), key=message[0]) for message in messages]
        await asyncio.gather(*sent)


@asynccontextmanager
async def running(config: SinkConfig) -> Any:
    """A sink in this event loop; stopped at the end, and its error raised if it had one."""
    sink = Sink(config)
    task = asyncio.ensure_future(sink.run())
    try:
        yield sink, task
    finally:
        sink.stop()
        await task


async def until(
    condition: Callable[[], Any], what: str, seconds: float = 30.0, task: asyncio.Future[Any] | None = None
) -> None:
    """Wait until it is true, while the event loop goes on."""
    deadline = time.monotonic() + seconds
    while not condition():
        if task is not None and task.done():
            task.result()
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.1)  # what is asked for is mostly a query, and the server should work


def as_json(config: SinkConfig) -> str:
    """The configuration as this module's command line takes it."""
    address = config.clickhouse
    fields = {
        name: getattr(config, name) for name in SinkConfig.__slots__ if name not in ("clickhouse", "kafka_options")
    }
    plain = {"id_key": config.id_key.decode(), "clickhouse": [address.host, address.port, address.database]}
    return json.dumps(fields | plain)


def main() -> None:
    """Run a sink with the configuration that `as_json` gave."""
    given = json.loads(sys.argv[1])
    reached = ClickHouseConfig(*given["clickhouse"], answer_timeout=5)
    sys.exit(run_sink(SinkConfig(**given | {"clickhouse": reached, "id_key": given["id_key"].encode()})))


if __name__ == "__main__":
    main()
