"""`journey dead-letters`: what was refused is seen, tried again once what was wrong is mended, and dropped."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from funnel.events import Event
from schemas.catalog import SUBJECT_OF_CHANNEL
from schemas.confluent import ConfluentRegistry
from tests.e2e.harness import ask, event, journey, readable_in, rows
from tests.e2e.test_exact import FUNNELS, SETTINGS, found
from tests.generators import generate_events, write_ndjson
from tests.integration.test_pipeline import DAY, decoded, now_micros
from tests.oracle import truth_of
from tests.schema_registry import PASSWORD, USER, Server, running_registry
from tests.warehouse import expected

ENV = {"JOURNEY_ID_KEY": SETTINGS.id_key.decode(), "JOURNEY_PHONE_REGION": "US"}
SMALL = ENV | {"JOURNEY_MAX_EVENT_BYTES": "1024"}


def ids_in(listed: str) -> list[str]:
    """The letters in a list."""
    return re.findall(r"^([0-9a-f]{16})  ", listed, re.MULTILINE)


class Tried(NamedTuple):
    """A data directory in which letters were written and all of them tried again."""

    cwd: Path
    events: list[Event]
    """Of which every third was too large, by a setting that is right since, and of the others the mails had a schema that was wrong."""
    before: str
    """What was listed at first."""
    told: str
    """What the retry said."""

    @property
    def data(self) -> Path:
        """Where the facts are."""
        return self.cwd / ".journey"


@pytest.fixture(scope="module")
def registry() -> Iterator[Server]:
    """A schema registry that knows our schemas."""
    with running_registry() as server:
        with ConfluentRegistry(server.url, username=USER, password=PASSWORD) as client:
            for subject in SUBJECT_OF_CHANNEL.values():
                client.register(subject)
        yield server


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, registry: Server) -> Tried:
    """Good events among them, one that is nobody's, and a line that is no event."""
    cwd = tmp_path_factory.mktemp("letters")
    events = generate_events(31, 1_000, 80, start=now_micros() - 100 * DAY)
    for one in events[::3]:
        one["properties"] = {"note": "x" * 1_000}
    write_ndjson(cwd / "events.ndjson", events)
    with (cwd / "events.ndjson").open("a") as lines:
        print(event("2", "web", "page_view", "2026-01-01T10:00:00Z", anonymous_id="undefined"), file=lines)
        print("no event", file=lines)
    env = registry_of(registry)
    registry.mistaken = {"email-events-value"}
    told = journey("run", "events.ndjson", cwd=cwd, env=SMALL | env)
    assert f"{len(events[::3]):,}  dead letters: too_large" in told
    assert f"{len(mails_in(events)) + 1:,}  dead letters: undecodable" in told, "and the line that is none"
    before = ask("dead-letters", "list", "--limit", "1000", cwd=cwd)
    registry.mistaken = set()
    return Tried(cwd, events, before, journey("dead-letters", "retry", "--all", cwd=cwd, env=ENV | env))


def mails_in(events: list[Event]) -> list[Event]:
    """Those that were not too large."""
    return [one for number, one in enumerate(events) if number % 3 and one["channel"] == "email"]


def registry_of(server: Server) -> dict[str, str]:
    """Settings of who asks it."""
    return {
        "JOURNEY_SCHEMA_REGISTRY": server.url,
        "JOURNEY_SCHEMA_REGISTRY_USER": USER,
        "JOURNEY_SCHEMA_REGISTRY_PASSWORD": PASSWORD,
    }


@pytest.mark.slow
def test_a_retry_of_all_gives_the_oracles_facts_and_a_second_changes_nothing(tried: Tried, registry: Server) -> None:
    """Events that were too large by a setting, or of a schema that was wrong: once that is mended, they count as if they had passed the first time."""
    refused, misread = len(tried.events[::3]), len(mails_in(tried.events))
    assert misread > 20
    assert f"{refused + misread + 1:,} letters sent again" in tried.told
    files = [tomllib.loads(FUNNELS[0].read_text())]
    truth = expected(truth_of([decoded(one) for one in tried.events], files, SETTINGS, now_micros()))
    too_large = ("dead-letters", "list", "--reason", "too_large")
    with readable_in(tried.data):
        assert found(tried.data) == truth
        assert "0 letters" in ask(*too_large, cwd=tried.cwd)
        assert f"{refused:,} letters, 5 shown" in ask(*too_large, "--settled", "--limit", "5", cwd=tried.cwd)

    again = journey("dead-letters", "retry", "--reason", "too_large", cwd=tried.cwd, env=ENV | registry_of(registry))
    assert "0 letters sent again" in again
    with readable_in(tried.data):
        assert found(tried.data) == truth
        marked = rows(
            "SELECT reason, outcome, count() AS letters FROM dead_letters FINAL WHERE outcome != '' GROUP BY ALL ORDER BY reason",
            tried.cwd,
            ".journey",
        )
    assert [(row["reason"], row["outcome"], int(row["letters"])) for row in marked] == [
        ("too_large", "retried", refused),
        ("undecodable", "retried", misread),
    ]


@pytest.mark.slow
def test_what_is_refused_again_waits_again(tried: Tried, registry: Server) -> None:
    """Under the name it had, by where it came from first; what is no event can't be sent; what is dropped is off the list."""
    assert f"events.ndjson/0/{len(tried.events) + 2}" in tried.before
    assert "letters sent again, 1 can't be: no event is in them" in tried.told
    with readable_in(tried.data):
        waiting = ids_in(ask("dead-letters", "list", cwd=tried.cwd))
        assert len(waiting) == 2
        assert set(waiting) < set(ids_in(tried.before))
        (nobody,) = ids_in(ask("dead-letters", "list", "--reason", "no_identifier", cwd=tried.cwd))
        shown = ask("dead-letters", "show", nobody, cwd=tried.cwd, env=ENV | registry_of(registry))
        assert re.search(r"origin +web-events/\d/\d+", shown)
        assert '"anonymous_id": "undefined"' in shown
        assert "1 letters dropped" in ask("dead-letters", "drop", nobody, cwd=tried.cwd)
        left = ask("dead-letters", "list", "--since", "1h", cwd=tried.cwd)
        assert ids_in(left) == [one for one in waiting if one != nobody]
        assert "dropped" in ask("dead-letters", "list", "--settled", "--limit", "1000", cwd=tried.cwd)


def test_which_letters_has_to_be_said(tmp_path: Path) -> None:
    """Nothing is sent or dropped by mistake; and errors say what was expected."""
    for wrong in (("retry",), ("drop",), ("retry", "--all", "--reason", "too_large")):
        assert "expected ids or options that say which letters, or --all" in ask(
            "dead-letters", *wrong, cwd=tmp_path, code=2
        )
    assert "there are no facts" in ask("dead-letters", "list", cwd=tmp_path, code=1)
