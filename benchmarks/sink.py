"""How fast the sink is: decode and insert alone, and the whole process from Kafka to ClickHouse."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka import AIOKafkaProducer
from clickhouse_driver import Client

from benchmarks.events import ID_KEY
from funnel.facts import Facts, Standing, Transition
from journey.local_broker import EmbeddedBroker
from journey.local_clickhouse import EmbeddedClickHouse
from schemas.messages import encode_facts
from sinks.batch import Batch
from sinks.clickhouse import Writer
from sinks.config import ClickHouseConfig, SinkConfig
from sinks.facts import FactsCollector
from sinks.identifiers import Opener
from sinks.migrations import migrate
from sinks.process import Sink, tune

STAGES = ("awareness", "interest", "consideration", "purchase")
START = 1_735_689_600_000_000
ROWS_A_MESSAGE = 3
TOPIC = "facts"


def messages(count: int) -> list[bytes]:
    """So many messages as workers send them: two transitions and a standing each."""
    chance = random.Random(1)
    made = []
    for number in range(count):
        at, stage = START + number * 1_000_003, number % 3
        rows = tuple(
            Transition(
                "sales", 1, 1, step, "enter" if step == 0 else "advance", STAGES[stage] if step else "", STAGES[stage + step], at + step * 10**9,
                at, step * 1000.0, "website", f"event-{chance.getrandbits(48):x}", "web", "page_view", f"campaign-{number % 40}", "web",
                f"campaign-{number % 40}", f"account-{number % 5000}", 0, "", "", "",
            )
            for step in (0, 1)
        )  # fmt: skip
        standing = Standing("sales", 1, STAGES[stage + 1], "open", at + 10**9, at + 10**9, f"account-{number % 5000}")
        made.append(
            encode_facts(uuid.UUID(int=chance.getrandbits(128), version=5).bytes, Facts(1, rows, (), (standing,)))
        )
    return made


def decode_and_insert(values: list[bytes], address: ClickHouseConfig, batch_rows: int) -> dict[str, float]:
    """Rows a second without Kafka, by the clock and by this process's CPU; and the share of decoding."""
    records = [
        SimpleNamespace(topic=TOPIC, partition=0, offset=n, key=b"", value=value) for n, value in enumerate(values)
    ]
    writer = Writer(address)
    batch = Batch({TOPIC: FactsCollector(Opener(ID_KEY, "clear"))}, batch_rows, 2**30, 1e9)
    inserting = 0.0
    started, cpu = time.perf_counter(), time.process_time()
    for record in records:
        batch.add(record, 0.0)  # type: ignore[arg-type]  all that is read of a record is there
        if batch.is_full or record is records[-1]:
            at = time.perf_counter()
            for insert in batch.freeze().inserts:
                writer.insert(insert)
            inserting += time.perf_counter() - at
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    writer.close()
    rows = len(values) * ROWS_A_MESSAGE
    return {"rows_per_second": rows / seconds, "rows_per_cpu_second": rows / cpu, "insert_share": inserting / seconds}


async def whole_process(values: list[bytes], brokers: str, address: ClickHouseConfig, number: int) -> float:
    """Rows a second from a topic that is full already, from the first insert to the last row."""
    topic = f"facts-{number}"
    producer = AIOKafkaProducer(bootstrap_servers=brokers, linger_ms=50, max_batch_size=2**20)
    await producer.start()
    for value in values:
        await producer.send(topic, value, partition=0)
    await producer.stop()
    client = Client(address.host, port=address.port, database=address.database)
    count = "SELECT (SELECT count() FROM stage_transitions) + (SELECT count() FROM prospects)"
    before = client.execute(count)[0][0]
    wanted, first = before + len(values) * ROWS_A_MESSAGE, None
    config = SinkConfig(
        brokers,
        address,
        ID_KEY,
        facts_topic=topic,
        dead_letters_topic=f"dead-{number}",
        group=f"sink-{number}",
        session_timeout=2.0,
    )
    sink = Sink(config)
    task = asyncio.ensure_future(sink.run())
    while (now := client.execute(count)[0][0]) < wanted:
        if first is None and now > before:
            first = (time.perf_counter(), now)
        if task.done():
            task.result()
        await asyncio.sleep(0.02)
    ended = time.perf_counter()
    sink.stop()
    await task
    client.disconnect()
    assert first is not None
    return (wanted - first[1]) / (ended - first[0])


def empty(client: Client) -> None:
    """Take out all rows: merges would drop those of one key, and rows could not be counted."""
    for table in ("stage_transitions", "prospects"):
        client.execute(f"TRUNCATE TABLE {table}")


def run(*, rows: int = 300_000, rounds: int = 3, batch_rows: int = 20_000) -> dict[str, Any]:
    """Measure; medians and all rounds, in rows a second. About a minute."""
    tune()
    values = messages(rows // ROWS_A_MESSAGE)
    alone, whole = [], []
    with tempfile.TemporaryDirectory() as directory, EmbeddedClickHouse(Path(directory) / "clickhouse") as server:
        address = ClickHouseConfig(server.host, server.native_port)
        migrate(lambda database: Client(server.host, port=server.native_port, database=database))
        client = Client(server.host, port=server.native_port, database="journey")
        client.execute("SYSTEM STOP VIEWS")  # what aggregating costs is another question
        broker = EmbeddedBroker(Path(directory) / "broker.log")
        broker.start()
        try:
            for number in range(rounds):
                empty(client)
                alone.append(decode_and_insert(values, address, batch_rows))
                empty(client)
                whole.append(asyncio.run(whole_process(values, broker.bootstrap, address, number)))
        finally:
            broker.stop()
        client.disconnect()
    return {
        "rows": rows,
        "batch_rows": batch_rows,
        "decode_and_insert": {name: statistics.median(one[name] for one in alone) for name in alone[0]},
        "decode_and_insert_rounds": [one["rows_per_second"] for one in alone],
        "kafka_to_clickhouse_rows_per_second": statistics.median(whole),
        "kafka_to_clickhouse_rounds": whole,
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
