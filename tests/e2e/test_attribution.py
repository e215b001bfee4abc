"""`journey attribute`, once and as a process that stays."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from journey.ports import free_port
from sinks.refresh import refresh
from tests.attribution import START, Visit, insert, rows_of
from tests.broker import LOOPBACK
from tests.clickhouse import ClickHouse
from tests.e2e.harness import journey, start, wait_until
from tests.integration.test_views_attribution import prepared


@pytest.mark.slow
def test_attribute_once_and_again(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """Once tells of how much; with `--every` it works shares out by itself, serves its health, and ends when asked to."""
    touch = START - timedelta(hours=1)
    with prepared(clickhouse) as client:
        visit = Visit(0, UUID(int=1), 1, "won", START, "EUR", (100,), ((touch, "Email", "spring"),))
        insert(client, [rows_of(visit, 1)])
        refresh(client)
        address = f"clickhouse://default:@{LOOPBACK}:{clickhouse.server.native_port}/{clickhouse.database}"
        said = journey("attribute", cwd=tmp_path, env={"JOURNEY_CLICKHOUSE": address})
        assert said.startswith("2 shares of 1 funnels")
        credited = client.execute("SELECT channel_group, campaign, conversions, value FROM attribution WHERE model = 'markov'")  # fmt: skip
        assert credited == [("Email", "spring", 1.0, 1.0)]
        ((first,),) = client.execute("SELECT max(run) FROM attribution_shares")
        port = str(free_port())
        running = start(["attribute", "--every", "1m"], tmp_path, JOURNEY_CLICKHOUSE=address, JOURNEY_METRICS_PORT=port)
        try:
            wait_until(lambda: _is_ready(port), "shares that were worked out again")
            ((second,),) = client.execute("SELECT max(run) FROM attribution_shares")
            assert second > first
            running.send_signal(signal.SIGTERM)
            out, err = running.communicate(timeout=30)
            assert (running.returncode, out) == (0, "")
            assert "attribution_done: 2 shares" in err
        finally:
            running.kill()
            running.wait()


def _is_ready(port: str) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False
