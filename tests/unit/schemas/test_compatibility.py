"""CI's check: what it lets pass, what it stops, and what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from schemas.compatibility import main

_Change = Callable[[list[dict[str, Any]]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the schemas that ship."""
    with resources.as_file(resources.files("schemas") / "avsc") as shipped:
        shutil.copytree(shipped, tmp_path / "avsc")
    return tmp_path / "avsc"


def _add_version(folder: Path, change: _Change, subject: str = "web-events", **top: str) -> None:
    ids = json.loads((folder / "ids.json").read_text())
    number = len(ids[subject])
    document = json.loads((folder / subject / f"v{number}.avsc").read_text()) | top
    change(document["fields"])
    (folder / subject / f"v{number + 1}.avsc").write_text(json.dumps(document))
    ids[subject][str(number + 1)] = 100 + number
    (folder / "ids.json").write_text(json.dumps(ids))


def _set(which: str, /, **properties: Any) -> _Change:
    def change(fields: list[dict[str, Any]]) -> None:
        next(field for field in fields if field["name"] == which).update(properties)

    return change


def _drop(name: str) -> _Change:
    def change(fields: list[dict[str, Any]]) -> None:
        fields[:] = [field for field in fields if field["name"] != name]

    return change


def _add(**field: Any) -> _Change:
    return lambda fields: fields.append(field)


@pytest.mark.parametrize(
    "change",
    [
        _add(name="score", type=["null", "long"], default=None),
        _add(name="tags", type={"type": "array", "items": "string"}, default=[]),
        _drop("utm_term"),
        _drop("event_id"),
        _set("event_id", type=["null", "string"]),
        _set("url", doc="Changed."),
        _set("url", type=["null", "string", "long"]),
        lambda fields: fields.reverse(),
    ],
)
def test_changes_that_are_fine(folder: Path, change: _Change) -> None:
    """New fields with a default, fields dropped, types widened, order changed: old data stays readable."""
    _add_version(folder, change)
    assert main([str(folder)]) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_add(name="score", type="long"), "web-events/v2.avsc: score: not in the writer's schema"),
        (_set("url", type="string"), "web-events/v2.avsc: url: null can't be read as string"),
        (_set("event_id", type="long"), "web-events/v2.avsc: event_id: string can't be read as long"),
        (_set("occurred_at", type="int"), "web-events/v2.avsc: occurred_at: long (timestamp-micros) can't"),
        (
            _set("occurred_at", type={"type": "long", "logicalType": "timestamp-millis"}),
            "web-events/v2.avsc: occurred_at: long (timestamp-micros) can't be read as long (timestamp-millis)",
        ),
        (
            _set("amount", type=["null", {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 4}]),
            "web-events/v2.avsc: amount: the reader has no branch for decimal(18,2)",
        ),
        (_set("properties", type={"type": "map", "values": "long"}), "web-events/v2.avsc: properties{}: string can't"),
        (_set("event_id", name="id"), "web-events/v2.avsc: id: not in the writer's schema"),
    ],
)
def test_changes_that_break(folder: Path, capsys: pytest.CaptureFixture[str], change: _Change, says: str) -> None:
    """Each is stopped, with file, field and reason, and a hint what to do."""
    _add_version(folder, change)
    assert main([str(folder)]) == 1
    told = capsys.readouterr().err
    assert says in told
    assert "(as written by v1)" in told
    assert "Give new fields a default" in told


def test_transitive(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest version must read the oldest too, not just the one before it."""
    _add_version(folder, _drop("utm_term"))
    _add_version(folder, _add(name="utm_term", type=["null", "long"], default=None))
    assert main([str(folder)]) == 1
    told = capsys.readouterr().err
    assert "web-events/v3.avsc: utm_term: the reader has no branch for string (as written by v1)" in told
    assert "(as written by v2)" not in told


def test_renamed_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another record name is another thing."""
    _add_version(folder, lambda _: None, name="Visit")
    assert main([str(folder)]) == 1
    assert "is journey.events.v1.Visit; expected journey.events.v1.WebEvent" in capsys.readouterr().err


def test_nested_records(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Breaks inside arrays of records are found and placed."""

    def change(fields: list[dict[str, Any]]) -> None:
        rows = next(field for field in fields if field["name"] == "transitions")
        rows["type"]["items"]["fields"].append({"name": "cost", "type": "long"})

    _add_version(folder, change, "facts")
    assert main([str(folder)]) == 1
    assert "facts/v6.avsc: transitions[].cost: not in the writer's schema" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("tick/v1.avsc", '{"type": "record", "name": "T", "fields": [{"name": "x", "type": "T"}]}', "tick/v1.avsc: "),
        ("tick/v2.avsc", "{}", "ids.json: tick"),
        ("ids.json", '{"tick": {"1": 1}, "reset": {"1": 1}}', "ids.json: an id is there twice"),
        ("ids.json", "{", "Expecting"),
    ],
)
def test_broken_folders(folder: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, says: str) -> None:
    """Schemas that we would refuse, files without an id, and ids used twice are stopped as well."""
    (folder / file).write_text(text)
    assert main([str(folder)]) == 1
    assert says in capsys.readouterr().err


def test_as_ci_runs_it() -> None:
    """`python -m schemas.compatibility` checks what ships, and passes."""
    done = subprocess.run([sys.executable, "-m", "schemas.compatibility"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "are backward compatible" in done.stdout
