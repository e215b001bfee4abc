"""Writing to ClickHouse, and telling what went wrong."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver.errors import (
    NetworkError,
    ServerException,
    SocketTimeoutError,
    UnexpectedPacketFromServerError,
    UnknownPacketFromServerError,
)

from sinks.base import Insert
from sinks.config import ClickHouseConfig
from sinks.errors import SinkError

AWAY = (NetworkError, SocketTimeoutError, OSError, EOFError)
"""What the driver raises when the server can't be reached or the connection breaks."""
RETRYABLE = (*AWAY, ServerException, UnexpectedPacketFromServerError, UnknownPacketFromServerError)
"""What is tried again. Of these, a ServerException is a refusal: someone may have to do something."""

# Insert at once and answer when it is done, whatever the server's or the user's profile says: the offsets are committed on that answer.
_SETTINGS = {"async_insert": 0}


def connect(config: ClickHouseConfig, database: str | None = None, settings: Mapping[str, Any] | None = None) -> Client:
    """A clickhouse-driver client; it connects when it is first used.

    Args:
        config: how to reach the server.
        database: instead of the configured one; '' for none in particular.
        settings: for the server, or of the driver.
    """
    return Client(
        config.host,
        port=config.port,
        database=config.database if database is None else database,
        user=config.user,
        password=config.password,
        secure=config.secure,
        connect_timeout=config.connect_timeout,
        send_receive_timeout=config.answer_timeout,
        client_name="journey-sink",
        settings=dict(settings or {}),
    )


def reason_of(error: BaseException) -> str:
    """What an error says, on one line, without the server's stack trace."""
    text = error.message if isinstance(error, ServerException) else str(error)
    return " ".join(text.split("Stack trace:")[0].split()) or type(error).__name__


class Writer:
    """Inserts over one connection, which it makes anew after any error. Not to be used by two threads at once, `abort` aside."""

    def __init__(self, config: ClickHouseConfig) -> None:
        self._config = config
        self._clients: dict[bool, Client] = {}

    def insert(self, insert: Insert) -> None:
        """Insert the rows, and return when the server has them.

        Raises:
            ServerException, OSError, EOFError: see RETRYABLE. Nothing, some or all of the rows may be there: insert the same ones again.
            SinkError: a value does not fit its column; trying again would not help.
        """
        sql = f"INSERT INTO {insert.table} ({', '.join(insert.names)}) VALUES"
        client = self._client(as_bytes=isinstance(insert.columns[0][0], bytes))
        try:
            client.execute(sql, insert.columns, columnar=True, settings=_SETTINGS)
        except RETRYABLE:
            self.close()
            raise
        except Exception as error:  # the driver has no common error for values that it can't pack
            self.close()
            raise SinkError(
                f"{insert.rows} rows for {insert.table} can't be sent: {error!r}. A value does not fit its column, which is a bug: nothing is lost, "
                "but nothing moves until it is mended"
            ) from error

    def abort(self) -> None:
        """Break the connections: an insert that another thread waits for ends with an error."""
        for client in list(self._clients.values()):
            connection = client.connection
            if connection.socket is not None:
                with contextlib.suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connections; the next insert makes new ones."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            with contextlib.suppress(*RETRYABLE):
                client.disconnect()

    def _client(self, *, as_bytes: bool) -> Client:
        """Dead letters are bytes of any kind, which the driver takes only by a setting of the whole connection."""
        if as_bytes not in self._clients:
            self._clients[as_bytes] = connect(self._config, settings={"strings_as_bytes": as_bytes})
        return self._clients[as_bytes]
