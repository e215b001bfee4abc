"""Attribution of the 10,000 paths that come with the package `mta`, against the figures that others publish for them.

The paths are the sample of the R package ChannelAttribution, whose licence is not ours: they are read from the installed package and stand in no file of
this repository. Each stands for many visits, so the counts go through the same SQL by visits that are numbered in ClickHouse.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest

from reports.attribution import attribute
from sinks.refresh import refresh
from tests.attribution import FUNNELS
from tests.clickhouse import ClickHouse, fresh_database
from tests.integration.test_views_attribution import prepared

_STAGE = FUNNELS[0]["stage"][-1]["name"]
_TELL = f"""
INSERT INTO stage_transitions
    (funnel, funnel_version, prospect_id, visit, kind, to_stage, entered_at, touched_at, touch_channel_groups, touch_campaigns, amount, currency, revision)
WITH toDateTime64('2026-01-01 00:00:00', 6, 'UTC') AS now
SELECT
    'one', 1, toUUID('00000000-0000-0000-0000-000000000001'), rowNumberInAllBlocks() + 1,
    if(is_won, 'enter', 'lost'), if(is_won, '{_STAGE}', 'lost'), now,
    arrayMap(t -> now, touches), touches, arrayMap(t -> '', touches), is_won, 'EUR', 1
FROM paths
ARRAY JOIN arrayConcat(arrayMap(i -> true, range(won)), arrayMap(i -> false, range(lost))) AS is_won"""


def sample() -> list[dict[str, Any]]:
    """The paths: their touches, how many visits of each were won, and how many were not."""
    found = [file for file in files("mta") or () if file.name == "data.csv.gz"]
    with gzip.open(Path(str(found[0].locate())), "rt") as lines:
        return [
            {"touches": row["path"].split(" > "), "won": int(row["total_conversions"]), "lost": int(row["total_null"])}
            for row in csv.DictReader(lines)
        ]


@pytest.fixture(scope="module")
def credited(clickhouse_server: Any) -> Iterator[ClickHouse]:
    """A database with these visits, each won one worth 1."""
    with fresh_database(clickhouse_server) as made:
        client = prepared(made)
        client.execute("CREATE TABLE paths (touches Array(String), won UInt32, lost UInt32) ENGINE = Memory")
        client.execute("INSERT INTO paths VALUES", sample())
        client.execute(_TELL)
        client.execute("DROP TABLE paths")
        refresh(client)
        attribute(client)
        client.disconnect()
        yield made


def credits_of(credited: ClickHouse, model: str) -> dict[str, float]:
    """What each channel group gets by a model; conversions and value are the same here."""
    rows = credited.query(
        "SELECT channel_group, conversions, value FROM attribution WHERE model = %(model)s", {"model": model}
    )
    assert {row[0]: row[1] for row in rows} == pytest.approx({row[0]: row[2] for row in rows}, abs=1e-6)
    return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize(
    ("model", "alpha", "eta"), [("first", 6308, 3164), ("last", 8447, 4167), ("linear", 7574.7186, 3539.9512)]
)
def test_rules(credited: ClickHouse, model: str, alpha: float, eta: float) -> None:
    """The figures of `mta`, to the digits that it prints."""
    found = credits_of(credited, model)
    assert (round(found["alpha"], 4), round(found["eta"], 4)) == (alpha, eta)
    assert sum(found.values()) == pytest.approx(19_785, abs=1e-6)


def test_markov(credited: ClickHouse) -> None:
    """ChannelAttribution walks at random, and gives alpha 5289 to 5357; ours is exact, and so the same each time."""
    found = credits_of(credited, "markov")
    assert 5_289 <= found["alpha"] <= 5_357
    assert found["alpha"] == pytest.approx(5_344.9477, abs=1e-4)
    assert sum(found.values()) == pytest.approx(19_785, abs=1e-6)
