"""How often aggregates are brought up to now is what the setting says, on a real server."""

from __future__ import annotations

from pydantic import SecretStr

from funnel.definition import load_funnels
from journey.clickhouse import prepare
from journey.funnel_files import funnel_paths
from journey.settings import Settings
from sinks.refresh import AGGREGATES, CHANGED, COUNTED, CREDIT_TOTALS, CREDITS, REBUILT, VISITS
from tests.clickhouse import ClickHouse

OFTEN, CREDITED, HOURLY = (CHANGED, VISITS, *AGGREGATES), (CREDITS, CREDIT_TOTALS), (REBUILT, *COUNTED)


def schedules(clickhouse: ClickHouse) -> dict[str, str]:
    """What each view that is refreshed is refreshed by."""
    rows = clickhouse.query(
        "SELECT name, extract(create_table_query, ' REFRESH (EVERY .*?) \\\\(') FROM system.tables "
        "WHERE database = currentDatabase() AND create_table_query LIKE 'CREATE MATERIALIZED VIEW % REFRESH %'"
    )
    return {name: text.replace(f"{clickhouse.database}.", "") for name, text in rows}


def wanted(often: str, credited: str) -> dict[str, str]:
    """All of them, in the order in which one depends on another."""
    depends = dict.fromkeys((VISITS,), CHANGED) | dict.fromkeys(AGGREGATES, VISITS) | {CREDIT_TOTALS: CREDITS}
    depends |= dict.fromkeys(COUNTED, REBUILT)
    every = dict.fromkeys(OFTEN, often) | dict.fromkeys(CREDITED, credited) | dict.fromkeys(HOURLY, "1 HOUR")
    return {
        name: f"EVERY {text}" + (f" DEPENDS ON {depends[name]}" if name in depends else "")
        for name, text in every.items()
    }


def test_migrate_sets_the_schedule_where_it_differs(clickhouse: ClickHouse) -> None:
    """By default nothing is altered; when the setting changes all follow, and still wait for one another; what is hourly stays so."""
    url = f"clickhouse://default:@{clickhouse.server.host}:{clickhouse.server.native_port}/{clickhouse.database}"
    settings = Settings(clickhouse=SecretStr(url))
    funnels = load_funnels(funnel_paths(["sales"]))
    assert not [line for line in prepare(settings, funnels) if line.startswith("aggregates")]
    assert schedules(clickhouse) == wanted("30 SECOND", "5 MINUTE")
    for value, often, credited in (
        ("90s", "1 MINUTE 30 SECOND", "5 MINUTE"),
        ("1h", "1 HOUR", "1 HOUR"),
        ("30s", "30 SECOND", "5 MINUTE"),
    ):
        changed = settings.model_copy(update={"refresh_every": value})
        assert prepare(changed, funnels) == [f"aggregates are refreshed every {value}"]
        assert schedules(clickhouse) == wanted(often, credited)
        assert prepare(changed, funnels) == []
