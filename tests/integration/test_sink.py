"""The sink on a real broker and a real ClickHouse."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from journey.local_clickhouse import EmbeddedClickHouse
from sinks import metrics
from sinks.config import SinkConfig
from sinks.errors import PoisonRecordError, SinkError
from tests.broker import Tansu, wait_until
from tests.clickhouse import ClickHouse, fresh_database
from tests.sinking import (
    as_json,
    conversations,
    expected,
    holds,
    prepare,
    producer,
    running,
    send_facts,
    sink_config,
    stored,
    until,
)
from tests.warm import Process


@pytest.fixture
def own_clickhouse(tmp_path: Path) -> Iterator[ClickHouse]:
    """A server that the test may stop and kill, with an empty database."""
    with EmbeddedClickHouse(tmp_path / "clickhouse") as server, fresh_database(server) as clickhouse:
        yield clickhouse


def rows_in(clickhouse: ClickHouse) -> int:
    """Rows in the two tables of facts, replaced ones among them."""
    return sum(
        row[0]
        for row in clickhouse.query("SELECT count() FROM stage_transitions UNION ALL SELECT count() FROM prospects")
    )


def metric(counter: Any, *labels: str) -> float:
    """A metric's value now."""
    return float((counter.labels(*labels) if labels else counter)._value.get())


async def test_shuffled_and_doubled_facts_give_each_row_once(tansu: Tansu, clickhouse: ClickHouse) -> None:
    """Corrections and tombstones in any order, some twice, in batches of any size: the tables hold exactly the last of each key."""
    prepare(clickhouse)
    messages = list(conversations(seed=11, prospects=400))
    shuffled = messages + random.Random(2).sample(messages, len(messages) // 2)
    random.Random(3).shuffle(shuffled)
    config = sink_config(tansu, clickhouse, max_rows=700)
    async with running(config) as (_, task):
        await send_facts(config, shuffled)
        wanted = expected(messages)
        await until(lambda: holds(clickhouse, wanted), "all rows are there", task=task)


async def test_offsets_are_committed_so_that_a_new_sink_goes_on(tansu: Tansu, clickhouse: ClickHouse) -> None:
    """A sink that follows another of its group inserts only what came since."""
    prepare(clickhouse)
    messages = list(conversations(seed=12, prospects=60))
    half = len(messages) // 2
    config = sink_config(tansu, clickhouse)
    await send_facts(config, messages[:half])
    async with running(config) as (_, task):
        await until(lambda: holds(clickhouse, expected(messages[:half])), "the first half", task=task)
    before = metric(metrics.MESSAGES, config.facts_topic)
    await send_facts(config, messages[half:])
    async with running(config) as (_, task):
        await until(lambda: holds(clickhouse, expected(messages)), "both halves", task=task)
    assert before == half
    assert metric(metrics.MESSAGES, config.facts_topic) == len(messages)


async def test_dead_letters_keep_their_bytes_and_do_not_double(tansu: Tansu, clickhouse: ClickHouse) -> None:
    """Any bytes come out as they went in; a letter sent again replaces itself; one without headers is known by its own place."""
    prepare(clickhouse)
    config = sink_config(tansu, clickhouse)
    big = random.Random(1).randbytes(2_000_000)
    letters = [(b"\xff\x00'", b"\x00\xfe\n\\"), (None, b""), (b"key", big)]

    def headers(offset: int) -> list[tuple[str, bytes]]:
        return [
            ("__connect.errors.topic", b"web-events"),
            ("__connect.errors.partition", b"3"),
            ("__connect.errors.offset", b"%d" % offset),
            ("__connect.errors.exception.message", "not Avro: ü".encode()),
            ("journey.reason", b"undecodable"),
            ("journey.stage", b"intake"),
        ]

    async with running(config) as (_, task):
        async with producer(config) as sender:
            for _ in range(2):
                for offset, (key, value) in enumerate(letters):
                    await sender.send_and_wait(config.dead_letters_topic, value, key=key, headers=headers(offset))
            bare = await sender.send_and_wait(config.dead_letters_topic, b"bare", partition=1)
            odd = await sender.send_and_wait(
                config.dead_letters_topic, b"odd", partition=1, headers=[("__connect.errors.offset", b"x")]
            )
        await until(lambda: metric(metrics.MESSAGES, config.dead_letters_topic) == 8, "all letters are in", task=task)
    client = clickhouse.client(strings_as_bytes=True)
    rows = client.execute(
        "SELECT origin_topic, origin_partition, origin_offset, reason, stage, message, key, value FROM dead_letters FINAL ORDER BY origin_topic, origin_offset"
    )
    client.disconnect()
    web = [
        (b"web-events", 3, n, b"undecodable", b"intake", "not Avro: ü".encode(), key or b"", value)
        for n, (key, value) in enumerate(letters)
    ]
    own = config.dead_letters_topic.encode()
    assert rows == sorted(
        [*web, (own, 1, bare.offset, b"", b"", b"", b"", b"bare"), (own, 1, odd.offset, b"", b"", b"", b"", b"odd")],
        key=lambda row: row[:3],
    )


async def test_a_message_that_is_none_stops_the_sink_where_it_is(tansu: Tansu, clickhouse: ClickHouse) -> None:
    """What lies before it is inserted and committed; the error names topic, partition and offset; it is still there at the next start."""
    prepare(clickhouse)
    config = sink_config(tansu, clickhouse, max_delay=60.0)
    messages = list(conversations(seed=13, prospects=5))
    await send_facts(config, messages)
    async with producer(config) as sender:
        place = await sender.send_and_wait(config.facts_topic, b"\x00\x00\x00\x00\x01garbage", partition=2)
    for _ in range(2):
        with pytest.raises(PoisonRecordError, match=rf"{config.facts_topic}\[2\] offset {place.offset} "):
            async with running(config) as (_, task):
                await asyncio.wait_for(asyncio.shield(task), 30)
    # Other partitions may be behind it in the same fetch, but nothing before it in its own is missing.
    kept = {row.prospect_id.bytes for row in stored(clickhouse)[1]}
    assert kept <= {prospect for prospect, _ in messages}


async def test_an_outage_of_some_seconds_pauses_the_sink_and_loses_nothing(
    tansu: Tansu, own_clickhouse: ClickHouse
) -> None:
    """ClickHouse is killed under load and away: the sink holds one batch, stays in its group, says so, and goes on when it is back."""
    clickhouse, server = own_clickhouse, own_clickhouse.server
    prepare(clickhouse)
    config = sink_config(tansu, clickhouse, max_rows=200)
    messages = list(conversations(seed=14, prospects=400))
    retries = metric(metrics.RETRIES)
    with capture_logs() as logs:
        async with running(config) as (_, task):
            sending = asyncio.ensure_future(send_facts(config, messages))
            await until(lambda: rows_in(clickhouse) > 500, "the load is flowing", task=task)
            server.kill()
            await until(lambda: metric(metrics.PAUSED) == 1, "the sink is paused", task=task)
            for _ in range(50):  # five seconds of outage
                await asyncio.sleep(0.1)
                assert 0 < metric(metrics.BATCH_ROWS) < 2 * config.max_rows
                assert not task.done()
            await sending
            await asyncio.to_thread(server.start)
            wanted = expected(messages)
            await until(lambda: holds(clickhouse, wanted), "all rows are there", task=task)
            assert metric(metrics.PAUSED) == 0
    assert metric(metrics.RETRIES) > retries
    events = [log["event"] for log in logs]
    assert "sink_resumed" in events
    assert events.count("sink_assigned") == 1, "it stayed in its group all the time"


async def test_killed_in_the_middle_of_inserts(tansu: Tansu, own_clickhouse: ClickHouse) -> None:
    """SIGKILL while the server is at an insert, three times over: nothing lost, nothing double."""
    clickhouse, server = own_clickhouse, own_clickhouse.server
    prepare(clickhouse)
    config = sink_config(tansu, clickhouse, max_rows=2000)
    messages = list(conversations(seed=15, prospects=700))
    wanted = expected(messages)
    loads = messages * 3
    random.Random(1).shuffle(loads)
    caught = 0

    def inserting() -> bool:
        return clickhouse.query("SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO%'") != [(0,)]

    async with running(config) as (_, task):
        sending = asyncio.ensure_future(send_facts(config, loads))
        while caught < 3 and not (sending.done() and holds(clickhouse, wanted)):
            if await asyncio.to_thread(inserting):
                server.kill()
                caught += 1
                await asyncio.to_thread(server.start)
        await sending
        await until(lambda: holds(clickhouse, wanted), "all rows are there", task=task)
    assert caught == 3


async def test_partitions_that_move_are_read_by_the_other_sink(tansu: Tansu, clickhouse: ClickHouse) -> None:
    """Sinks join and leave the group under load, with small batches: every row is there once."""
    prepare(clickhouse)
    config = sink_config(tansu, clickhouse, max_rows=100)
    messages = list(conversations(seed=16, prospects=400))
    wanted = expected(messages)
    async with running(config) as (_, task):
        sending = asyncio.ensure_future(send_facts(config, messages))
        await until(lambda: rows_in(clickhouse) > 100, "the first sink works", task=task)
        with capture_logs() as logs:
            async with running(config) as (_, second):
                await until(
                    lambda: any(log["event"] == "sink_assigned" and log["partitions"] for log in logs),
                    "partitions move",
                    task=second,
                )
                await sending
                await until(lambda: rows_in(clickhouse) > 1000, "both work", task=second)
        await until(lambda: holds(clickhouse, wanted), "all rows are there", task=task)


async def test_a_refusal_is_said_at_each_attempt(tansu: Tansu, clickhouse: ClickHouse) -> None:
    """A table that refuses is tried again with the server's words in the log, and goes through once someone mended it."""
    prepare(clickhouse)
    config = sink_config(tansu, clickhouse)
    messages = list(conversations(seed=17, prospects=10))
    clickhouse.query("ALTER TABLE prospects ADD CONSTRAINT never CHECK visit > 1000000")
    with capture_logs() as logs:
        async with running(config) as (_, task):
            await send_facts(config, messages)
            refusals = lambda: [log for log in logs if log["event"] == "sink_insert_failed"]  # noqa: E731  short
            await until(lambda: len(refusals()) >= 3, "three refusals", task=task)
            clickhouse.query("ALTER TABLE prospects DROP CONSTRAINT never")
            await until(lambda: holds(clickhouse, expected(messages)), "all rows are there", task=task)
    for log in refusals():
        assert log["log_level"] == "error"
        assert log["table"] == "prospects"
        assert "never" in log["error"]
        assert "Stack trace" not in log["error"]


async def test_without_kafka_the_error_says_so(tansu: Tansu, clickhouse: ClickHouse) -> None:
    """A broker that is not there at the start is named."""
    config = sink_config(tansu, clickhouse)
    config = type(config)(**{name: getattr(config, name) for name in config.__slots__} | {"brokers": "127.0.0.1:1"})
    with pytest.raises(SinkError, match=r"no Kafka at 127\.0\.0\.1:1"):
        async with running(config) as (_, task):
            await task


async def test_told_to_stop_it_inserts_what_it_has(tansu: Tansu, clickhouse: ClickHouse) -> None:
    """A batch that is neither full nor due is inserted and committed before the sink leaves."""
    prepare(clickhouse)
    config = sink_config(tansu, clickhouse, max_delay=600.0)
    messages = list(conversations(seed=18, prospects=20))
    rows = sum(
        len(facts.transitions) + len(facts.removed) + len(facts.standings) + len(facts.removed_standings)
        for _, facts in messages
    )
    await send_facts(config, messages)
    async with running(config) as (_, task):
        await until(lambda: metric(metrics.BATCH_ROWS) == rows, "everything is read", task=task)
        assert rows_in(clickhouse) == 0
    assert holds(clickhouse, expected(messages))


def sink_process(config: SinkConfig) -> subprocess.Popen[str]:
    """A sink as a process of its own that has its partitions."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sinking", as_json(config)], stdout=subprocess.PIPE, text=True
    )
    wait_for_line(process, "sink_assigned")
    return process


def wait_for_line(process: subprocess.Popen[str], word: str) -> None:
    """Read what it prints up to a line with that word."""
    assert process.stdout is not None
    assert any(word in line for line in process.stdout), f"it ended without {word}"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_told_to_stop_exits_with_0(tansu: Tansu, clickhouse: ClickHouse, how: signal.Signals) -> None:
    """SIGTERM and SIGINT: it leaves its group and ends well within 10 s."""
    prepare(clickhouse)
    process = sink_process(sink_config(tansu, clickhouse))
    try:
        process.send_signal(how)
        assert process.wait(10) == 0
        wait_for_line(process, "sink_stopped")
    finally:
        process.kill()
        process.communicate()


def test_a_process_stops_in_time_while_clickhouse_is_silent(tansu: Tansu, own_clickhouse: ClickHouse) -> None:
    """A server that is stopped but not dead answers nothing: the sink gives up its batch uncommitted and exits with 0 within 10 s."""
    clickhouse, server = own_clickhouse, own_clickhouse.server
    prepare(clickhouse)
    config = sink_config(tansu, clickhouse)
    messages = list(conversations(seed=19, prospects=20))
    process = sink_process(config)
    pid = server.pid
    assert pid is not None
    try:
        os.kill(pid, signal.SIGSTOP)
        asyncio.run(send_facts(config, messages))
        wait_for_line(process, "sink_insert_failed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        os.kill(pid, signal.SIGCONT)
        process.kill()
        process.communicate()

    async def rest() -> None:
        async with running(config) as (_, task):
            await until(lambda: holds(clickhouse, expected(messages)), "the next sink inserts it", task=task)

    asyncio.run(rest())


def test_a_killed_sink_leaves_nothing_behind(tansu: Tansu, clickhouse: ClickHouse) -> None:
    """SIGKILL of the sink itself between insert and commit, again and again under load: nothing lost, nothing double."""
    prepare(clickhouse)
    config = sink_config(tansu, clickhouse, max_rows=100)
    messages = list(conversations(seed=20, prospects=200))
    asyncio.run(send_facts(config, messages))
    wanted = expected(messages)
    for _ in range(3):
        before = rows_in(clickhouse)
        process = Process("tests.sinking", as_json(config), None)
        try:
            wait_until(
                lambda before=before: rows_in(clickhouse) > before or holds(clickhouse, wanted),
                seconds=60,
                what="the sink inserts",
                every=0.2,
            )
        finally:
            process.kill()
            process.wait()

    async def rest() -> None:
        async with running(config) as (_, task):
            await until(lambda: holds(clickhouse, wanted), "all rows are there", seconds=60, task=task)

    asyncio.run(rest())
