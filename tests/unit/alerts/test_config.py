"""What an alerts file may say, and what is said of mistakes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.errors import AlertsFileError
from tests.unit.alerts.files import SECRETS, TARGETS, alerts_file

ROUTE = """
[[routes]]
name = "all"
to = ["crm", "slack"]
"""


def test_defaults(tmp_path: Path) -> None:
    """A route needs a name and targets; all else has a default."""
    alerts = alerts_file(tmp_path, ROUTE)
    route = alerts.routes[0]
    assert (route.when, route.most, route.period, route.min_level, route.max_level) == ("now", 20, 3_600, 0, None)
    assert alerts.targets["crm"].resolved
    assert not alerts.targets["slack"].resolved
    assert not alerts.targets["ops"].allow_private


def test_secrets_come_from_the_environment_and_are_never_shown(tmp_path: Path) -> None:
    """Neither by repr nor in what is dumped."""
    alerts = alerts_file(tmp_path, ROUTE)
    shown = repr(alerts) + str(alerts.model_dump())
    for secret in SECRETS.values():
        assert secret not in shown
    assert alerts.targets["ops"].token.get_secret_value() == "open sesame"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("routes", "targets", "said"),
    [
        ("", TARGETS, "routes: field required"),
        (ROUTE.replace('["crm", "slack"]', '"pager"'), TARGETS, "route all: to: expected targets of this file (crm, ops, slack), not pager"),
        (ROUTE + ROUTE, TARGETS, "two routes are named all"),
        (ROUTE + 'when = "weekly"', TARGETS, 'routes.0.when: expected "now", "hourly", or "daily HH:MM"'),
        (ROUTE + 'when = "daily 08:30 Europe/Nowhere"', TARGETS, "expected a time zone of the IANA database"),
        (ROUTE + 'limit = "many"', TARGETS, "routes.0.limit: expected a number per minute, hour or day"),
        (ROUTE + 'subject = "{{ nobody }}"', TARGETS, "routes.0.subject: expected a Jinja2 template with any of"),
        (ROUTE + "subject = \"{{ ''.__class__.__mro__ }}\"", TARGETS, "routes.0.subject: expected a Jinja2 template"),
        (ROUTE + "colour = 1", TARGETS, "routes.0.colour: extra inputs are not permitted"),
        (ROUTE + "min_level = 2\nmax_level = 1", TARGETS, "expected max_level to be at least min_level (2)"),
        (ROUTE, TARGETS.replace('"webhook"', '"pigeon"'), "targets.crm: input tag 'pigeon'"),
        (ROUTE, TARGETS.replace("https://crm", "ftp://crm"), "targets.crm.url: expected an http(s) URL"),
        (ROUTE, TARGETS.replace("CRM_SECRET", "NOT_SET"), "targets.crm.secret_env: expected the environment variable NOT_SET to be set"),
        (ROUTE, TARGETS + 'timeout = "soon"', "targets.slack.timeout: expected a duration"),
        ("[[", TARGETS, "expected a readable TOML file"),
    ],
)  # fmt: skip
def test_mistakes_are_named(routes: str, targets: str, said: str, tmp_path: Path) -> None:
    """File, key, and what was expected."""
    with pytest.raises(AlertsFileError) as caught:
        alerts_file(tmp_path, routes, targets)
    assert said in str(caught.value)
    assert str(tmp_path / "alerts.toml") in str(caught.value)
    assert not any(secret in str(caught.value) for secret in SECRETS.values())
