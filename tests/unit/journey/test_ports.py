"""Ports for servers that are about to start."""

from __future__ import annotations

import socket

from journey.ports import LOOPBACK, free_port, is_free


def test_no_port_is_given_twice_though_nobody_listens_yet() -> None:
    """A stack chooses all of its ports before its servers listen; two with the same one would be a server that can't be reached."""
    assert len({free_port() for _ in range(2_000)}) == 2_000


def test_what_is_listened_on_is_not_free() -> None:
    """Until it is not."""
    port = free_port()
    with socket.create_server((LOOPBACK, port)):
        assert not is_free(port)
    assert is_free(port)
