"""How long dead letters are kept is what the setting says, on a real server."""

from __future__ import annotations

from pydantic import SecretStr

from funnel.definition import load_funnels
from journey.clickhouse import prepare
from journey.funnel_files import funnel_paths
from journey.settings import Settings
from tests.clickhouse import ClickHouse
from tests.e2e.harness import wait_until

DAY = 86_400


def ttl_seconds(clickhouse: ClickHouse) -> int:
    """What the server itself takes the TTL for."""
    ((text,),) = clickhouse.query(
        "SELECT extract(engine_full, 'TTL (.*?) SETTINGS') FROM system.tables WHERE database = currentDatabase() AND name = 'dead_letters'"
    )
    ((seconds,),) = clickhouse.query(
        f"SELECT dateDiff('second', toDateTime(written_at), {text}) FROM (SELECT now64(3) AS written_at)"
    )
    return int(seconds)


def test_migrate_sets_the_retention_where_it_differs(clickhouse: ClickHouse) -> None:
    """The first time, and when the setting changes; else nothing is altered. Letters that are too old then go, others stay."""
    url = f"clickhouse://default:@{clickhouse.server.host}:{clickhouse.server.native_port}/{clickhouse.database}"
    settings = Settings(clickhouse=SecretStr(url))
    funnels = load_funnels(funnel_paths(["sales"]))
    assert "dead letters are kept 14d" in prepare(settings, funnels)
    assert ttl_seconds(clickhouse) == 14 * DAY
    assert prepare(settings, funnels) == []
    for days in (1, 10):
        clickhouse.query(
            f"INSERT INTO dead_letters (origin_offset, written_at) SELECT {days}, now64(3) - INTERVAL {days} DAY"
        )
    assert prepare(settings.model_copy(update={"dead_letter_retention": "36h"}), funnels) == [
        "dead letters are kept 36h"
    ]
    assert ttl_seconds(clickhouse) == 36 * 3_600
    wait_until(lambda: clickhouse.query("SELECT origin_offset FROM dead_letters") == [(1,)], "the old letter to go", 30)
    assert prepare(settings.model_copy(update={"dead_letter_retention": "36h"}), funnels) == []
