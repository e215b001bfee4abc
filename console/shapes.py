"""From rows to what charts.js draws. Names from outside are cut here: a picture has no room for 10 kB."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from console.text import day, duration, name_of, ratio

Row = Mapping[str, Any]
HEAT_STEPS = 10
_ALL_DAYS = 12
_SOME_DAYS = frozenset((0, 1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365))
_MOST_BULLETS = 30
NEW, WAITING, AGAIN = "New visits", "Waiting", "Bought again"
MODELS = ("first", "last", "last_non_direct", "linear", "time_decay", "position_based", "markov")


def lines(rows: Iterable[Row], x: str, series: Sequence[str], by: str, value: str, unit: str = "") -> dict[str, Any]:
    """Lines over time: one for each of `series`, which are values of the column `by`. Points that may still change are marked."""
    at: dict[str, dict[str, Any]] = defaultdict(dict)
    changing: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        at[str(row[by])][str(row[x])] = None if row[value] is None else float(row[value])
        if row.get("is_mature") is False:
            changing[str(row[by])].add(str(row[x]))
    labels = sorted({label for points in at.values() for label in points})
    missing = None if unit == "seconds" else 0
    return {
        "kind": "lines",
        "labels": labels,
        "unit": unit,
        "series": [
            {
                "name": name_of(name),
                "values": [at[name].get(label, missing) for label in labels],
                "changing": [label in changing[name] for label in labels],
            }
            for name in series
            if name in at
        ],
    }


def bars(
    rows: Iterable[Row], label: str, parts: Mapping[str, str], *, stacked: bool = True, most: int = 12, unit: str = ""
) -> dict[str, Any]:
    """Bars lying on their side, one for each of the first rows.

    Args:
        rows: the largest first.
        label: the column with their names.
        parts: by column, the name of what it counts.
        stacked: whether the parts make up a whole.
        most: how many to draw.
        unit: of the values.
    """
    shown = list(rows)[:most]
    return {
        "kind": "bars",
        "labels": [name_of(row[label]) for row in shown],
        "stacked": stacked,
        "unit": unit,
        "series": [
            {"name": name, "key": key, "values": [float(row[key] or 0) for row in shown]} for key, name in parts.items()
        ],
    }


def sankey(moves: Iterable[Row], waiting: Iterable[Row], stages: Sequence[str]) -> dict[str, Any]:
    """Where visits went. A picture of streams can't turn back: moves back end in a node of their own, and so do losses and who waits."""
    nodes: dict[str, tuple[int, str]] = {NEW: (0, "new")}
    for position, stage in enumerate(stages, 1):
        nodes[stage] = (position, "stage")
    links: dict[tuple[str, str], int] = defaultdict(int)
    for move in moves:
        source, target, kind, count = (move[key] for key in ("from_stage", "to_stage", "kind", "moves"))
        if kind == "enter":
            source = NEW
        elif kind == "back":
            target = f"Back to {target}"
        elif kind in ("lost", "expired"):
            target = str(kind).capitalize()
        elif kind == "repeat":
            target = AGAIN
        depth = len(stages) + 1
        nodes.setdefault(source, (1, "stage"))
        nodes.setdefault(target, (depth, str(kind) if kind in ("back", "lost", "expired", "repeat") else "stage"))
        links[source, target] += count
    for row in waiting:
        if row["stage"] in nodes and row["waiting"]:
            nodes.setdefault(WAITING, (len(stages) + 1, "waiting"))
            links[row["stage"], WAITING] += row["waiting"]
    used = {name for link in links for name in link}
    return {
        "kind": "sankey",
        "nodes": [
            {"name": name, "label": name_of(name), "kind": kind, "depth": depth}
            for name, (depth, kind) in nodes.items()
            if name in used
        ],
        # A link to an earlier stage, which only funnels that changed have, would be a circle.
        "links": [
            {"source": source, "target": target, "value": count, "kind": nodes[target][1]}
            for (source, target), count in links.items()
            if nodes[source][0] < nodes[target][0]
        ],
    }


def ranges(rows: Iterable[Row]) -> dict[str, Any]:
    """From median to the slowest tenth, for each stage."""
    shown = list(rows)
    return {
        "kind": "ranges",
        "labels": [name_of(row["stage"]) for row in shown],
        "values": [[row["median_seconds"], row["p75_seconds"], row["p90_seconds"]] for row in shown],
        "texts": [[duration(row[key]) for key in ("median_seconds", "p75_seconds", "p90_seconds")] for row in shown],
    }


def bullets(rows: Iterable[Row]) -> dict[str, Any]:
    """Targets: how far each is, and how far it should be by now, as parts of it.

    Args:
        rows: of `target_attainment`, with `actual_shown` and the like for people.
    """
    shown = list(rows)[:_MOST_BULLETS]
    return {
        "kind": "bullets",
        "labels": [name_of(row["name"]) for row in shown],
        "values": [row["attainment"] for row in shown],
        "expected": [ratio(row["expected_by_now"], row["target"]) or 0.0 for row in shown],
        "texts": [
            [
                row["actual_shown"],
                row["expected_by_now_shown"],
                row["target_shown"],
                f"{day(row['starts'])} to {day(row['ends'])}",
            ]
            for row in shown
        ],
    }


def heat_map(
    rows: Iterable[Row], line: str, column: str, whole: str, part: str, *, thin_out: bool = False
) -> dict[str, Any]:
    """Cohorts: a line each, a column for each time after. Cells are steps of heat, as a page can't colour them by itself.

    Args:
        rows: one for each cell, with `share` and `is_mature`.
        line: the column with the day by which a cohort is known.
        column: the one that says how long after.
        whole: how many a cohort has.
        part: how many of them a cell is about.
        thin_out: whether only some columns are shown where there are many.
    """
    lines: dict[Any, dict[str, Any]] = {}
    columns: set[int] = set()
    for row in rows:
        into = lines.setdefault(row[line], {"line": row[line], "whole": row[whole], "cells": {}})
        columns.add(row[column])
        mature = bool(row["is_mature"]) and row["share"] is not None
        into["cells"][row[column]] = {
            "share": row["share"] if mature else None,
            "part": row[part],
            "mature": mature,
        }
    highest = max(
        (cell["share"] for into in lines.values() for cell in into["cells"].values() if cell["mature"]), default=0
    )
    for into in lines.values():
        for cell in into["cells"].values():
            cell["heat"] = heat(cell["share"], highest)
    return {
        "columns": columns_of(columns) if thin_out else sorted(columns),
        "lines": sorted(lines.values(), key=lambda into: into["line"], reverse=True),
    }


def columns_of(days: Iterable[int]) -> list[int]:
    """The days that get a column: all of a few, else the first ones, then ever fewer."""
    found = sorted(days)
    if len(found) <= _ALL_DAYS:
        return found
    return [day for day in found if day in _SOME_DAYS or day == found[-1]]


def heat(share: float | None, highest: float) -> int:
    """0 (nothing) to `HEAT_STEPS` (as much as there is anywhere)."""
    if not share or not highest:
        return 0
    return max(1, round(share / highest * HEAT_STEPS))


def credits_of(rows: Iterable[Row], measure: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Who gets what by which model: the models there are, and a row for each channel or campaign, the largest by the first model first."""
    by_name: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    for row in rows:
        seen.add(row["model"])
        by_name.setdefault(row["credited"], {"credited": row["credited"]})[row["model"]] = float(row[measure])
    models = [model for model in MODELS if model in seen] + sorted(seen - set(MODELS))
    rows_shown = sorted(
        (dict.fromkeys(models, 0.0) | row for row in by_name.values()),
        key=lambda row: (-max((row[model] for model in models), default=0), row["credited"]),
    )
    return models, rows_shown


def pivot(rows: Iterable[Row], label: str, by: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each `label`, with columns `key:by`; 0 where there is none."""
    found: dict[Any, dict[str, Any]] = {}
    all_rows = list(rows)
    empty = {f"{key}:{row[by]}": 0 for row in all_rows for key in keys}
    for row in all_rows:
        into = found.setdefault(row[label], {label: row[label], **empty})
        for key in keys:
            into[f"{key}:{row[by]}"] = row[key]
    return list(found.values())
