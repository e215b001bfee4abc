"""Which addresses may be written to: a target that names an internal address would make us somebody's way into the network.

What is checked is the address that is connected to, after names were resolved: what a name means may change from one moment to the next.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

_NAT64 = IPv6Network("64:ff9b::/96")


class PrivateAddress(OSError):
    """An address that is not of the public internet."""


def check_address(address: str) -> None:
    """Accept a public address.

    Raises:
        PrivateAddress: it is loopback, private, link-local, multicast or reserved, or leads to one that is.
    """
    found = _inner(ip_address(address.partition("%")[0]))
    if not found.is_global or found.is_multicast:
        raise PrivateAddress(
            f"{address} is no address of the public internet; if it is meant, set allow_private = true for this target"
        )


def check_host(host: str) -> None:
    """The same of a host, where it is an address; a name is checked once it is resolved.

    Raises:
        PrivateAddress: see `check_address`.
    """
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return
    check_address(host.strip("[]"))


def _inner(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address that one within another leads to."""
    if isinstance(found, IPv4Address):
        return found
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None) or found


class PublicResolver(AbstractResolver):
    """Resolves names for aiohttp, to public addresses only."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All its addresses.

        Raises:
            PrivateAddress: one of them is not public.
        """
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            check_address(one["host"])
        return found

    async def close(self) -> None:
        """Let go of what it holds."""
        await self._resolver.close()


_refusals: ContextVar[list[PrivateAddress] | None] = ContextVar("refusals", default=None)
"""Where this context may connect to public addresses only: those that it was refused."""
_resolve = socket.getaddrinfo


def _guarded(*arguments: Any, **options: Any) -> Any:
    found = _resolve(*arguments, **options)
    refusals = _refusals.get()
    if refusals is not None:
        for *_, address in found:
            try:
                check_address(str(address[0]))
            except PrivateAddress as error:
                refusals.append(error)
                raise
    return found


@contextmanager
def public_addresses_only() -> Iterator[list[PrivateAddress]]:
    """Within, this context (and threads that it is handed to) connects to public addresses only; gives what was refused.

    For libraries that open their connections themselves: requests, urllib3 and smtplib all ask `socket.getaddrinfo` and connect to what it
    says. They take a refusal for a connection that failed, so it is noted, too.
    """
    socket.getaddrinfo = _guarded
    refusals: list[PrivateAddress] = []
    token = _refusals.set(refusals)
    try:
        yield refusals
    finally:
        _refusals.reset(token)
