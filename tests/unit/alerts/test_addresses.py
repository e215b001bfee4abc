"""Which addresses may be written to."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from alerts.addresses import PrivateAddress, check_address, check_host, public_addresses_only


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_public_addresses_are_accepted(address: str) -> None:
    """In both families."""
    check_address(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255",
     "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::"],
)  # fmt: skip
def test_all_others_are_refused(address: str) -> None:
    """Also where one is within another."""
    with pytest.raises(PrivateAddress, match="allow_private"):
        check_address(address)


def test_a_name_is_no_address_yet() -> None:
    """It is checked once it is resolved."""
    check_host("localhost")
    with pytest.raises(PrivateAddress):
        check_host("[::1]")


def test_what_a_library_resolves_is_checked_in_threads_that_it_hands_the_context_to() -> None:
    """And only there; what was refused is told."""
    with public_addresses_only() as refusals, ThreadPoolExecutor(1) as pool:
        with pytest.raises(PrivateAddress):
            socket.getaddrinfo("127.0.0.1", 80)
        with pytest.raises(PrivateAddress):
            pool.submit(copy_context().run, socket.getaddrinfo, "::1", 80).result()
        assert pool.submit(socket.getaddrinfo, "127.0.0.1", 80).result()  # a thread of somebody else
    assert len(refusals) == 2
    assert socket.getaddrinfo("127.0.0.1", 80)
