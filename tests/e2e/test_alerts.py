"""Somebody is told while `journey up` runs; a file can be tried before."""

from __future__ import annotations

import random
import signal
import time
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.ndjson import parse_line
from tests.e2e.harness import ask, event, journey, rows, start, wait_until
from tests.integration.test_pipeline import now_micros
from tests.oracle import Settings, truth_of
from tests.recorder import Answer, Recorder

FUNNEL = """
name = "leads"
window = "60d"
[[stage]]
name = "lead"
stall_after = "3s"
enter = [ { channel = "web" } ]
[[stage]]
name = "customer"
enter = [ { type = "purchase" } ]
"""
ALERTS = """
[targets.crm]
type = "webhook"
url = "{crm}"
secret_env = "CRM_SECRET"
allow_private = true
give_up_after = "0s"
[targets.refusing]
type = "webhook"
url = "{refusing}"
secret_env = "CRM_SECRET"
allow_private = true
[[routes]]
name = "all"
to = ["crm", "refusing"]
"""


def a_year(now: datetime) -> list[str]:
    """What sixty people did in the year before: most of them were stalled again and again, and some still are."""
    rng = random.Random(5)
    days = [(number, rng.uniform(0.01, 365)) for number in range(60) for _ in range(rng.randint(1, 6))]
    return [
        event(
            f"y{index}",
            "web",
            "purchase" if rng.random() < 0.15 else "page_view",
            (now - timedelta(days=ago)).isoformat(),
            user_id=f"u{number}",
        )
        for index, (number, ago) in enumerate(days)
    ]


@pytest.mark.slow
def test_who_is_stalled_is_told(tmp_path: Path) -> None:
    """Of a year that is replayed those who are stalled now, and nobody else; then who stalls next, once, by name of its account, and that it is over.

    What a target refused is listed, and no secret is shown.
    """
    year = a_year(datetime.now(UTC))
    key = tmp_path / ".journey" / "id.key"
    secret = "a secret that nobody may read"
    (tmp_path / "leads.toml").write_text(FUNNEL)
    with Recorder() as crm, Recorder(lambda _: Answer(403)) as refusing:
        (tmp_path / "alerts.toml").write_text(ALERTS.format(crm=crm.url, refusing=refusing.url))
        variables = {"JOURNEY_ALERTS": "alerts.toml", "CRM_SECRET": secret}
        said = ask("alerts", "test", "all", cwd=tmp_path, env=variables, code=1)
        assert "crm: delivered" in said
        assert "refusing: HTTP 403" in said
        assert crm.requests.pop().json["text"]["subject"].startswith("[test] ")
        up = start(["up", "--funnel", "leads.toml"], tmp_path, **variables)
        try:
            now = lambda: datetime.now(UTC).isoformat()  # noqa: E731
            wait_until(lambda: (tmp_path / ".journey" / "logs" / "notifier.log").exists(), "the notifier")
            wait_until(lambda: "Stop" in (up.stdout.readline() if up.stdout else ""), "it runs")
            journey("produce", "-", cwd=tmp_path, stdin="\n".join(year))
            settings = Settings(id_key=key.read_bytes().strip(), phone_region="US")
            truth = truth_of(
                [parse_line(line.encode()) for line in year], [tomllib.loads(FUNNEL)], settings, now_micros()
            )
            stalled = {str(one.prospect_id) for one in truth.prospects if one.stalled_since is not None}
            assert 10 < len(stalled) < len(truth.prospects) - 10, "some are, and some are not any more"
            wait_until(lambda: len(crm.requests) >= len(stalled), "those who are stalled now are told")
            view = event("1", "web", "page_view", now(), user_id="ann", account_id="acme")
            journey("produce", "-", cwd=tmp_path, stdin=view)
            wait_until(lambda: len(crm.requests) > len(stalled), "the stall is told")
            assert sorted(one.json["data"]["prospect_id"] for one in crm.requests[:-1]) == sorted(stalled)
            time.sleep(0.01)
            again = event("2", "web", "page_view", now(), user_id="ann", account_id="acme")
            journey("produce", "-", cwd=tmp_path, stdin=again)
            wait_until(lambda: any(one.json["type"] == "stall.resolved" for one in crm.requests), "its end is told")
        finally:
            up.send_signal(signal.SIGINT)
            _, err = up.communicate(timeout=90)
        assert up.returncode == 0, err
    told = crm.requests[len(stalled)].json
    assert (told["type"], told["data"]["account_id"], told["data"]["stage"]) == ("stall.opened", "acme", "lead")
    assert len({one.id for one in crm.requests}) == len(crm.requests)
    said = ask("alerts", "list", cwd=tmp_path)
    assert "HTTP 403" in said
    states = rows(
        "SELECT DISTINCT target, state FROM alert_deliveries FINAL ORDER BY target, state", tmp_path, ".journey"
    )
    assert {"target": "crm", "state": "sent"} in states
    for log in (tmp_path / ".journey" / "logs").iterdir():
        assert secret not in log.read_text(errors="replace")
