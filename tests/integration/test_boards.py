"""The boards on the reports: every query of theirs is run, as Grafana would ask it, by the user that Grafana comes as."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from clickhouse_driver import Client

from journey.local_clickhouse import EmbeddedClickHouse
from reports.attribution import attribute
from sinks.refresh import refresh
from tests.console_rows import CAMPAIGNS, CANARY_EMAIL, CANARY_PHONE, FUNNEL, SCRIPT, prospect
from tests.consoles import populated_server
from tests.grafana import (
    BOARDS,
    CLIENT_ADDS_SECONDS,
    SOURCE,
    Between,
    Chosen,
    Everything,
    columns_named,
    panels_of,
    query_of,
    variables_in,
    variables_of,
)
from tests.integration.test_grants import _client

NOW = datetime.now(UTC)
DURING = Between(NOW - timedelta(days=180), NOW)
_PERSONAL = re.compile(r"\b(\w*prospect_id|prospect|\w*rep|old_id|new_id|current_id|identifier\w*|visit|step)\b")
"""Columns that lead to a person: a prospect's, or whoever works for us."""
_NUMBER = re.compile(r"U?Int\d+|Float64|Decimal\(.*\)")
_TEXT = ("String", "Bool")
_TIME = re.compile(r"Date(Time64\(.*\)|Time.*)?")


class Answer(NamedTuple):
    """What ClickHouse says."""

    columns: dict[str, str]
    """By name the type, without what it is wrapped in."""
    rows: list[tuple[Any, ...]]

    @property
    def first(self) -> tuple[str, str]:
        """The first column."""
        return next(iter(self.columns.items()))

    def column(self, name: str) -> list[Any]:
        """One column's values."""
        place = list(self.columns).index(name)
        return [row[place] for row in self.rows]


PANELS = [
    pytest.param(name, panel, id=f"{name}-{panel['id']}")
    for name, board in BOARDS.items()
    for panel in panels_of(board)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """A server with the compose file's users, and a population; what the console's lacks is filled in, so that no panel is empty."""
    with populated_server(tmp_path_factory.mktemp("boards")) as running:
        with Client(running.host, port=running.native_port, database="journey") as client:
            _fill_in(client)
        yield running


def _fill_in(client: Client) -> None:
    """Add what campaigns cost, a target, and what came of some hand-offs."""
    client.execute(
        "INSERT INTO spend (day, channel_group, campaign, currency, amount, revision, is_deleted) VALUES",
        [(NOW.date(), "", "spring", "EUR", 50, 1, 0)],
    )
    client.execute(
        "INSERT INTO targets (name, funnel, metric, period, starts, value, revision, is_deleted) VALUES",
        [("won in a month", FUNNEL, "won", "monthly", date(NOW.year, NOW.month, 1), 10, 1, 0)],
    )
    handed = client.execute("SELECT min(handed_at) FROM handoffs")[0][0]
    told, in_time = (
        {"is_deleted": 0, "revision": 1, "funnel": FUNNEL, "visit": 1, "step": 2},
        handed + timedelta(days=1),
    )
    for part in (
        {"prospect_id": prospect(0), "part": 1, "occurred_at": handed + timedelta(hours=3)},
        {"prospect_id": prospect(0), "part": 2, "occurred_at": in_time, "decision": "sent_back", "reason": "no budget"},
        {"prospect_id": prospect(7), "part": 0, "occurred_at": handed, "to_team": "sales", "respond_by": in_time},
        {"prospect_id": prospect(7), "part": 1, "occurred_at": handed + timedelta(hours=3)},
    ):
        client.execute(f"INSERT INTO handoff_parts ({', '.join({**told, **part})}) VALUES", [{**told, **part}])
    refresh(client)
    attribute(client)


@pytest.fixture(scope="module")
def grafana(server: EmbeddedClickHouse) -> Iterator[Client]:
    """As Grafana connects: the data source's user, its database, and the time that its client asks for."""
    given = SOURCE["jsonData"]
    with _client(server, given["username"], database=given["defaultDatabase"]) as client:
        client.execute("SELECT 1", settings={"max_execution_time": given["queryTimeout"] + CLIENT_ADDS_SECONDS})
        yield client


def ask(client: Client, sql: str, chosen: Mapping[str, Chosen], during: Between = DURING) -> Answer:
    """The answer to a board's query."""
    rows, columns = client.execute(query_of(sql, chosen, during), with_column_types=True)
    bare = {name: re.sub(r"(Nullable|LowCardinality)\((.*)\)", r"\2", kind) for name, kind in columns}
    bare = {name: re.sub(r"Nullable\((.*)\)", r"\1", kind) for name, kind in bare.items()}
    assert len(bare) == len(columns), "two columns have the same name"
    return Answer(bare, rows)


def choices_of(client: Client, board: Mapping[str, Any]) -> dict[str, list[str]]:
    """By variable, what people can choose; one depends on those before it."""
    found: dict[str, list[str]] = {}
    for variable in variables_of(board):
        answer = ask(client, variable["query"], {name: values[0] for name, values in found.items()})
        found[variable["name"]] = [value for (value,) in answer.rows]
    return found


def opened(board: Mapping[str, Any], choices: Mapping[str, list[str]]) -> dict[str, Chosen]:
    """What is chosen when a board is opened: all, or the first one where only one can be chosen."""
    return {
        one["name"]: Everything(one["allValue"]) if one["includeAll"] else choices[one["name"]][0]
        for one in variables_of(board)
    }


@pytest.fixture(scope="module")
def choices(grafana: Client) -> dict[str, dict[str, list[str]]]:
    """By board and variable, what people can choose."""
    return {name: choices_of(grafana, board) for name, board in BOARDS.items()}


@pytest.fixture(scope="module")
def whole(choices: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, Chosen]]:
    """By board, what is chosen when it is opened."""
    return {name: opened(board, choices[name]) for name, board in BOARDS.items()}


@pytest.mark.parametrize("name", BOARDS)
def test_every_variable_can_be_chosen_and_is_used(choices: dict[str, dict[str, list[str]]], name: str) -> None:
    """Each has values, none twice; and each that a title names exists, and none is there for nothing."""
    board = BOARDS[name]
    for variable, values in choices[name].items():
        assert values, variable
        assert len(set(values)) == len(values), variable
        assert "" not in values, f"{variable}: nobody can choose what can't be seen"
        assert all("\\" not in value for value in values), f"{variable}: sqlstring does not quote a backslash"
    declared = {variable["name"] for variable in variables_of(board)}
    assert all(variables_in(panel["title"]) <= declared for panel in panels_of(board))
    assert {name for panel in panels_of(board) for name in variables_in(panel["targets"][0]["rawSql"])} == declared


@pytest.mark.parametrize(("name", "panel"), PANELS)
def test_a_panel_shows_what_its_query_answers(
    grafana: Client, whole: dict[str, dict[str, Chosen]], name: str, panel: dict[str, Any]
) -> None:
    """As the board is opened, there are rows; their columns are those that the panel names, of types that it can show."""
    (target,) = panel["targets"]
    answer = ask(grafana, target["rawSql"], whole[name])
    assert any(value not in (None, "", 0) for row in answer.rows for value in row), answer
    assert columns_named(panel) <= set(answer.columns)
    numbers = {name for name, kind in answer.columns.items() if _NUMBER.fullmatch(kind)}
    texts = {name for name, kind in answer.columns.items() if kind in _TEXT}
    times = {name for name, kind in answer.columns.items() if _TIME.fullmatch(kind)}
    assert numbers | texts | times == set(answer.columns), f"what the plugin can't show: {answer.columns}"
    if panel["type"] == "timeseries":
        assert target["format"] == 0
        assert {answer.first[0]} == times
        assert answer.column(answer.first[0]) == sorted(answer.column(answer.first[0]))
        assert (len(numbers), len(texts)) == (1, 1)
        return
    assert target["format"] == 1
    if panel["type"] == "barchart":
        assert texts == {panel["options"]["xField"]}
        assert numbers == set(answer.columns) - texts
    elif panel["type"] == "stat":
        assert (len(answer.rows), len(numbers), len(answer.columns)) == (1, 1, 1)
    else:
        assert panel["type"] == "table"


@pytest.mark.parametrize(("name", "panel"), PANELS)
def test_a_panel_takes_every_choice(
    grafana: Client,
    choices: dict[str, dict[str, list[str]]],
    whole: dict[str, dict[str, Chosen]],
    name: str,
    panel: dict[str, Any],
) -> None:
    """Several values, and hostile ones, quoted as Grafana quotes them: ClickHouse takes the query, and the columns stay. So do other days."""
    sql = panel["targets"][0]["rawSql"]
    several = {one["name"]: choices[name][one["name"]] for one in variables_of(BOARDS[name]) if one["multi"]}
    columns = ask(grafana, sql, whole[name] | several).columns
    answer = ask(grafana, sql, dict.fromkeys(whole[name], f"{SCRIPT}') UNION ALL SELECT 1 --"))
    assert answer.columns == columns
    assert answer.rows == [] or panel["type"] == "stat", "of a funnel that is none"
    if "$__" in sql:
        before = Between(DURING.since - timedelta(days=1_000), DURING.since - timedelta(days=900))
        numbers = [name for name, kind in columns.items() if _NUMBER.fullmatch(kind)]
        answer = ask(grafana, sql, whole[name], before)
        assert not any(value for name in numbers for value in answer.column(name)), "the time range is not heeded"


def _panel(board: str, title: str) -> str:
    (panel,) = (panel for panel in panels_of(BOARDS[board]) if panel["title"] == title)
    sql: str = panel["targets"][0]["rawSql"]
    return sql


def test_the_funnel_is_the_view_of_that_name_and_campaigns_part_it(
    grafana: Client, whole: dict[str, dict[str, Chosen]]
) -> None:
    """With all chosen, the numbers are those of the view `funnel`; with some campaigns, those of their visits."""
    sql = _panel("funnel", "Stage by stage")
    counts = "entered, moved_on, won, lost, expired, waiting"
    view = grafana.execute(f"SELECT stage, {counts} FROM funnel WHERE funnel = '{FUNNEL}' ORDER BY position")
    answer = ask(grafana, sql, whole["funnel"])
    assert list(zip(*(answer.column(one) for one in ("stage", *counts.split(", "))), strict=True)) == view
    each = answer.column("entered")[0] // len(CAMPAIGNS)  # prospect n opens its visit in campaign n modulo their number
    assert each == 6
    for campaigns, expected in (
        (["spring"], each),
        (["(none)"], each),
        (["spring", "(none)"], 2 * each),
        ([SCRIPT], each),
        (["x"], 0),
    ):
        found = ask(grafana, sql, whole["funnel"] | {"campaign": campaigns})
        assert found.column("entered")[0] == expected, campaigns
    assert ask(grafana, sql, whole["funnel"] | {"channel_group": ["(none)"]}).rows == answer.rows
    assert ask(grafana, sql, whole["funnel"] | {"channel_group": ["Email"]}).column("entered") == [0, 0, 0, 0]


def test_models_share_out_the_same_total(grafana: Client, whole: dict[str, dict[str, Chosen]]) -> None:
    """Each model's column adds up to what was won, so they can be compared."""
    sql = _panel("campaigns", "Value credited to channel groups, in $currency")
    answer = ask(grafana, sql, whole["campaigns"])
    totals = [sum(answer.column(model)) for model in list(answer.columns)[1:]]
    assert len(totals) == 7
    assert totals == pytest.approx([1_400] * 7)  # nine won visits of 100, and five who bought again


@pytest.mark.parametrize("name", BOARDS)
def test_no_board_leads_to_a_person(grafana: Client, whole: dict[str, dict[str, Chosen]], name: str) -> None:
    """No query names a column that does, and no answer holds an identifier."""
    board = BOARDS[name]
    queries = [panel["targets"][0]["rawSql"] for panel in panels_of(board)]
    for sql in [*queries, *(variable["query"] for variable in variables_of(board))]:
        assert not _PERSONAL.search(sql), sql
        assert "*" not in re.sub(r"count\(\*\)", "", sql), "a view may get columns that lead to one"
    told = json.dumps([ask(grafana, sql, whole[name]).rows for sql in queries], default=str)
    assert CANARY_EMAIL not in told
    assert CANARY_PHONE not in told
    assert not any(str(prospect(number)) in told for number in range(42))
