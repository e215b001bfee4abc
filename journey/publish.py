"""`journey publish`: people read this installation's numbers from now on."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from journey.behind import Behind, behind, worst
from journey.clickhouse import connected
from journey.errors import JourneyError
from journey.kafka_clients import admin_client, consumer_client
from journey.publishing import Switched, before_that, history, switch
from journey.reading import readable
from journey.screen import Screen
from journey.sending import running_kafka
from journey.settings import Settings
from sinks.refresh import refresh

_FACTS = "stage_transitions"


def publish(settings: Settings, live: str, screen: Screen, *, max_lag: float, force: bool, back: bool) -> int:
    """Publish this installation's views in the database `live`; returns the exit code.

    Args:
        settings: of the installation.
        live: the database that people read.
        screen: to say on what was done.
        max_lag: how old (seconds) the oldest record that is not worked off may be; 0: none may be left.
        force: don't look how far it is.
        back: publish what was published before instead, as it is.

    Raises:
        JourneyError: it is behind, or has no facts; `live` is no database to publish in; something can't be reached or refuses.
    """
    with readable(settings) as found, connected(found) as client:
        source = found.clickhouse_address.database
        if back:
            source = before_that(history(client, live) or _none(live), live)
        elif not force:
            _require_current(settings, max_lag)
            _require_facts(client)
            refresh(client)
        _tell(switch(client, live, source), live, screen)
    return 0


def _none(live: str) -> Any:
    raise JourneyError(f"nothing was published in {live}, so there is nothing to go back to")


def _require_facts(client: Any) -> None:
    rows = client.execute(
        "SELECT total_rows FROM system.tables WHERE database = currentDatabase() AND name = %(name)s", {"name": _FACTS}
    )
    if not rows or not rows[0][0]:
        raise JourneyError(
            "this installation has no facts",
            hint="is JOURNEY_CLICKHOUSE its database, and do its workers and its sink run? --force publishes it all the same",
        )


def _require_current(settings: Settings, max_lag: float) -> None:
    running = running_kafka(settings)
    if running is None:
        raise JourneyError(
            "JOURNEY_KAFKA is not set, so how far this installation is can't be known",
            hint="set it, or publish all the same with --force",
        )
    with admin_client(running) as admin, consumer_client(running) as consumer:
        left = behind(admin, consumer, running, embedded=not settings.kafka)
    if left and (worst(left) > max_lag or not max_lag):
        raise JourneyError(
            "this installation is behind its input: " + "; ".join(map(_left, left)),
            hint=f"wait until it has caught up (allowed are {max_lag:g} s, --max-lag); --force publishes it all the same",
        )


def _left(one: Behind) -> str:
    return f"{one.group} has {one.records:,} records of {one.topic} to go, the oldest {one.seconds:,.0f} s old"


def _tell(done: Switched, live: str, screen: Screen) -> None:
    before = "nothing was published before" if not done.before else f"before: {done.before}"
    lines = [f"{live} shows {done.now}: {len(done.views)} views ({before})"]
    if done.gone:
        lines.append(f"views that it doesn't have are gone: {', '.join(done.gone)}")
    if done.before and done.before != done.now:
        lines.append(f"`journey publish --database {live} --back` shows {done.before} again")
    screen.out.print(Text("\n".join(lines)))
