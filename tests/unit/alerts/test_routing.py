"""Which alerts take which routes, and when digests are due."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerts.config import Route
from alerts.routing import Routing, digest_due, window_of
from funnel.alerts import Alert
from tests.unit.alerts.files import MINUTE, NOW, alert, alerts_file


def _names(path: Path, routes: str, one: Alert, told: frozenset[str] = frozenset()) -> list[str]:
    routing = Routing(alerts_file(path, routes))
    return [route.name for route in routing.routes_of(one, told.__contains__)]


def _route(name: str, more: str = "") -> str:
    return f'\n[[routes]]\nname = "{name}"\nto = "crm"\n{more}\n'


def test_every_route_that_matches_is_taken(tmp_path: Path) -> None:
    """In their order; what is not given matches anything."""
    assert _names(tmp_path, _route("a") + _route("b"), alert()) == ["a", "b"]


@pytest.mark.parametrize(
    ("condition", "fields", "fits"),
    [
        ('funnel = "sales"', {}, True),
        ('funnel = ["b2b", "s*"]', {}, True),
        ('funnel = "b2b"', {}, False),
        ('stage = "Consideration"', {}, False),
        ('team = "sales"', {"team": ""}, False),
        ('rep = "sam"', {}, True),
        ('account = "ac?e"', {}, True),
        ('campaign = "spring"', {"campaign": "autumn"}, False),
        ('kind = "response"', {}, False),
        ("min_amount = 12000", {}, True),
        ("min_amount = 12000.01", {}, False),
        ('min_amount = 1\ncurrency = "USD"', {}, False),
        ("min_level = 1", {}, False),
        ("min_level = 1", {"level": 1}, True),
        ("max_level = 0", {"level": 0}, True),
    ],
)
def test_conditions(condition: str, fields: dict[str, object], fits: bool, tmp_path: Path) -> None:
    """All of a route's have to fit."""
    assert _names(tmp_path, _route("a", condition), alert(**fields)) == (["a"] if fits else [])


def test_who_hears_of_early_levels_hears_of_what_was_noticed_late(tmp_path: Path) -> None:
    """After downtime an episode may begin escalated; it is told once."""
    routes = _route("early", "max_level = 0")
    assert _names(tmp_path, routes, alert(level=2)) == ["early"]
    assert _names(tmp_path, routes, alert(level=2), frozenset({"early"})) == []


def _at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("when", "now", "due"),
    [
        ("now", "2024-05-01T12:00:00", None),
        ("hourly", "2024-05-01T12:00:00", "2024-05-01T13:00:00"),
        ("hourly", "2024-05-01T12:59:59", "2024-05-01T13:00:00"),
        ("daily 08:30", "2024-05-01T08:29:59", "2024-05-01T08:30:00"),
        ("daily 08:30", "2024-05-01T08:30:00", "2024-05-02T08:30:00"),
        ("daily 08:30 Europe/Berlin", "2024-05-01T07:00:00", "2024-05-02T06:30:00"),
        # The clocks go back that night: in Berlin it is winter time at half past eight.
        ("daily 08:30 Europe/Berlin", "2024-10-26T20:00:00", "2024-10-27T07:30:00"),
        # There is no half past two that night; what the clock would have shown without the change is half past three.
        ("daily 02:30 Europe/Berlin", "2024-03-30T20:00:00", "2024-03-31T01:30:00"),
        # There are two; the first counts.
        ("daily 02:30 Europe/Berlin", "2024-10-26T20:00:00", "2024-10-27T00:30:00"),
    ],
)
def test_digests_are_due(when: str, now: str, due: str | None) -> None:
    """At the next full hour, or the next time that clocks show it."""
    route = Route(name="a", to=("crm",), when=when)
    assert digest_due(route, _at(now)) == (None if due is None else _at(due))


def test_windows_follow_each_other() -> None:
    """What is counted together is of one minute, hour or day."""
    route = Route(name="a", to=("crm",), limit="5 per minute")
    assert window_of(route, NOW + 20_000_000) == (NOW, NOW + MINUTE)
    assert window_of(route, NOW + MINUTE)[0] == NOW + MINUTE
