"""A TCP proxy on loopback that misbehaves on request: servers go away, stall, crawl or lose their replies without being touched."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self

from journey.ports import free_port
from tests.broker import LOOPBACK

_CHUNK_BYTES = 64 * 1024
_CONTROL_SECONDS = 10.0
_SLICES_PER_SECOND = 20
"""How finely slow_down() spreads bytes over a second."""


class Proxy:
    """Forwards connections to `target_host:target_port`; a context manager. Every method may be called from any thread.

    A client that is told where to connect (Kafka's advertised listeners) must be told this address.

    Args:
        target_port: the server's port; nothing need listen there yet.
        target_host: the server's address.
        port: where to listen; a free one by default.
    """

    def __init__(self, target_port: int, *, target_host: str = LOOPBACK, port: int | None = None) -> None:
        self.host = LOOPBACK
        self.port = port or free_port()
        self.connections = 0
        """Accepted so far."""
        self.requested_bytes = 0
        """Client to server, delivered so far."""
        self.replied_bytes = 0
        """Server to client, delivered so far."""
        self.dropped_bytes = 0
        """Server to client, swallowed so far."""
        self._target = (target_host, target_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        """Tasks that serve a connection each."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._bytes_per_second: float | None = None
        self._replies_left: int | None = None
        self._spoilt: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        """Close everything and end the thread; a second call does nothing."""
        if not self._thread.is_alive():
            return
        self._run(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CONTROL_SECONDS)
        self._loop.close()

    def cut(self) -> None:
        """The server is gone: open connections are reset, new ones refused, until resume()."""
        self._run(self._cut())

    def disconnect(self) -> None:
        """Reset the open connections; new ones are accepted."""
        self._run(self._disconnect())

    def freeze(self) -> None:
        """The network is gone: connections stay open, new ones are accepted, and no byte moves, until resume()."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def slow_down(self, bytes_per_second: float) -> None:
        """Each direction of each connection carries at most this many bytes a second, until resume()."""
        self._run(self._set_speed(bytes_per_second))

    def drop_replies(self, after: int = 0) -> None:
        """The server hears and acts, but after `after` more bytes (of all connections) its replies are lost, until resume()."""
        self._run(self._set_replies(after))

    def resume(self) -> None:
        """Forward again. What was frozen is delivered; connections that lost a part of a reply are reset, as their rest makes no sense."""
        self._run(self._resume())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_CONTROL_SECONDS)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, start_serving=False)
            await self._server.start_serving()

    async def _set_speed(self, bytes_per_second: float) -> None:
        self._bytes_per_second = bytes_per_second

    async def _set_replies(self, after: int) -> None:
        self._replies_left = after

    async def _cut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self._disconnect()

    async def _disconnect(self) -> None:
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _resume(self) -> None:
        self._bytes_per_second = None
        self._replies_left = None
        for writer in self._spoilt:
            _reset_on_close(writer)
            writer.transport.abort()
        self._spoilt.clear()
        self._flowing.set()
        await self._listen()

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # the server was cut while the connection was on its way
            _reset_on_close(client_writer)
            client_writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        writers = [client_writer]
        self._open.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            writers.append(server_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(client_reader, server_writer, replies=False))
                pumps.create_task(self._pump(server_reader, client_writer, replies=True))
        except* (OSError, asyncio.CancelledError):
            # A server that is not there, either side hanging up, and disconnect() are ordinary: the other side sees its connection reset.
            for writer in writers:
                _reset_on_close(writer)
        finally:
            self._open.remove(task)
            self._spoilt.discard(client_writer)
            for writer in writers:
                writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool) -> None:
        while data := await reader.read(self._chunk()):
            await self._flowing.wait()
            if self._bytes_per_second is not None:
                await asyncio.sleep(len(data) / self._bytes_per_second)
            if replies:
                data = self._keep(data, writer)
                self.replied_bytes += len(data)
            else:
                self.requested_bytes += len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    def _chunk(self) -> int:
        if self._bytes_per_second is None:
            return _CHUNK_BYTES
        return max(1, min(_CHUNK_BYTES, int(self._bytes_per_second / _SLICES_PER_SECOND)))

    def _keep(self, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        """The part of a reply that is delivered; the rest is counted as dropped."""
        if self._replies_left is None:
            return data
        kept = data[: self._replies_left]
        self._replies_left -= len(kept)
        if len(kept) < len(data):
            self.dropped_bytes += len(data) - len(kept)
            self._spoilt.add(writer)
        return kept


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    """Let closing be a reset (RST): a plain close would look like an orderly end of the stream."""
    connection: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
