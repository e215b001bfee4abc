"""`journey load` into a real ClickHouse: a file counts as a whole, once, or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from journey.errors import JourneyError
from journey.loading import load_segments, load_spend, load_targets
from journey.screen import Screen
from journey.settings import Settings
from tests.clickhouse import ClickHouse
from tests.integration.test_reports_borders import funnel, visit
from tests.reporting import prepare, up_to_now
from tests.unit.journey.test_targets import GOOD

Load = Callable[[Settings, Path, Screen], int]
Loader = Callable[[Load, str], str]


@pytest.fixture
def load(clickhouse: ClickHouse, tmp_path: Path) -> Loader:
    """Loads a text as a file, and gives what is said of it."""
    server = clickhouse.server
    url = f"clickhouse://default:@{server.host}:{server.native_port}/{clickhouse.database}"
    settings = Settings(clickhouse=SecretStr(url), data_dir=tmp_path)

    def loaded(command: Load, text: str) -> str:
        file = tmp_path / "file"
        file.write_text(text)
        told = io.StringIO()
        assert command(settings, file, Screen(Console(file=told, width=200), Console(file=told))) == 0
        return told.getvalue().removeprefix(f"{file}: ").strip()

    return loaded


def test_a_file_is_loaded_once(clickhouse: ClickHouse, load: Loader) -> None:
    """Loading it again changes nothing; a mended line replaces its own; an empty amount or segment takes back; other lines stay."""
    client = prepare(clickhouse, [funnel("sales", ("awareness", "purchase")), funnel("b2b", ("lead", "customer"))])
    header = "day,channel_group,campaign,currency,amount\n"
    january, february = "2026-01-01,Display,c,EUR,1.50\n", "2026-02-01,,c,EUR,2\n"
    assert load(load_spend, header + january + february) == "2 rows, 2 new, 0 changed, 0 removed"
    written = client.execute("SELECT count() FROM spend")
    assert load(load_spend, header + january + february) == "2 rows, 0 new, 0 changed, 0 removed"
    assert client.execute("SELECT count() FROM spend") == written
    assert load(load_spend, header + january.replace("1.50", "7")) == "1 rows, 0 new, 1 changed, 0 removed"
    spent = "SELECT spend FROM campaigns WHERE funnel = 'b2b' AND campaign = 'c'"
    assert client.execute(spent) == [(Decimal(9),)]
    gone = february.replace(",2\n", ",\n")
    assert load(load_spend, header + gone) == "1 rows, 0 new, 0 changed, 1 removed"
    assert load(load_spend, header + gone) == "1 rows, 0 new, 0 changed, 0 removed"
    assert client.execute(spent) == [(Decimal(7),)]

    assert load(load_targets, GOOD) == "3 rows, 3 new, 0 changed, 0 removed"
    assert load(load_targets, GOOD) == "3 rows, 0 new, 0 changed, 0 removed"
    fewer = GOOD.rpartition("[[target]]")[0].replace("value = 40", "value = 41")
    assert load(load_targets, fewer) == "2 rows, 0 new, 1 changed, 1 removed"
    assert client.execute("SELECT DISTINCT name, target FROM target_attainment ORDER BY name") == [
        ("leads", 41.0),
        ("money", 1000.5),
    ]
    client.disconnect()


@pytest.mark.slow
def test_segments_count_at_once(clickhouse: ClickHouse, load: Loader) -> None:
    """Reports tell accounts apart by what was loaded last."""
    client = prepare(clickhouse, [funnel("f", ("one", "two"))])
    at = client.execute("SELECT now64(6, 'UTC')")[0][0]
    visit(client, "f", [("enter", "one", at)], account_id="acme")
    up_to_now(client)
    segment = "SELECT segment FROM conversion_by_group"
    assert client.execute(segment) == [("",)]
    assert load(load_segments, "account_id,segment\nacme,large\n") == "1 rows, 1 new, 0 changed, 0 removed"
    assert client.execute(segment) == [("large",)]
    assert load(load_segments, "account_id,segment\nacme,\n") == "1 rows, 0 new, 0 changed, 1 removed"
    assert client.execute(segment) == [("",)]
    client.disconnect()


def test_a_file_with_something_wrong_is_not_loaded(clickhouse: ClickHouse, load: Loader) -> None:
    """Not even what is right in it."""
    client = prepare(clickhouse, [])
    with pytest.raises(JourneyError, match="knows no funnel") as error:
        load(load_targets, GOOD)
    assert "journey migrate" in error.value.hint
    prepare(clickhouse, [funnel("other", ("lead", "customer"))]).disconnect()
    wrong: list[tuple[Load, str]] = [
        (load_spend, "day,currency,amount\n2026-01-01,EUR,1\n2026-01-02,EUR,x\n"),
        (load_segments, "account_id,segment\nacme,large\n,small\n"),
        (load_targets, GOOD.replace('"b2b"', '"other"')),  # of three, one is of a funnel that there is
    ]
    for command, text in wrong:
        with pytest.raises(JourneyError):
            load(command, text)
    for table in ("spend", "account_segments", "targets"):
        assert client.execute(f"SELECT count() FROM {table}") == [(0,)]
    client.disconnect()
