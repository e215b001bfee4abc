"""The proxy breaks connections in the ways that fault tests rely on."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from journey.ports import free_port
from tests.broker import LOOPBACK, wait_until
from tests.faults.proxy import Proxy


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            while data := self.request.recv(65536):
                self.server.heard += data  # type: ignore[attr-defined]  # set on the server below
                self.request.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    heard = b""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A TCP server that sends back what it hears."""
    with _Server((LOOPBACK, 0), _Echo) as echo:
        thread = threading.Thread(target=echo.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield echo
        echo.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: _Server) -> Iterator[Proxy]:
    """A proxy in front of that server."""
    with Proxy(server.server_address[1]) as running:
        yield running


def _connect(proxy: Proxy, timeout: float = 5.0) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=timeout)


def _receive(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = client.recv(count - len(data))
        if not part:
            break
        data += part
    return data


def test_forwards_both_ways_and_the_end(proxy: Proxy) -> None:
    """Bytes, also many of them, arrive in both directions; a half-closed connection is closed behind the last byte."""
    payload = bytes(range(256)) * 8192
    with _connect(proxy) as client:

        def send() -> None:
            client.sendall(payload)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert _receive(client, len(payload)) == payload
        sender.join()
        assert client.recv(1) == b""
    assert proxy.requested_bytes == proxy.replied_bytes == len(payload)


def test_cut_resets_and_refuses_until_resume(proxy: Proxy) -> None:
    """A server that is gone: open connections break, new ones are refused; resume() brings it back on the same port."""
    with _connect(proxy) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            _connect(proxy)
    proxy.resume()
    with _connect(proxy) as client:
        client.sendall(b"y")
        assert client.recv(1) == b"y"


def test_freeze_delivers_nothing_until_resume(proxy: Proxy, server: _Server) -> None:
    """A dead network: nothing breaks, nothing arrives, and afterwards nothing is missing."""
    with _connect(proxy, timeout=0.3) as client:
        proxy.freeze()
        client.sendall(b"held")
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert server.heard == b""
        proxy.resume()
        client.settimeout(5)
        assert _receive(client, 4) == b"held"


def test_dropped_replies_reach_the_server_only(proxy: Proxy, server: _Server) -> None:
    """The server acts on the request, the client gets the first bytes of the reply and no more; resume() resets that connection."""
    with _connect(proxy, timeout=5) as client:
        proxy.drop_replies(after=3)
        client.sendall(b"committed")
        assert _receive(client, 3) == b"com"
        wait_until(lambda: proxy.dropped_bytes == 6, seconds=30, what="the rest of the reply was dropped")
        assert server.heard == b"committed"
        proxy.resume()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with _connect(proxy) as client:
        client.sendall(b"again")
        assert _receive(client, 5) == b"again"


def test_slow_down_limits_the_rate(proxy: Proxy) -> None:
    """20 kB at 40 kB/s take at least 0.4 s each way; after resume() they don't."""
    with _connect(proxy) as client:
        proxy.slow_down(40_000)
        started = time.monotonic()
        client.sendall(bytes(20_000))
        assert len(_receive(client, 20_000)) == 20_000
        assert time.monotonic() - started > 0.4


def test_a_server_that_is_not_there_breaks_the_connection_only() -> None:
    """Without a server the client's connection breaks at once, and the proxy goes on."""
    with Proxy(free_port()) as proxy:
        for _ in range(2):
            # The reset may arrive before the client has noticed that it is connected.
            with suppress(ConnectionResetError), _connect(proxy) as client:
                assert client.recv(1) == b""
        assert proxy.connections == 2


def test_stop_leaves_no_thread_and_no_port(server: _Server) -> None:
    """After stop() the thread is gone and the port is free, with connections open at the time."""
    proxy = Proxy(server.server_address[1])
    proxy.start()
    with _connect(proxy):
        proxy.stop()
        proxy.stop()
    assert not any(thread.name == f"proxy-{proxy.port}" for thread in threading.enumerate())
    with pytest.raises(ConnectionRefusedError):
        _connect(proxy)
