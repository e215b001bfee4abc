"""What people read: subjects and bodies from templates (Jinja2, sandboxed), and the same as data for programs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from funnel.alerts import OPENED, RESOLVED, Alert
from funnel.durations import MICROSECONDS
from funnel.facts import STALL

SUBJECT = (
    "{{ stage }}: {{ account_id or prospect_id }} "
    "{% set what = 'unanswered' if kind == 'response' else 'stalled' %}"
    "{% if change == 'resolved' %}is no longer {{ what }} ({{ resolution }})"
    "{% else %}{{ what }} for {{ stalled_for }}{% if level %}, escalated ({{ level }}){% endif %}{% endif %}"
    "{% if rep %} · {{ rep }}{% endif %}"
)
BODY = """\
Prospect {{ prospect_id }}{% if account_id %} of {{ account_id }}{% endif %} in {{ funnel }} / {{ stage }}{% if team %} ({{ team }}){% endif %}
{% if change == 'resolved' %}Ended: {{ resolution }}, {{ resolved_at }}
{% elif kind == 'response' %}Handed over {{ stage_entered_at }}, and not touched yet; late since {{ deadline }}
{% else %}Nothing has happened since {{ last_activity_at }}; stalled since {{ deadline }}
{% endif %}In this stage since {{ stage_entered_at }}{% if last_type %}; last event: {{ last_channel }} {{ last_type }}{% endif %}
{% if amount %}Value: {{ amount }} {{ currency }}
{% endif %}{% if rep %}Ask: {{ rep }}
{% endif %}{% if campaign %}Came by: {{ campaign }}
{% endif %}"""
SHOWN_IN_DIGEST = 30
"""Lines of a digest for people; the rest is counted."""
_LONGEST = 20_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


class Text(NamedTuple):
    """What a person reads."""

    subject: str
    body: str


@cache
def _template(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    return environment.from_string(source)


def check_template(source: str) -> str:
    """The template.

    Raises:
        ValueError: it can't be read, or uses what there is not.
    """
    try:
        _template(source).render(context_of(SAMPLE, 0))
    except (TemplateError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        names = ", ".join(context_of(SAMPLE, 0))
        raise ValueError(f"expected a Jinja2 template with any of {names} ({error})") from None
    return source


def context_of(alert: Alert, now: int) -> Mapping[str, Any]:
    """What templates may use.

    Args:
        alert: what is told.
        now: the wall clock (microseconds).
    """
    until = now if alert.resolved_at is None else alert.resolved_at
    return {
        **{name: _clean(value) for name, value in alert._asdict().items() if isinstance(value, str)},
        "alert_id": str(uuid.UUID(bytes=alert.alert_id)),
        "prospect_id": str(uuid.UUID(bytes=alert.prospect_id)),
        "visit": alert.visit,
        "level": alert.level,
        "amount": Decimal(alert.amount).scaleb(-2) if alert.amount else Decimal(0),
        "stalled_for": duration(until - alert.deadline),
        **{name: time(getattr(alert, name)) for name in _TIMES},
    }


def text_of(alert: Alert, now: int, subject: str | None, body: str | None) -> Text:
    """One alert for people, by a route's templates or ours."""
    context = context_of(alert, now)
    return Text(_rendered(subject or SUBJECT, context).replace("\n", " ").strip(), _rendered(body or BODY, context))


def digest_of(alerts: Sequence[Alert], now: int, subject: str | None) -> Text:
    """Many alerts for people: a line each, those that are worth most first."""
    stalled = sum(alert.change != RESOLVED for alert in alerts)
    ended = len(alerts) - stalled
    what = "stalled" if all(alert.kind == STALL for alert in alerts) else "stalled or unanswered"
    title = f"{stalled:,} prospects {what}" + (f", {ended:,} no longer" if ended else "")
    ordered = sorted(alerts, key=lambda alert: (alert.change == RESOLVED, -alert.amount, alert.deadline))
    lines = [text_of(alert, now, subject, "").subject for alert in ordered[:SHOWN_IN_DIGEST]]
    if len(ordered) > SHOWN_IN_DIGEST:
        lines.append(f"... and {len(ordered) - SHOWN_IN_DIGEST:,} more: see the view `stalled`")
    return Text(title, "\n".join(lines))


def data_of(alert: Alert) -> dict[str, Any]:
    """One alert for programs: times in ISO 8601, amounts as text, null where nothing is known."""
    return {
        **alert._asdict(),
        "alert_id": str(uuid.UUID(bytes=alert.alert_id)),
        "prospect_id": str(uuid.UUID(bytes=alert.prospect_id)),
        "amount": str(Decimal(alert.amount).scaleb(-2)) if alert.amount else None,
        **{name: iso(getattr(alert, name)) for name in _TIMES},
    }


def iso(micros: int | None) -> str | None:
    """A time (microseconds, UTC) in ISO 8601."""
    if micros is None:
        return None
    return datetime.fromtimestamp(micros // MICROSECONDS, UTC).replace(microsecond=micros % MICROSECONDS).isoformat()


def time(micros: int | None) -> str:
    """A time (microseconds, UTC) as people write it; '' where there is none."""
    return "" if micros is None else f"{datetime.fromtimestamp(micros // MICROSECONDS, UTC):%Y-%m-%d %H:%M} UTC"


def duration(micros: int) -> str:
    """How long, in the two largest units: `3d 4h`."""
    left = max(0, micros) // MICROSECONDS
    parts: list[str] = []
    for unit, seconds in _UNITS:
        if left >= seconds or (unit == "m" and not parts):
            parts.append(f"{left // seconds}{unit}")
            left %= seconds
    return " ".join(parts[:2])


def _rendered(template: str, context: Mapping[str, Any]) -> str:
    return _template(template).render(context)[:_LONGEST]


def _clean(text: str) -> str:
    """Without what would steer a terminal or turn a line round: campaigns and accounts come from outside."""
    return _CONTROL.sub(" ", text)


_TIMES = ("deadline", "noticed_at", "resolved_at", "stage_entered_at", "last_activity_at")
SAMPLE = Alert(
    alert_id=bytes(16), change=OPENED, prospect_id=bytes(16), funnel="sales", visit=1, stage="consideration", team="sales",
    deadline=1_700_000_000_000_000, level=0, noticed_at=1_700_000_001_000_000, resolved_at=None, resolution="",
    account_id="acme", rep="sam", amount=1_200_000, currency="EUR", campaign="spring", stage_entered_at=1_699_000_000_000_000,
    last_activity_at=1_699_400_000_000_000, last_channel="call", last_type="completed",
)  # fmt: skip
"""An alert to try templates and targets with."""
