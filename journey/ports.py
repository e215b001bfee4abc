"""Ports that servers of ours may listen on."""

from __future__ import annotations

import random
import socket

from journey.errors import StackError

LOOPBACK = "127.0.0.1"
_RANGE = range(15_000, 32_000)
"""Below the kernel's own for outgoing connections: a client that keeps reconnecting to a dead server might take one of those itself."""
_REMEMBERED = 5_000
_given: dict[int, None] = {}
"""Those that this process was given, the latest last. Nobody may listen on them yet, so they look as free as any."""


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether nothing listens on it, and we may."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return True
    except OSError:
        return False


def free_port() -> int:
    """A port of loopback that nothing listens on, and another one each time.

    Raises:
        StackError: hardly any is free.
    """
    choice = random.SystemRandom()
    for _ in range(200):
        port = choice.choice(_RANGE)
        if port not in _given and is_free(port):
            _given[port] = None
            if len(_given) > _REMEMBERED:
                del _given[next(iter(_given))]
            return port
    raise StackError(f"no free port between {_RANGE.start} and {_RANGE.stop} on loopback")
