"""`journey dead-letters`: what was refused is seen, tried again once what was wrong is mended, and dropped."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.e2e.harness import event, journey, readable_in, rows
from tests.e2e.test_exact import FUNNELS, SETTINGS, found
from tests.generators import generate_events, write_ndjson
from tests.integration.test_pipeline import DAY, decoded, now_micros
from tests.oracle import truth_of
from tests.warehouse import expected

ENV = {"JOURNEY_ID_KEY": SETTINGS.id_key.decode(), "JOURNEY_PHONE_REGION": "US"}
SMALL = ENV | {"JOURNEY_MAX_EVENT_BYTES": "1024"}


def ids_in(listed: str) -> list[str]:
    """The letters in a list."""
    return re.findall(r"^([0-9a-f]{16})  ", listed, re.MULTILINE)


def test_a_retry_of_all_gives_the_oracles_facts_and_a_second_changes_nothing(tmp_path: Path) -> None:
    """Events that were too large by a setting: once it is right, they count as if they had passed the first time."""
    events = generate_events(31, 1_000, 80, start=now_micros() - 100 * DAY)
    for one in events[::3]:
        one["properties"] = {"note": "x" * 1_000}
    write_ndjson(tmp_path / "events.ndjson", events)
    told = journey("run", "events.ndjson", cwd=tmp_path, env=SMALL)
    refused = int(re.search(r"([\d,]+)  dead letters: too_large", told)[1].replace(",", ""))  # type: ignore[index]
    assert refused == len(events[::3])
    assert f"{refused:,} letters, 5 shown" in journey(
        "dead-letters", "list", "--reason", "too_large", "--limit", "5", cwd=tmp_path
    )

    told = journey("dead-letters", "retry", "--all", cwd=tmp_path, env=ENV)
    assert f"{refused:,} letters sent again" in told
    files = [tomllib.loads(FUNNELS[0].read_text())]
    truth = expected(truth_of([decoded(one) for one in events], files, SETTINGS, now_micros()))
    with readable_in(tmp_path / ".journey"):
        assert found(tmp_path / ".journey") == truth
        assert "0 letters" in journey("dead-letters", "list", cwd=tmp_path)

    assert "0 letters sent again" in journey("dead-letters", "retry", "--all", cwd=tmp_path, env=ENV)
    with readable_in(tmp_path / ".journey"):
        assert found(tmp_path / ".journey") == truth
        marked = rows("SELECT outcome, count() AS letters FROM dead_letters FINAL GROUP BY ALL", tmp_path, ".journey")
    assert [(row["outcome"], int(row["letters"])) for row in marked] == [("retried", refused)]


def test_what_is_refused_again_waits_again(tmp_path: Path) -> None:
    """Under the name it had, by where it came from first; what is no event can't be sent; what is dropped is off the list."""
    lines = [
        event("1", "web", "page_view", "2026-01-01T10:00:00Z", user_id="u1"),
        event("2", "web", "page_view", "2026-01-01T10:00:00Z", anonymous_id="undefined"),
        "no event",
    ]
    (tmp_path / "events.ndjson").write_text("\n".join(lines))
    journey("run", "events.ndjson", cwd=tmp_path, env=ENV)
    before = journey("dead-letters", "list", cwd=tmp_path)
    assert len(ids_in(before)) == 2
    assert "events.ndjson/0/3" in before
    assert "1 letters sent again, 1 can't be: no event is in them" in journey(
        "dead-letters", "retry", "--all", cwd=tmp_path, env=ENV
    )
    with readable_in(tmp_path / ".journey"):
        assert ids_in(journey("dead-letters", "list", cwd=tmp_path)) == ids_in(before)
        (nobody,) = ids_in(journey("dead-letters", "list", "--reason", "no_identifier", cwd=tmp_path))
        shown = journey("dead-letters", "show", nobody, cwd=tmp_path, env=ENV)
        assert re.search(r"origin +web-events/\d/0", shown)
        assert '"anonymous_id": "undefined"' in shown
        assert "1 letters dropped" in journey("dead-letters", "drop", nobody, cwd=tmp_path)
        left = journey("dead-letters", "list", "--since", "1h", cwd=tmp_path)
        assert ids_in(left) == [one for one in ids_in(before) if one != nobody]
        assert "dropped" in journey("dead-letters", "list", "--settled", cwd=tmp_path)


def test_which_letters_has_to_be_said(tmp_path: Path) -> None:
    """Nothing is sent or dropped by mistake; and errors say what was expected."""
    for wrong in (("retry",), ("drop",), ("retry", "--all", "--reason", "too_large")):
        assert "expected ids or options that say which letters, or --all" in journey(
            "dead-letters", *wrong, cwd=tmp_path, code=2
        )
    assert "there are no facts" in journey("dead-letters", "list", cwd=tmp_path, code=1)
