"""Where a ClickHouse is, and as whom to speak to it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

MASK = "**********"
"""What stands for a secret where settings are shown."""


class ClickHouseAddress:
    """The parts of a ClickHouse URL. Its `repr` masks the password."""

    def __init__(self, url: str) -> None:
        """Read `clickhouse://user:password@host:port/database` (`clickhouses://` for TLS).

        Raises:
            ValueError: it is none; the message does not repeat it.
        """
        expected = "expected a URL such as clickhouse://user:password@host:9000/journey"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(expected) from None
        if parts.scheme not in ("clickhouse", "clickhouses") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(expected)
        self.secure = parts.scheme == "clickhouses"
        self.host = parts.hostname
        self.port = port or (9440 if self.secure else 9000)
        self.user = unquote(parts.username or "default")
        self.password = unquote(parts.password or "")
        self.database = unquote(parts.path.strip("/")) or "journey"

    def __repr__(self) -> str:
        secret = f":{MASK}" if self.password else ""
        return f"{'clickhouses' if self.secure else 'clickhouse'}://{self.user}{secret}@{self.host}:{self.port}/{self.database}"
