"""What becomes of one record of the topic `erasures`: an identifier is told that it is forgotten, or a dead letter.

The topic is the list of those who must not come back: it is compacted and kept for good, and has ids only, which can't be turned
back into identifiers without JOURNEY_ID_KEY. `journey forget` writes it; the rest is in `funnel.erasure` and docs/adr/013.
"""

from __future__ import annotations

from agents.acceptance import Refused
from agents.config import ERASURES
from agents.declarations import BOOK, Announced
from funnel.identifiers import prospect_id
from funnel.listed import ID_BYTES
from funnel.messages import Forget
from schemas.errors import Undecodable
from schemas.messages import decode_message, encode_statement

TOPIC = ERASURES
CHANNEL = "erasure"


def request_of(id_key: bytes, *, named: bool) -> bytes:
    """The value of a record that asks for its key, an id of 16 bytes, to be forgotten.

    Args:
        id_key: JOURNEY_ID_KEY.
        named: whether events go that merely name it, too.
    """
    return encode_statement(Forget(int(named), prospect_id(id_key, BOOK)))


def accept(key: bytes | None, value: bytes | None) -> Announced | Refused:
    """What becomes of a record."""
    if key is None or len(key) != ID_BYTES:
        return Refused("undecodable", f"the key must be an identifier's id, {ID_BYTES} bytes")
    try:
        statement = decode_message(value or b"")
    except Undecodable as error:
        return Refused("undecodable", str(error))
    if not isinstance(statement, Forget):
        return Refused("undecodable", "not a request to forget")
    return Announced((key,), value or b"")
