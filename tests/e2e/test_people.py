"""`journey link`, `split` and `forget` on the embedded stack."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from journey.reading import readable
from journey.settings import Settings
from tests.e2e.harness import ask, journey
from tests.e2e.people import ADA, BOB, CANARY, EMAIL, REFUSED, USER, Contents, contents, files_with, write

IN = ("--data-dir", "data")


class Place(NamedTuple):
    """Where commands run, and what the tables said at first."""

    cwd: Path
    settings: Settings
    first: Contents


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A data directory with Ada's and Bob's events."""
    cwd = tmp_path_factory.mktemp("people")
    journey("run", write(cwd / "events.ndjson", [*ADA, *BOB, *REFUSED]), *IN, cwd=cwd)
    settings = Settings(data_dir=cwd / "data")
    return Place(cwd, settings, contents(settings))


@pytest.mark.slow
def test_a_split_takes_a_link_back_exactly(place: Place) -> None:
    """Linked, Bob is Ada; split again, every fact is as it was."""
    told = journey("link", "user_id:bob", f"user_id:{USER}", *IN, cwd=place.cwd)
    assert "goes on to" in told
    prospects = "prospects FINAL"
    assert len(contents(place.settings).facts[prospects]) < len(place.first.facts[prospects])
    assert "goes on to" not in journey("split", "user_id:bob", f"user_id:{USER}", *IN, cwd=place.cwd)
    assert contents(place.settings).facts == place.first.facts


@pytest.mark.slow
def test_what_can_be_no_link_is_refused(place: Place) -> None:
    """Before anything is sent."""
    assert "not weaker" in journey("link", f"user_id:{USER}", f"email:{EMAIL}", *IN, cwd=place.cwd, code=1)


@pytest.mark.slow
def test_the_forgotten_are_nowhere_and_stay_away(place: Place) -> None:
    """Ada is in no table, log or file, also after all her events came again, and Bob's facts are what they were."""
    cwd, settings = place.cwd, place.settings
    assert "only theirs" in ask("forget", f"email:{EMAIL}", "--dry-run", *IN, cwd=cwd)
    assert any(files_with(CANARY, cwd / "data"))
    told = journey("forget", f"email:{EMAIL}", "--yes", *IN, cwd=cwd)
    assert "2 letters" in told
    assert list(files_with(CANARY, cwd / "data")) == []
    with readable(settings):
        after = contents(settings)
        assert "nothing is known" in ask("who", f"user_id:{USER}", *IN, cwd=cwd, code=1)
    assert CANARY.decode() not in after.everything
    assert after.letters == 1
    for name, before in place.first.facts.items():
        if "FINAL" in name:
            assert set(after.facts[name]) <= set(before)
    assert len(after.facts["prospects FINAL"]) == 1

    told = journey("run", write(cwd / "again.ndjson", [*BOB[::-1], *ADA[::-1]]), *IN, cwd=cwd)
    assert f"{len(ADA)}  turned away" in told
    again = contents(settings)
    assert again.facts == after.facts
    assert CANARY.decode() not in again.everything
