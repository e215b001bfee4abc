"""The bench of reports runs, on few prospects."""

from __future__ import annotations

import pytest

from benchmarks.reports import DATABASE, measure
from benchmarks.reports_questions import QUESTIONS
from benchmarks.reports_tables import markdown
from journey.local_clickhouse import EmbeddedClickHouse
from sinks.refresh import AGGREGATES, CHANGED, CREDIT_TOTALS, CREDITS, VISITS
from tests.clickhouse import ClickHouse

PROSPECTS = 3_000


@pytest.mark.slow
def test_every_figure_is_measured(clickhouse_server: EmbeddedClickHouse) -> None:
    """The data is the same every time, with older revisions and rows taken back; each view is refreshed, each question answered."""
    made = ClickHouse(clickhouse_server, DATABASE)
    try:
        results = measure(clickhouse_server, PROSPECTS, 1, lambda _: None)
        ((visits, repeated, kinds),) = made.query(
            "SELECT count(), countIf(notEmpty(repeats_at)), length(groupUniqArrayArray(kinds)) FROM visits"
        )
        ((digest, earliest),) = made.query(
            "SELECT sum(cityHash64(prospect_id, visit, step, entered_at, to_stage, amount)), min(revision) FROM stage_transitions FINAL"
        )
        assert made.query("SELECT count() FROM visits_now WHERE visit = 9") == [(0,)], "they were taken back"
        assert made.query("SELECT sum(entered) FROM conversion_facts WHERE stage = 'purchase'") == made.query(
            "SELECT count() FROM stage_transitions FINAL WHERE to_stage = 'purchase' AND kind != 'repeat'"
        )
        moved = made.query(
            "SELECT count() FROM stage_transitions FINAL WHERE revision < 4 AND kind NOT IN ('expired', 'back')"
        )
    finally:
        made.query(f"DROP DATABASE IF EXISTS {DATABASE}")
    sizes = results["sizes"]
    assert sizes["prospects"] == PROSPECTS < visits == sizes["visits"]
    assert sizes["transitions"] < sizes["stored_rows"]
    assert 0 < sizes["changed_prospects"] < PROSPECTS / 100
    assert sizes["raw_events"] >= 2 * moved[0][0]
    assert repeated > 0
    assert kinds == 7
    assert earliest == 2
    assert digest == 16066840585145505277, "the data has changed: figures of before can no longer be compared"
    assert list(results["views"]) == [CHANGED, VISITS, *AGGREGATES, CREDITS, CREDIT_TOTALS]
    assert [one["name"] for one in results["questions"]] == [question.name for question in QUESTIONS]
    assert all(one["median"] > 0 for one in results["questions"])
    assert markdown(results).count("| conversion_cohorts |") == 1
