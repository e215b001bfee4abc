"""Alerts files and alerts for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alerts.config import Alerts, load_alerts
from alerts.render import SAMPLE
from funnel.alerts import RESOLVED, Alert

SECRETS = {
    "CRM_SECRET": "whsec_c2VjcmV0IG9mIHRoZSBDUk0=",
    "SLACK_URL": "json://slack.example.com/hook",
    "AM_TOKEN": "open sesame",
}
TARGETS = """
[targets.crm]
type = "webhook"
url = "https://crm.example.com/hooks/stalls"
secret_env = "CRM_SECRET"

[targets.ops]
type = "alertmanager"
url = "https://alertmanager.example.com"
token_env = "AM_TOKEN"

[targets.slack]
type = "apprise"
url_env = "SLACK_URL"
"""
MINUTE = 60_000_000
NOW = 1_700_000_040_000_000
"""A full minute: 22:14:00 UTC."""


def alerts_file(path: Path, routes: str, targets: str = TARGETS, secrets: Mapping[str, str] = SECRETS) -> Alerts:
    """What a file with these routes says."""
    file = path / "alerts.toml"
    file.write_text(targets + routes)
    return load_alerts(file, secrets)


def alert(number: int = 0, **fields: object) -> Alert:
    """An alert of its own for each number."""
    return SAMPLE._replace(
        alert_id=number.to_bytes(16, "big"),
        prospect_id=number.to_bytes(16, "little"),
        **fields,  # type: ignore[arg-type]
    )


def ended(one: Alert, at: int = NOW, how: str = "active") -> Alert:
    """What is told when it is over."""
    return one._replace(change=RESOLVED, resolved_at=at, resolution=how)
