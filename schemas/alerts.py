"""What goes over `stalled-prospects` and `alert-deliveries`: named tuples of the schemas' fields.

The decoders raise Undecodable on any bytes that are not exactly one such message.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from funnel.alerts import Alert
from schemas.catalog import catalog, current
from schemas.decoding import compile_decoder
from schemas.encoding import compile_encoder
from schemas.errors import Undecodable
from schemas.framing import HEADER, header

WAITING, SENDING, SENT, FAILED, VOID = "waiting", "sending", "sent", "failed", "void"
"""`sending`: it may have arrived. `void`: nobody needs to know any more."""
OVER = frozenset({SENT, FAILED, VOID})
"""Nothing more will be done about these."""


class Delivery(NamedTuple):
    """What became of one alert on its way to one target; a record of the topic `alert-deliveries`. Times are microseconds, UTC."""

    alert_id: bytes
    """16 bytes."""
    step: str
    """See `funnel.alerts.Alert.step`."""
    route: str
    target: str
    prospect_id: bytes
    """16 bytes."""
    funnel: str
    stage: str
    state: str
    due_at: int
    """When it is tried (again)."""
    digest: str
    """Names the message that it goes in together with others; '' where it goes in one of its own."""
    attempts: int
    planned_at: int
    changed_at: int
    error: str
    """Why the last attempt failed, or why there will be none."""
    alert: bytes
    """The message on `stalled-prospects`; empty once it is over, as accounts and names need not be kept twice."""

    @property
    def key(self) -> bytes:
        """What tells it from all others, and what a receiver may know it by."""
        return f"{uuid.UUID(bytes=self.alert_id)}/{self.step}/{self.route}/{self.target}".encode()


class MessageCodec:
    """Encodes and decodes named tuples whose fields are those of a subject's current schema, in their order."""

    def __init__(self, subject: str, kind: type[Any]) -> None:
        """Args: kind: the named tuple."""
        version = current(subject)
        fields = tuple(field.name for field in version.schema.fields)
        if fields != kind._fields:
            raise TypeError(f"{kind.__name__} has fields {kind._fields}, the schema of {subject} {fields}")
        self._subject = subject
        self.encode: Callable[[Any], bytes] = compile_encoder(
            version.schema, header(version.schema_id), {version.schema.name: ", ".join(fields)}, {}
        )
        """The message of one. Raises ValueError for numbers that don't fit, ids of other sizes and text that has no UTF-8."""

        def construct(values: Mapping[str, str]) -> str:
            return f"kind({', '.join(values[field] for field in fields)})"

        self._decoders = {
            header(one.schema_id): compile_decoder(
                one.schema, version.schema, {version.schema.name: construct}, names={"kind": kind}, start=HEADER
            )
            for one in catalog()[subject]
        }

    def decode(self, data: bytes) -> Any:
        """The named tuple of a message."""
        decode = self._decoders.get(data[:HEADER])
        if decode is None:
            raise Undecodable(f"not framed as one of {self._subject}")
        return decode(data)


ALERTS = MessageCodec("stalled-prospects", Alert)
DELIVERIES = MessageCodec("alert-deliveries", Delivery)
