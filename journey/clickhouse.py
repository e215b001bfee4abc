"""ClickHouse as the command line uses it: through the native protocol, reading, and migrating."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver.errors import Error as DriverError

from funnel.definition import Funnel
from journey.clickhouse_address import MASK, ClickHouseAddress
from journey.errors import JourneyError
from journey.settings import Settings
from reports.half_life import set_half_life
from sinks.errors import SinkError
from sinks.funnels import write_funnels
from sinks.migrations import migrate
from sinks.refresh import refresh_every
from sinks.retention import keep_dead_letters

_CONNECT_SECONDS = 5
_QUERY_SECONDS = 120
UNKNOWN_TABLE = 60
"""ClickHouse's code where there is none of that name in the database."""
ACCESS_DENIED = 497
"""ClickHouse's code where the user may not do what was asked."""
_HINTS: dict[int | None, str] = {
    UNKNOWN_TABLE: "are the tables and views there, and of this release? `journey migrate` makes them",
    ACCESS_DENIED: "use a user that may, in JOURNEY_CLICKHOUSE",
}
"""By ClickHouse's code, what to do about it."""

logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)  # what goes wrong is raised, and told once


def open_client(address: ClickHouseAddress, database: str | None = None, **query_settings: object) -> Client:
    """A client; it connects with its first query.

    Args:
        address: where the server is.
        database: another one than the address names; '' for none in particular.
        query_settings: ClickHouse settings of every query.
    """
    return Client(
        address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=address.database if database is None else database,
        secure=address.secure,
        connect_timeout=_CONNECT_SECONDS,
        send_receive_timeout=_QUERY_SECONDS,
        settings=query_settings,
    )


@contextmanager
def connected(settings: Settings) -> Iterator[Client]:
    """A client of our database; what the driver raises inside is told in the terms of the user.

    Raises:
        JourneyError: the server can't be reached, or refuses.
    """
    client = open_client(settings.clickhouse_address)
    try:
        yield client
    except (DriverError, OSError, EOFError) as error:
        raise explain_failure(settings.clickhouse_address, error) from error
    finally:
        client.disconnect()


def explain_failure(address: ClickHouseAddress, error: Exception) -> JourneyError:
    """What the driver raised, for people: the server's code and the first line of what it says, without the password."""
    code = getattr(error, "code", None)
    if code in (210, 209) or isinstance(error, OSError | EOFError):
        return JourneyError(
            f"ClickHouse at {address.host}:{address.port} can't be reached",
            hint="check JOURNEY_CLICKHOUSE, and that the server runs",
        )
    if code == 516:
        return JourneyError(
            f"ClickHouse at {address.host}:{address.port} refuses the user {address.user}",
            hint="check JOURNEY_CLICKHOUSE",
        )
    # A server's error is printed by the driver as its code, a line end, and the message; `message` is what the server said.
    text = str(getattr(error, "message", "") or error).split("Stack trace:")[0]
    if address.password:
        text = text.replace(address.password, MASK)
    first_line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return JourneyError(
        f"ClickHouse (code {code}): {first_line}" if code is not None else f"ClickHouse: {first_line}",
        hint=_HINTS.get(code, ""),
    )


def prepare(settings: Settings, funnels: tuple[Funnel, ...]) -> list[str]:
    """Bring tables, views and what settings say of them up to date and write the funnels' stages.

    Returns:
        What was done, a line each: the files that were applied, a retention that was changed.

    Raises:
        JourneyError: the server can't be reached or refuses, or a change would lose data.
    """
    address = settings.clickhouse_address

    def connect(database: str) -> Any:
        return open_client(address, database)

    try:
        applied = migrate(connect, address.database)
    except SinkError as error:
        raise JourneyError(str(error)) from error
    except (DriverError, OSError, EOFError) as error:
        raise explain_failure(address, error) from error
    done = [step.file for step in applied]
    with connected(settings) as client:
        if keep_dead_letters(client, settings.dead_letter_retention_seconds):
            done.append(f"dead letters are kept {settings.dead_letter_retention}")
        if set_half_life(client, settings.attribution_half_life_seconds):
            done.append(f"touches count half after {settings.attribution_half_life}")
        if refresh_every(client, settings.refresh_every_seconds):
            done.append(f"aggregates are refreshed every {settings.refresh_every}")
        try:
            write_funnels(client, funnels)
        except SinkError as error:
            raise JourneyError(str(error)) from error
    return done
