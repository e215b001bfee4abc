"""`journey export` and backtests on a broker: what the topics have, and what comes later."""

from __future__ import annotations

import io
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from pydantic import SecretStr
from rich.console import Console

from agents.erasures import request_of
from backtest.exports import Part, parts, read_part
from backtest.records import InputRecord
from journey import export as exporting
from journey import topic_admin, topics
from journey.backtest import backtest
from journey.errors import JourneyError
from journey.input_records import Stretch, read_stretch, stretches
from journey.kafka_clients import admin_client, consumer_client, producer_client
from journey.replay import asked
from journey.screen import Screen
from journey.sending import produce
from journey.settings import Settings
from tests.broker import Tansu, unique
from tests.generators import generate_population
from tests.generators.declared import random_declarations
from tests.generators.realistic import ndjson_line

EVENTS = 600
KEY = "key of the export's test"
DAY = 86_400_000_000
CHANGED = ('window = "90d"', 'window = "9d"')


@pytest.fixture
def settings(tansu: Tansu, tmp_path: Path) -> Settings:
    """Topics of our own on the shared broker, with events of people and declarations."""
    found = Settings(
        kafka=tansu.bootstrap,
        topic_prefix=unique("x") + ".",
        partitions=2,
        idempotent=False,
        id_key=SecretStr(KEY),
        data_dir=tmp_path / "data",
    )
    with admin_client(found) as admin:
        topic_admin.create_topics(admin, topics.wanted_topics(found))
    send(found, tmp_path, 1)
    return found


def send(settings: Settings, directory: Path, seed: int) -> None:
    """Some events and declarations."""
    events = generate_population(seed, EVENTS, 60, int(time.time() * 1_000_000) - 80 * DAY)
    declared = [
        one._asdict() | {"channel": "declaration"} for one in random_declarations(random.Random(seed), events, "US", 9)
    ]
    path = directory / f"{seed}.ndjson"
    path.write_text("\n".join([*map(ndjson_line, events), *map(json.dumps, declared)]))
    assert produce(settings, [str(path)], screen()) == 0


def screen() -> Screen:
    """One that can be read."""
    return Screen(Console(file=io.StringIO(), width=200), Console(file=io.StringIO(), width=200))


def exported(settings: Settings, directory: Path) -> str:
    """What `journey export` says."""
    shown = screen()
    assert exporting.export(settings, directory, shown) == 0
    assert isinstance(shown.out.file, io.StringIO)
    return shown.out.file.getvalue()


def in_files(directory: Path) -> list[InputRecord]:
    """All records of an export."""
    return [record for part in parts(directory) for records in read_part(part.path) for record in records]


def in_topics(settings: Settings) -> list[InputRecord]:
    """All records of the input topics."""
    with consumer_client(settings) as consumer:
        return [
            record
            for stretch in stretches(consumer, settings, embedded=False)
            for records in read_stretch(consumer, stretch, lambda: None)
            for record in records
        ]


def test_an_export_goes_on_where_it_ended(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All records once, in files of a bounded size; a second one adds what came since, and changes no file."""
    monkeypatch.setattr(exporting, "PART_RECORDS", 100)
    directory = tmp_path / "history"
    assert "personal data" in exported(settings, directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    first = in_topics(settings)
    assert in_files(directory) == first
    assert len(first) > EVENTS
    assert max(part.last - part.first for part in parts(directory)) == 99
    contents = {path: path.read_bytes() for path in directory.iterdir()}

    assert exported(settings, directory).startswith("0 records")
    send(settings, tmp_path, 2)
    exported(settings, directory)
    assert in_files(directory) == in_topics(settings)
    assert len(in_files(directory)) > 2 * EVENTS
    assert {path: path.read_bytes() for path in contents} == contents


def test_an_export_that_is_cut_off_goes_on(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stops it, files are whole, and the next one makes of it what one in a go would have made."""
    monkeypatch.setattr(exporting, "PART_RECORDS", 50)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    exported(settings, whole)
    write_part, written = exporting.write_part, iter(range(5))

    def stops(directory: Path, records: Any) -> Any:
        if next(written, None) is None:
            raise KeyboardInterrupt
        return write_part(directory, records)

    monkeypatch.setattr(exporting, "write_part", stops)
    assert exporting.export(settings, cut, screen()) == 130
    assert len(parts(cut)) == len(list(cut.iterdir())) == 5
    monkeypatch.setattr(exporting, "write_part", write_part)
    exported(settings, cut)
    assert in_files(cut) == in_files(whole)


def test_an_export_is_of_one_set_of_topics(settings: Settings, tmp_path: Path) -> None:
    """Topics that were made anew begin at 0 again: they would seem to be known."""
    directory = tmp_path / "history"
    exported(settings, directory)
    other = settings.model_copy(update={"topic_prefix": unique("y") + "."})
    with admin_client(other) as admin:
        topic_admin.create_topics(admin, topics.wanted_topics(other))
    assert exported(other, directory).startswith("0 records")  # nothing is in them
    (tmp_path / "one.ndjson").write_text((tmp_path / "1.ndjson").read_text().split("\n")[0])
    produce(other, [str(tmp_path / "one.ndjson")], screen())
    with pytest.raises(JourneyError, match="it was made anew"):
        exporting.export(other, directory, screen())


def test_topics_export_and_lines_say_the_same(settings: Settings, tmp_path: Path) -> None:
    """A backtest of each, with somebody who is forgotten in the topics and the export."""
    funnel = tmp_path / "new.toml"
    funnel.write_text((Path(topics.__file__).parents[1] / "funnels" / "sales.toml").read_text().replace(*CHANGED))

    def document(*sources: str) -> dict[str, Any]:
        shown = screen()
        assert backtest(settings, str(funnel), None, asked(sources, None, None), shown, most=3, as_json=True) == 0
        assert isinstance(shown.out.file, io.StringIO)
        found: dict[str, Any] = json.loads(shown.out.file.getvalue())
        return found | {"as_of": None}

    from_topics, from_lines = document(), document(str(tmp_path / "1.ndjson"))
    assert from_topics == from_lines
    assert from_topics["differing"]

    somebody = bytes.fromhex(from_topics["differing"][0].replace("-", ""))
    with producer_client(settings) as producer:
        producer.send(
            topics.topic_name(settings, topics.ERASURES), key=somebody, value=request_of(KEY.encode(), named=True)
        )
    directory = tmp_path / "history"
    exported(settings, directory)
    without = document()
    assert without == document(str(directory))
    assert without == document(*(str(part.path) for part in parts(directory)))
    assert without["differing"] == from_topics["differing"][1:]
    assert without["events"]["forgotten"]


def test_what_was_deleted_in_between_is_told() -> None:
    """An export that comes too seldom has a gap; records before the first one were never missed."""
    tp = TopicPartition("web-events", 1)
    known = [Part(Path("x"), "web", 1, 0, 9)]
    there = [Stretch("web", tp, 15, 20), Stretch("call", TopicPartition("sales-call-events", 1), 5, 9)]
    wanted = exporting.missing(there, known, Path("x"))
    assert wanted == there
    (gap,) = exporting.gaps(wanted, known)
    assert gap == "web-events, partition 1: 5 records were deleted before they could be exported"
    (again,) = exporting.missing([Stretch("web", tp, 0, 20)], known, Path("x"))
    assert again.start == 10
    assert list(exporting.gaps([again], known)) == []


def test_a_broker_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    """Told in a line, and nothing is written."""
    away = settings.model_copy(update={"kafka": "127.0.0.1:1"})
    with pytest.raises(JourneyError, match="can't be reached"):
        exporting.export(away, tmp_path / "away", screen())
    assert list((tmp_path / "away").iterdir()) == []
