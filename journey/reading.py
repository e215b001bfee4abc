"""Finding a ClickHouse to read from: the configured one, the one that runs in the data directory, or one started for the purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from pydantic import SecretStr

from journey.data_dir import DataDir
from journey.errors import JourneyError, StackError
from journey.local_clickhouse import ClickHouseError, EmbeddedClickHouse, address_in
from journey.ports import LOOPBACK
from journey.settings import Settings

DATABASE = "journey"
_READ_ONLY = "2"
"""Reads only, but formats and limits may be chosen."""
_CANT_CHANGE = "164"
"""ClickHouse's code where a user is read-only already, and may not even say so."""
_CONNECT_SECONDS = 5.0


@contextmanager
def readable(settings: Settings) -> Iterator[Settings]:
    """The settings with a ClickHouse that answers inside.

    Raises:
        JourneyError: none is configured, and the data directory holds nothing.
    """
    if settings.clickhouse.get_secret_value():
        yield settings
        return
    data = DataDir(settings.data_dir)
    found = address_in(data.clickhouse)
    if found is not None:
        yield _at(settings, found.native_port, found.http_port)
        return
    if not (data.clickhouse / "data").is_dir():
        raise JourneyError(
            f"there are no facts in {settings.data_dir}",
            hint="`journey run FILE` or `journey demo` makes some; --data-dir names another directory, JOURNEY_CLICKHOUSE a server",
        )
    with data.locked():
        try:
            with EmbeddedClickHouse(data.clickhouse) as server:
                yield _at(settings, server.native_port, server.http_port)
        except ClickHouseError as error:
            raise StackError(str(error)) from error


def query(settings: Settings, sql: str, format_name: str, *, colors: bool) -> Iterator[bytes]:
    """The answer to a query, as ClickHouse formats it, in pieces. Nothing can be changed by it.

    Args:
        settings: name the ClickHouse.
        sql: one statement.
        format_name: any output format of ClickHouse, unless the query names one itself.
        colors: whether pretty formats may use them.

    Raises:
        JourneyError: ClickHouse can't be reached or refuses the query.
    """
    address = settings.clickhouse_address
    url = f"{'https' if address.secure else 'http'}://{address.host}:{settings.clickhouse_http_port}/"
    base = {"database": address.database, "default_format": format_name}
    limited = base | {"readonly": _READ_ONLY, "output_format_pretty_color": "1" if colors else "0"}
    timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
    credentials = {"X-ClickHouse-User": address.user, "X-ClickHouse-Key": address.password}
    try:
        with httpx.Client(timeout=timeout, trust_env=False, headers=credentials) as client:
            for parameters in (limited, base):
                with client.stream("POST", url, params=parameters, content=sql.encode()) as answer:
                    if answer.is_success:
                        yield from answer.iter_bytes()
                        return
                    text = answer.read().decode("utf-8", "replace")
                    already_limited = (
                        answer.headers.get("X-ClickHouse-Exception-Code") == _CANT_CHANGE and "'readonly'" in text
                    )
                    if parameters is base or not already_limited:
                        raise JourneyError(f"ClickHouse: {text.split('Stack trace:')[0].strip()}")
    except httpx.HTTPError as error:
        raise JourneyError(
            f"ClickHouse's HTTP interface at {address.host}:{settings.clickhouse_http_port} can't be read: {type(error).__name__}",
            hint="check JOURNEY_CLICKHOUSE and JOURNEY_CLICKHOUSE_HTTP_PORT",
        ) from error


def _at(settings: Settings, native_port: int, http_port: int) -> Settings:
    url = SecretStr(f"clickhouse://default:@{LOOPBACK}:{native_port}/{DATABASE}")
    return settings.model_copy(update={"clickhouse": url, "clickhouse_http_port": http_port})
