"""Which alerts go where, and when: pure, by the file `alerts.toml` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from alerts.config import Alerts, Route
from funnel.alerts import Alert
from funnel.durations import MICROSECONDS
from funnel.globs import compile_globs

_HOUR = 3_600 * MICROSECONDS


class Routing:
    """The routes, ready to be asked."""

    def __init__(self, alerts: Alerts) -> None:
        self._routes = [(route, _matcher(route)) for route in alerts.routes]

    def routes_of(self, alert: Alert, told: Callable[[str], bool]) -> Iterable[Route]:
        """The routes that an alert takes.

        Args:
            alert: what is told.
            told: whether a route, by its name, has told of the same episode before. An episode that was noticed late, when it had been escalated
                already, is told by the routes of earlier levels, too.
        """
        for route, matches in self._routes:
            if alert.level < route.min_level or not matches(alert):
                continue
            if route.max_level is not None and alert.level > route.max_level and told(route.name):
                continue
            yield route


def window_of(route: Route, now: int) -> tuple[int, int]:
    """Between which times (microseconds) messages are counted together for the route's limit."""
    period = route.period * MICROSECONDS
    begins = now - now % period
    return begins, begins + period


def digest_due(route: Route, now: int) -> int | None:
    """When (microseconds) the next digest goes out; None where the route sends alerts as they come."""
    if route.when == "hourly":
        return now - now % _HOUR + _HOUR
    if route.daily is None:
        return None
    hour, minute, zone = route.daily
    local = datetime.fromtimestamp(now / MICROSECONDS, zone)
    day = local.date()
    while True:
        # Of a time that a day has twice the first counts; one that it skips is as long after midnight as the clock would have shown.
        due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
        micros = round(due.timestamp()) * MICROSECONDS
        if micros > now:
            return micros
        day += timedelta(days=1)


def _matcher(route: Route) -> Callable[[Alert], bool]:
    texts = [
        (field, compile_globs(globs))
        for field, globs in (
            ("kind", route.kind),
            ("funnel", route.funnel),
            ("stage", route.stage),
            ("team", route.team),
            ("rep", route.rep),
            ("account_id", route.account),
            ("campaign", route.campaign),
        )
        if globs != ("*",)
    ]
    least = round(route.min_amount * 100)

    def matches(alert: Alert) -> bool:
        if alert.amount < least or (route.currency and alert.currency != route.currency):
            return False
        return all(fits(getattr(alert, field)) for field, fits in texts)

    return matches
