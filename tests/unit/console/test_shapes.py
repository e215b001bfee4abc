"""From rows to pictures."""

from __future__ import annotations

from datetime import date
from typing import Any

from console import shapes

_STAGES = ["a", "b", "c"]


def move(source: str, target: str, kind: str, moves: int) -> dict[str, Any]:
    """A row of `flow`."""
    return {"from_stage": source, "to_stage": target, "kind": kind, "moves": moves}


def test_streams_never_turn_back() -> None:
    """A move back ends in a node of its own, as do losses, repeats and who waits; no link goes against the stream."""
    moves = [
        *(
            move("", "a", "enter", 10),
            move("a", "b", "advance", 7),
            move("a", "c", "skip", 1),
            move("b", "a", "back", 2),
        ),
        *(move("b", "lost", "lost", 3), move("a", "expired", "expired", 1), move("c", "c", "repeat", 4)),
        move("c", "b", "advance", 5),  # of an earlier version of the funnel, whose stages stood in another order
    ]
    drawn = shapes.sankey(moves, [{"stage": "b", "waiting": 2}, {"stage": "gone", "waiting": 1}], _STAGES)
    links = {(link["source"], link["target"]): link["value"] for link in drawn["links"]}
    assert links == {
        ("New visits", "a"): 10,
        ("a", "b"): 7,
        ("a", "c"): 1,
        ("b", "Back to a"): 2,
        ("b", "Lost"): 3,
        ("a", "Expired"): 1,
        ("c", "Bought again"): 4,
        ("b", "Waiting"): 2,
    }
    depth = {node["name"]: node["depth"] for node in drawn["nodes"]}
    assert all(depth[source] < depth[target] for source, target in links)


def test_lines_have_a_value_for_each_label() -> None:
    """Weeks that a stage lacks are 0 of a count, and nothing of a length of time; what may still change is marked."""
    rows = [
        {"week": date(2026, 1, 5), "stage": "a", "n": 1, "is_mature": True},
        {"week": date(2026, 1, 12), "stage": "a", "n": 2, "is_mature": False},
        {"week": date(2026, 1, 12), "stage": "b", "n": 3, "is_mature": True},
    ]
    drawn = shapes.lines(rows, "week", _STAGES, "stage", "n")
    assert drawn["labels"] == ["2026-01-05", "2026-01-12"]
    assert drawn["series"] == [
        {"name": "a", "values": [1.0, 2.0], "changing": [False, True]},
        {"name": "b", "values": [0, 3.0], "changing": [False, False]},
    ]
    assert shapes.lines(rows, "week", _STAGES, "stage", "n", "seconds")["series"][1]["values"] == [None, 3.0]


def test_what_is_not_old_enough_has_no_heat() -> None:
    """An immature cell says how many so far, and no share."""
    rows = [
        {
            "week": 1,
            "visits": 10,
            "day": day,
            "reached": 5,
            "share": None if day == 7 else 0.5 * day,
            "is_mature": day != 7,
        }
        for day in (0, 1, 7)
    ]
    (week,) = shapes.heat_map(rows, "week", "day", "visits", "reached")["lines"]
    assert (week["line"], week["whole"]) == (1, 10)
    assert week["cells"][7] == {"share": None, "part": 5, "mature": False, "heat": 0}
    assert (week["cells"][0]["heat"], week["cells"][1]["heat"]) == (0, 10)


def test_of_many_days_some_have_a_column() -> None:
    """The first ones and ever fewer, and always the last."""
    assert shapes.columns_of(range(5)) == [0, 1, 2, 3, 4]
    assert shapes.columns_of(range(42)) == [0, 1, 2, 3, 5, 7, 10, 14, 21, 30, 41]


def test_each_month_has_a_column() -> None:
    """Days are thinned out, months are not: the twelfth is asked for."""
    rows = [{"m": 1, "after": n, "all": 1, "some": 1, "share": 1.0, "is_mature": True} for n in range(30)]
    assert shapes.heat_map(rows, "m", "after", "all", "some")["columns"] == list(range(30))
    assert 12 not in shapes.heat_map(rows, "m", "after", "all", "some", thin_out=True)["columns"]


def test_credit_is_compared_across_models() -> None:
    """Each channel has a value by each model, 0 where one gives it nothing."""
    rows = [
        {"model": "last", "credited": "Email", "value": 3},
        {"model": "first", "credited": "Direct", "value": 3},
        {"model": "mine", "credited": "Email", "value": 1},
    ]
    models, shown = shapes.credits_of(rows, "value")
    assert models == ["first", "last", "mine"]
    assert shown == [
        {"credited": "Direct", "first": 3.0, "last": 0.0, "mine": 0.0},
        {"credited": "Email", "first": 0.0, "last": 3.0, "mine": 1.0},
    ]


def test_targets_are_told_as_parts_of_themselves() -> None:
    """What is reached and what is expected by now; of a rate that nobody knows yet there is no part."""
    row = {
        "name": "Wins", "target": 200.0, "attainment": 0.25, "expected_by_now": 100.0, "starts": date(2026, 1, 1), "ends": date(2026, 1, 31),
        "actual_shown": "50", "expected_by_now_shown": "100", "target_shown": "200",
    }  # fmt: skip
    drawn = shapes.bullets([row, row | {"name": "x" * 10_000, "attainment": None, "actual_shown": "–"}])
    assert drawn["values"] == [0.25, None]
    assert drawn["expected"] == [0.5, 0.5]
    assert drawn["texts"][0] == ["50", "100", "200", "2026-01-01 to 2026-01-31"]
    assert [len(label) for label in drawn["labels"]] == [4, 80]


def test_pictures_hold_no_long_names() -> None:
    """10 kB are cut before they get to the page."""
    drawn = shapes.bars([{"n": "x" * 10_000, "v": 1}], "n", {"v": "V"})
    assert len(drawn["labels"][0]) == 80
