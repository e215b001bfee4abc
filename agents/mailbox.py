"""What travels on the topic `touches`, between bytes and the messages of the core."""

from __future__ import annotations

from funnel.events import Touch
from funnel.messages import Arrival, Handed, Handover, Message, Said, Statement, Tick
from schemas.messages import decode_message, decode_touch_without_body, encode_handover, encode_statement


def message_of(offset: int, value: bytes) -> Message:
    """The message in a record.

    Raises:
        Undecodable: it is none of ours.
    """
    message = decode_message(value)
    if isinstance(message, Touch):
        return Arrival(offset, message, value)
    if isinstance(message, Handover):
        sender, revision, start, raw = message
        return Handed(offset, sender, revision, start, decode_touch_without_body(raw), raw)
    if isinstance(message, int):
        return Tick(offset, message)
    return Said(offset, message)


def bytes_of(statement: Statement) -> bytes:
    """A statement as a record's value."""
    return encode_handover(statement) if isinstance(statement, Handover) else encode_statement(statement)
