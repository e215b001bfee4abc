"""Alert rules and board name only metrics and labels that exist, and each alert has its place in docs/operations.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import agents.metrics
import alerts.metrics
import journey.health
import sinks.metrics
from tests.promql import FROM_PROMETHEUS, fires, known, wrong_with

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
assert agents.metrics
assert alerts.metrics
assert sinks.metrics
assert journey.health
METRICS = known() | FROM_PROMETHEUS
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
PROMETHEUS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "health.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
NEVER_LABELS = re.compile(r"prospect|id$|key|email|phone|device|account|campaign|path|url")


def of(name: str) -> dict[str, Any]:
    """The rule of that name."""
    return next(rule for rule in RULES if rule["alert"] == name)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_is_whole(rule: dict[str, Any]) -> None:
    """What it names exists; it says how bad it is, what is the matter, and where to read on, which is there."""
    assert list(wrong_with(rule["expr"], METRICS)) == []
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "runbook"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = {heading.lower() for heading in re.findall(r"^### (\w+)$", (ROOT / page).read_text(), re.MULTILINE)}
    assert anchor in headings
    assert anchor == rule["alert"].lower()
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        grouped = re.findall(r"by \(([^)]*)\)", rule["expr"])
        mentioned = {"job", "instance"} if not grouped else set(", ".join(grouped).split(", "))
        assert label in mentioned | {
            name for found in re.findall(r"\w+", rule["expr"]) for name in METRICS.get(found, ())
        }


def test_each_runbook_has_its_rule() -> None:
    """No heading of docs/operations.md speaks of an alert that was renamed."""
    text = (ROOT / "docs" / "operations.md").read_text()
    headings = re.findall(r"^### (Journey\w+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in RULES)


def test_the_rules_are_those_that_prometheus_reads() -> None:
    """By the jobs that it scrapes, and the file that compose mounts."""
    assert PROMETHEUS["rule_files"] == ["/etc/prometheus/rules.yml"]
    jobs = {job["job_name"] for job in PROMETHEUS["scrape_configs"]}
    named = {name for rule in RULES for name in re.findall(r'job="([^"]+)"', rule["expr"])}
    patterns = {name for rule in RULES for name in re.findall(r'job=~"([^"]+)"', rule["expr"])}
    assert named <= jobs
    assert all(re.fullmatch(pattern, job) for pattern in patterns for job in jobs)


def test_no_label_holds_an_identifier() -> None:
    """Nor anything else from outside, nor what there can be any number of."""
    labels = {label for name, labels in known().items() if name.startswith("journey_") for label in labels}
    assert labels == {"topic", "reason", "count", "table", "agent", "what", "le", "change", "outcome", "target"}
    assert not any(NEVER_LABELS.search(label) for label in labels)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"{panel['id']}")
def test_a_panel_shows_what_exists(panel: dict[str, Any]) -> None:
    """Its queries name only metrics and labels that exist, its legends labels that the queries keep, and it says what it shows."""
    assert panel["title"]
    assert panel["description"]
    for target in panel["targets"]:
        assert list(wrong_with(target["expr"], METRICS)) == []
        kept = {name for found in re.findall(r"by \(([^)]*)\)", target["expr"]) for name in found.split(", ")}
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert label in (kept or {"job", "instance"})


def test_the_board_is_put_together() -> None:
    """Panels have ids of their own and don't overlap; all of it comes from the datasource that is provisioned."""
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    provisioned = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    (source,) = provisioned["datasources"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    assert {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]} == {source["uid"]}


def test_every_metric_is_shown_or_alerted_on() -> None:
    """What nobody looks at need not be told. Counts that the board leaves out are listed here."""
    told = " ".join(
        [*(rule["expr"] for rule in RULES), *(target["expr"] for panel in PANELS for target in panel["targets"])]
    )
    ours = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in known() if name.startswith("journey_")}
    unseen = {name for name in ours if not re.search(rf"\b{name}(_bucket)?\b", told)}
    assert unseen == {
        "journey_touches_total",
        "journey_taken_back_total",
        "journey_sink_batch_rows",
        "journey_sink_paused_since_seconds",
    }


def test_the_checks_find_what_is_wrong() -> None:
    """A misspelt metric, label or matcher is found, and so is an expression that this file can't evaluate."""
    assert list(wrong_with("journey_lag_second > 1", METRICS)) == ["journey_lag_second is no metric"]
    assert list(wrong_with('journey_lag_seconds{table="x"}', METRICS)) == ["journey_lag_seconds has no label table"]
    assert list(wrong_with("sum by (reason) (journey_lag_seconds)", METRICS)) == [
        "none of the metrics has the label reason"
    ]
    assert list(wrong_with("1 > 0", METRICS)) == ["names no metric"]
    assert list(wrong_with('absent(up{job="x"} == 1) or rate(journey_dead_total{reason!="y"}[5m])', METRICS)) == []


def test_clickhouse_away_is_known_within_a_minute() -> None:
    """In the worst case: the sink holds its batch until the rule's limit, which was just missed by a scrape, and that by an evaluation."""
    seconds = {
        name: int(PROMETHEUS["global"][name].removesuffix("s")) for name in ("scrape_interval", "evaluation_interval")
    }
    rule = of("JourneyClickHouseAway")
    held = int(re.findall(r"journey_sink_batch_seconds > (\d+)", rule["expr"])[0])
    assert held + sum(seconds.values()) + int(rule["for"].removesuffix("s")) <= 60
    assert fires(rule["expr"], [("journey_sink_paused", {}, 1.0)])
    assert fires(rule["expr"], [("journey_sink_paused", {}, 0.0), ("journey_sink_batch_seconds", {}, held + 1.0)])
    assert not fires(rule["expr"], [("journey_sink_paused", {}, 0.0), ("journey_sink_batch_seconds", {}, 0.5)])
