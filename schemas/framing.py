"""Confluent's framing: byte 0, the schema's id in 4 bytes, the record."""

from __future__ import annotations

from schemas.errors import Undecodable

HEADER = 5
"""Bytes before the record."""


def header(schema_id: int) -> bytes:
    """The first bytes of a message of this schema. Raises ValueError unless the id is in [0, 2**32)."""
    if not 0 <= schema_id < 1 << 32:
        raise ValueError(f"{schema_id} is no schema id; expected a number in [0, 2**32)")
    return b"\0" + schema_id.to_bytes(4, "big")


def schema_id_of(data: bytes) -> int:
    """The id in a message's first bytes. Raises Undecodable where the framing is wrong."""
    if len(data) < HEADER:
        raise Undecodable(f"{len(data)} bytes are too short for a framed record")
    if data[0]:
        raise Undecodable(f"the first byte is {data[0]}; expected 0, as of a framed record")
    return int.from_bytes(data[1:HEADER], "big")
