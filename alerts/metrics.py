"""What the notifier counts. Whoever runs it serves them. Targets are named in `alerts.toml`, so there are few."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ALERTS = Counter("journey_alerts", "Alerts read from stalled-prospects.", ["change"])
DELIVERIES = Counter("journey_alert_deliveries", "What became of alerts on their way.", ["target", "outcome"])
WAITING = Gauge(
    "journey_alerts_waiting", "Deliveries that are not over: to be sent, in a digest to come, or to be tried again."
)
FAILING = Gauge("journey_alert_target_failing", "1 while the target's last message was not taken, else 0.", ["target"])
