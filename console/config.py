"""What the console needs to know; `journey.wiring` makes it from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

Why = Callable[[Mapping[str, Any]], str]
"""From a row of `journey_of` to which rule of the funnel file it followed."""


@dataclass(frozen=True)
class ClickHouseAccess:
    """Where ClickHouse answers HTTP, and as whom it is asked. Its `repr` has no password."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(default="", repr=False)
    secure: bool = False

    @property
    def place(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Of its HTTP interface."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


@dataclass(frozen=True)
class ConsoleConfig:
    """How the console runs.

    Raises:
        ValueError: it would be open to others: it listens elsewhere than on loopback, and asks for no login.
    """

    clickhouse: ClickHouseAccess
    why: Why
    host: str = "127.0.0.1"
    port: int = 0
    token: str = field(default="", repr=False)
    """Who has it may look; empty: nobody is asked."""
    user_header: str = ""
    """The header in which a proxy says who somebody is; '': none is believed."""
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """From where `user_header` and `X-Forwarded-Proto` are believed."""
    services: Mapping[str, int] = field(default_factory=dict)
    """Workers and sinks on this machine, with the port on loopback where each says how it is."""

    def __post_init__(self) -> None:
        if self.user_header and not self.proxies:
            raise ValueError(
                "JOURNEY_CONSOLE_USER_HEADER is set, but not JOURNEY_CONSOLE_PROXIES; expected the proxy's addresses,"
                " as anybody can send a header"
            )
        if not self.is_local and not self.asks_for_login:
            raise ValueError(
                f"the console would listen on {self.host} for everybody; expected JOURNEY_CONSOLE_TOKEN (a secret of at least"
                " 16 characters), or JOURNEY_CONSOLE_USER_HEADER with JOURNEY_CONSOLE_PROXIES where a proxy logs people in"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return ip_address(self.host).is_loopback

    @property
    def asks_for_login(self) -> bool:
        """Whether somebody who is not known is turned away."""
        return bool(self.token or self.user_header)
