"""What a process serves over HTTP: its metrics, and whether it is alive and ready. To read only, by one thread, in plain text."""

from __future__ import annotations

import io
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from journey.health import Health

logger = logging.getLogger(__name__)
METRICS, ALIVE, READY = "/metrics", "/healthz", "/readyz"
_TEXT = "text/plain; charset=utf-8"
_ASK_SECONDS = 2.0
"""How long a client may take to say what it wants. One that says nothing holds up the others, as there is one thread."""
_LARGEST_REQUEST = 8 * 1024
Answer = tuple[HTTPStatus, str, bytes]
"""Status, content type and content."""


def serve(host: str, port: int, health: Health) -> None:
    """Serve this process; port 0: don't. Work goes on where the port is taken: that is only logged.

    Args:
        host: the address to listen on.
        port: of it.
        health: what is said about the process.
    """
    if not port:
        return
    try:
        server = _Server((host, port), health)
    except OSError as error:
        logger.warning("metrics are not served on %s:%d: %s", host, port, error)
        return
    threading.Thread(target=server.serve_forever, name="serving", daemon=True).start()


class _Server(TCPServer):
    """Answers one request after the other; nothing that it says depends on more than the path."""

    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.answers: dict[str, Callable[[str], Answer]] = {
            METRICS: _metrics,
            ALIVE: lambda _: _condition(health.why_not_alive(), "alive"),
            READY: lambda _: _condition(health.why_not_ready(), "ready"),
        }

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  the standard library's signature
        """Clients may hang up, or say nothing; anything else is our own mistake."""
        error = sys.exception()
        if not isinstance(error, OSError):
            logger.error("a request for metrics could not be answered", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "journey"
    sys_version = ""
    error_content_type = _TEXT
    error_message_format = "%(code)d %(message)s\n"
    timeout = _ASK_SECONDS

    def setup(self) -> None:
        """Read what is asked within a time limit for all of it: one for each byte would let a client go on for hours."""
        super().setup()
        self.rfile = io.BytesIO(_head_of(self.connection))

    def do_GET(self) -> None:
        answer = self.server.answers.get(self.path.partition("?")[0])
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND, f"there are {', '.join(self.server.answers)}")
            return
        status, kind, content = answer(self.headers.get("Accept") or "")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing: what clients ask for comes from outside, and often."""


def _head_of(connection: socket.socket) -> bytes:
    """The request's lines; nothing where they didn't come in time, or are too long."""
    deadline = time.monotonic() + _ASK_SECONDS
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LARGEST_REQUEST:
        left = deadline - time.monotonic()
        if left <= 0:
            return b""
        connection.settimeout(left)
        more = connection.recv(_LARGEST_REQUEST - len(head))
        if not more:
            return b""
        head += more
    connection.settimeout(_ASK_SECONDS)
    return head if b"\r\n\r\n" in head else b""


def _metrics(accepted: str) -> Answer:
    encode, kind = choose_encoder(accepted)
    return HTTPStatus.OK, kind, encode(REGISTRY)


def _condition(missing: str | None, name: str) -> Answer:
    if missing is None:
        return HTTPStatus.OK, _TEXT, f"{name}\n".encode()
    return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"not {name}: {missing}\n".encode()
