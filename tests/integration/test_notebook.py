"""The example notebook: its cells are run in their order, on a ClickHouse that is filled."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from journey.local_clickhouse import EmbeddedClickHouse
from reports.attribution import attribute
from tests.clickhouse import ClickHouse, fresh_database
from tests.console_rows import FUNNEL, fill

_NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "reports.ipynb"
CELLS: list[dict[str, Any]] = json.loads(_NOTEBOOK.read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
_NOTHING = {"funnel-chart", "cohorts-chart"}
"""Cells that show nothing without Altair."""


@pytest.fixture(scope="module")
def filled(clickhouse_server: EmbeddedClickHouse) -> Iterator[ClickHouse]:
    """A population."""
    with fresh_database(clickhouse_server) as made:
        made.migrate()
        with made.client() as client:
            fill(client)
            attribute(client)
        yield made


@pytest.fixture(autouse=True)
def led(filled: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that leads the notebook to it."""
    server = filled.server
    monkeypatch.setenv(
        "JOURNEY_CLICKHOUSE", f"clickhouse://default@{server.host}:{server.native_port}/{filled.database}"
    )


def run() -> tuple[dict[str, Any], dict[str, Any]]:
    """The names that the cells leave behind, and by cell what it shows: its last line, where that is an expression."""
    names: dict[str, Any] = {"__name__": "notebook"}
    shown: dict[str, Any] = {}
    for cell in CODE:
        body = ast.parse("".join(cell["source"]))
        last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
        exec(compile(body, cell["id"], "exec"), names)
        if isinstance(last, ast.Expr):
            shown[cell["id"]] = eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)
    names["client"].disconnect()
    return names, shown


def test_it_is_kept_without_outputs() -> None:
    """What somebody saw when they ran it, and the address of their ClickHouse, are not committed with it."""
    assert [(cell["outputs"], cell["execution_count"]) for cell in CODE] == [([], None)] * len(CODE)
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    text = _NOTEBOOK.read_text()
    assert "journey demo --keep" in text
    assert "//default@127.0.0.1:PORT/journey" in text


@pytest.mark.parametrize("altair", ["as it is", "missing"])
def test_tables_tell_what_the_views_do(filled: ClickHouse, monkeypatch: pytest.MonkeyPatch, altair: str) -> None:
    """Funnel, cohorts and attribution, whether or not charts can be drawn."""
    if altair == "missing":
        monkeypatch.setitem(sys.modules, "altair", None)
    names, shown = run()
    view = filled.query(f"SELECT stage, entered, waiting FROM funnel WHERE funnel = '{FUNNEL}' ORDER BY position")
    assert [tuple(row) for row in names["funnel"][["stage", "entered", "waiting"]].to_numpy()] == view
    # Of 42 visits, n modulo 5 says what becomes of each: nine are won, nine lost, eight expired, the others wait.
    assert names["funnel"].loc[0, ["entered", "won", "lost", "expired", "waiting"]].tolist() == [42, 9, 9, 8, 16]
    assert names["funnel"].loc[0, "won_of_closed"] == round(9 / 26, 3)
    cohorts = filled.query(
        f"SELECT week, day, reached FROM cohorts WHERE funnel = '{FUNNEL}' AND stage = 'consideration' ORDER BY week, day"
    )
    assert [tuple(row) for row in names["cohorts"][["week", "day", "reached"]].to_numpy()] == cohorts
    assert shown["cohorts-table"].notna().any().any()
    credited = shown["attribution-table"]
    assert set(credited.columns) == {
        *("first", "last", "last_non_direct", "linear", "time_decay", "position_based", "markov")
    }
    assert credited.sum().tolist() == pytest.approx([1_400] * 7)
    assert all(len(shown[one]) for one in ("funnel-table", "cohorts-table", "attribution-table"))
    if altair == "missing":
        assert {cell for cell, value in shown.items() if value is None} == _NOTHING


def test_charts_show_what_the_tables_tell() -> None:
    """Altair accepts both, and what they draw adds up to the tables."""
    pytest.importorskip("altair", reason="altair is not installed: make install")
    names, shown = run()
    drawn = {cell: shown[cell].to_dict() for cell in sorted(_NOTHING)}
    (visits,) = drawn["funnel-chart"]["datasets"].values()
    assert sum(one["visits"] for one in visits) == names["funnel"]["entered"].sum()
    assert {one["outcome"] for one in visits} == {"won", "lost", "expired", "waiting"}
    (known,) = drawn["cohorts-chart"]["datasets"].values()
    assert len(known) == names["cohorts"]["share"].notna().sum() > 0
    assert all(0 <= one["share"] <= 1 for one in known)
