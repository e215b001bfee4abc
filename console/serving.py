"""Serves the console until it is told to stop."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import uvicorn

from console.app import build_app
from console.config import ConsoleConfig

_STOP_SECONDS = 3
_LARGEST_HEAD = 256 * 1024
"""Bytes of a request's line and headers: an address may name a campaign of 10 kB, each byte of which takes three there."""


class PortTakenError(Exception):
    """The address to listen on can't be had; says which, and why."""


def listening(config: ConsoleConfig) -> socket.socket:
    """A socket that listens as configured.

    Raises:
        PortTakenError: it can't.
    """
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        return socket.create_server((config.host, config.port), family=family)
    except OSError as error:
        raise PortTakenError(f"the console can't listen on {config.host}:{config.port}: {error.strerror}") from error


def address_of(listener: socket.socket) -> str:
    """For people to open."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def run_console(config: ConsoleConfig, say: Callable[[str], None] = lambda _: None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code.

    Args:
        config: how it runs.
        say: told the address once it listens.

    Raises:
        PortTakenError: the address can't be had.
    """
    with listening(config) as listener:
        say(address_of(listener))
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(config),
                log_config=None,
                access_log=False,  # addresses name campaigns and prospects
                server_header=False,
                proxy_headers=False,  # whom to believe is decided in console.login
                timeout_graceful_shutdown=_STOP_SECONDS,
                timeout_keep_alive=30,
                limit_concurrency=200,
                h11_max_incomplete_event_size=_LARGEST_HEAD,
                ws="none",
            )
        )
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every query's parameters
        server.run(sockets=[listener])
    return 0
