"""What can go wrong on the way into ClickHouse."""

from __future__ import annotations


class SinkError(Exception):
    """Anything that ends the sink or a migration; the message says where, what and what to do."""


class MigrationRefusedError(SinkError):
    """A migration would lose data, or the database is not what the migrations made of it."""


class PoisonRecordError(SinkError):
    """A record of our own topic that can't be read: a bug, not bad input. Nothing behind it is taken before it is dealt with."""


class FunnelRefusedError(SinkError):
    """A funnel that ClickHouse can't aggregate, such as one in a time zone it does not know."""
