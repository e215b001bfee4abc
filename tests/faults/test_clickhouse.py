"""ClickHouse away for a minute under load: what the sink, as a process of its own, does with its memory and with the rows."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from journey.local_clickhouse import EmbeddedClickHouse
from tests.broker import Tansu, wait_until
from tests.clickhouse import fresh_database
from tests.sinking import as_json, conversations, expected, holds, prepare, send_facts, sink_config
from tests.warm import Process

MIB = 2**20
OUTAGE_SECONDS = 60.0


def memory_of(pid: int) -> int:
    """Bytes of a process that are in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} is gone")


@pytest.mark.slow
def test_a_minute_without_clickhouse_under_load(tansu: Tansu, tmp_path: Path) -> None:
    """Killed under load and away for 60 s while far more arrives than the sink may hold: nothing lost, nothing double, memory bounded."""
    with EmbeddedClickHouse(tmp_path / "clickhouse") as server, fresh_database(server) as clickhouse:
        prepare(clickhouse)
        config = sink_config(tansu, clickhouse, max_rows=2000, fetch_bytes=256 * 1024)
        messages = list(conversations(seed=31, prospects=1500))
        wanted = expected(messages)
        asyncio.run(send_facts(config, messages[: len(messages) // 10]))
        sink = Process("tests.sinking", as_json(config), None)
        try:
            wait_until(
                lambda: clickhouse.query("SELECT count() FROM prospects") > [(0,)],
                seconds=60,
                what="the load is flowing",
            )
            server.kill()
            before, sent = memory_of(sink.pid), 0
            ends = time.monotonic() + OUTAGE_SECONDS
            highest = before
            while time.monotonic() < ends:
                if sent < 200 * MIB:
                    asyncio.run(send_facts(config, messages))
                    sent += sum(200 * len(facts.transitions) + 150 for _, facts in messages)
                else:
                    time.sleep(0.2)  # the outage goes on; there is nothing to wait for
                assert sink.poll() is None, "the sink must not give up"
                highest = max(highest, memory_of(sink.pid))
            assert sent >= 50 * MIB, "the load must be more than the sink may hold"
            assert highest - before < 40 * MIB
            server.start()
            wait_until(lambda: holds(clickhouse, wanted), seconds=120, what="all rows are there")
        finally:
            sink.terminate()
            assert sink.wait(30) == 0
