"""What Grafana and its ClickHouse plugin do with a board's query before ClickHouse gets it, as far as our boards need it.

Stricter than they are: what they would leave as it stands, for ClickHouse to stumble over, is an error here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_REPORTS = Path(__file__).resolve().parents[1] / "deploy" / "grafana" / "reports"
BOARDS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text()) for file in sorted((_REPORTS / "dashboards").glob("*.json"))
}
(SOURCE,) = yaml.safe_load((_REPORTS / "provisioning" / "datasources" / "clickhouse.yml").read_text())["datasources"]
CLIENT_ADDS_SECONDS = 5
"""What the plugin's client (clickhouse-go) asks ClickHouse for, beyond the time-out that it is given."""
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\[\[(\w+)(?::(\w+))?\]\]|\$(?!__)(\w+)")
_MACRO = re.compile(r"\$__(\w+)(?:\(([^()]*)\))?")


class BoardError(ValueError):
    """A query can't become what ClickHouse understands; the message names the variable or the macro."""


class Between(NamedTuple):
    """The time range that is chosen on a board."""

    since: datetime
    until: datetime


class Everything(NamedTuple):
    """All of a variable's values: Grafana puts its `allValue` in as it stands, whatever format is asked for."""

    value: str


Chosen = str | Sequence[str] | Everything


def _date(at: datetime) -> str:
    return f"toDate('{at:%Y-%m-%d}')"


def _time(at: datetime) -> str:
    return f"toDateTime({int(at.timestamp())})"


def _filter(literal: Callable[[datetime], str]) -> Callable[[Between, Sequence[str]], str]:
    def expand(during: Between, arguments: Sequence[str]) -> str:
        (column,) = arguments
        return f"{column} >= {literal(during.since)} AND {column} <= {literal(during.until)}"

    return expand


_MACROS: Mapping[str, Callable[[Between, Sequence[str]], str]] = {
    "dateFilter": _filter(_date),
    "timeFilter": _filter(_time),
    "fromTime": lambda during, _: _time(during.since),
    "toTime": lambda during, _: _time(during.until),
}
"""By name, what the plugin makes of those that our boards use (pkg/macros/macros.go of its version 4.20.0)."""


def _sql_string(chosen: Chosen) -> str:
    if isinstance(chosen, Everything):
        return chosen.value
    return ",".join("'" + one.replace("'", "''") + "'" for one in ([chosen] if isinstance(chosen, str) else chosen))


def query_of(sql: str, chosen: Mapping[str, Chosen], during: Between) -> str:
    """The query that ClickHouse gets.

    Raises:
        BoardError: a variable or macro is none, a macro has the wrong arguments, or a variable would be put in without quotes.
    """

    def variable(found: re.Match[str]) -> str:
        name = found[1] or found[3] or found[5]
        if name not in chosen:
            raise BoardError(f"{found[0]}: there is no variable {name}")
        if (found[2] or found[4]) != "sqlstring":
            raise BoardError(f"{found[0]}: what people choose needs the format sqlstring, which quotes it")
        return _sql_string(chosen[name])

    def macro(found: re.Match[str]) -> str:
        if found[1] not in _MACROS:
            raise BoardError(f"$__{found[1]} is no macro that the plugin has, or none that is known here")
        try:
            return _MACROS[found[1]](during, [one.strip() for one in (found[2] or "").split(",")])
        except ValueError:
            raise BoardError(f"{found[0]}: wrong number of arguments") from None

    return _MACRO.sub(macro, _VARIABLE.sub(variable, sql))


def columns_named(panel: Mapping[str, Any]) -> set[str]:
    """The columns that a panel expects in its answer: those that it formats, puts on an axis or takes labels from."""
    overrides = panel["fieldConfig"]["overrides"]
    named = {one["matcher"]["options"] for one in overrides if one["matcher"]["id"] == "byName"}
    named |= {panel["options"][key] for key in ("xField", "colorByField") if key in panel["options"]}
    return named | set(
        re.findall(r"\$\{__field\.labels\.(\w+)\}", panel["fieldConfig"]["defaults"].get("displayName", ""))
    )


def variables_in(text: str) -> set[str]:
    """The variables that a title or a query names."""
    return {found[1] or found[3] or found[5] for found in _VARIABLE.finditer(text)}


def panels_of(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The panels that ask something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables_of(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A board's variables, in their order."""
    found: list[dict[str, Any]] = board["templating"]["list"]
    return found
