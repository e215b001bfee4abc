"""Who an event speaks of: normalised identifiers and the prospect they name (contract, section 1, "Identifiers")."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

KINDS = ("user_id", "email", "phone", "anonymous_id")
"""Kinds of identifiers, strongest first."""

ParsePhone = Callable[[str], str | None]
"""Turns a phone number as written into E.164, or None where it can't be one."""

_JUNK_WORDS = frozenset(["-1", "null", "none", "undefined", "anonymous", "guest", "unknown", "nan", "true", "false"])
_JUNK_ZEROS = re.compile(r"[0-]*")
_BLOCK_BYTES = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


class Identifier(NamedTuple):
    """One normalised identifier."""

    kind: str
    value: str

    @property
    def canonical(self) -> str:
        """The form that is hashed and declared, e.g. `email:jane@x.com`."""
        return f"{self.kind}:{self.value}"


def is_junk(value: str) -> bool:
    """Whether a trimmed value stands for "nobody" (empty, zeros, `null`, `guest`, ...)."""
    return _JUNK_ZEROS.fullmatch(value) is not None or value.casefold() in _JUNK_WORDS


def normalise_email(raw: str) -> str | None:
    """The email trimmed, NFC and lower-cased; None where it is junk or doesn't hold exactly one `@`."""
    value = unicodedata.normalize("NFC", raw.strip()).lower()
    return None if is_junk(value) or value.count("@") != 1 else value


def normalise_opaque(raw: str) -> str | None:
    """A user_id or anonymous_id, trimmed; None where it is junk."""
    value = raw.strip()
    return None if is_junk(value) else value


def normalise_phone(raw: str, parse_phone: ParsePhone) -> str | None:
    """The phone number in E.164; None where `parse_phone` finds no number in it, or what it finds is junk."""
    value = parse_phone(raw.strip())
    return None if value is None or is_junk(value) else value


def identify(event: Mapping[str, Any], parse_phone: ParsePhone) -> tuple[Identifier, ...]:
    """The usable identifiers of an event, strongest first; empty where it has none.

    Args:
        event: the decoded event; the fields named in `KINDS` are strings, None or absent.
        parse_phone: see `ParsePhone`; it decides identities, so its library is pinned.
    """
    found = []
    for kind in KINDS:
        raw = event.get(kind)
        if raw is None:
            continue
        if kind == "email":
            value = normalise_email(raw)
        elif kind == "phone":
            value = normalise_phone(raw, parse_phone)
        else:
            value = normalise_opaque(raw)
        if value is not None:
            found.append(Identifier(kind, value))
    return tuple(found)


def prospect_id(key: bytes, canonical: str) -> bytes:
    """The 16 bytes of the prospect's UUID (version 5 bits set) for a canonical identifier.

    Equal to `uuid.UUID(bytes=HMAC_SHA256(key, canonical)[:16], version=5).bytes`, without building the UUID.

    Args:
        key: JOURNEY_ID_KEY.
        canonical: e.g. `email:jane@x.com`.
    """
    keyed_inner, keyed_outer = _keyed(key)
    inner, outer = keyed_inner.copy(), keyed_outer.copy()
    inner.update(canonical.encode())
    outer.update(inner.digest())
    digest = bytearray(outer.digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> tuple[Any, Any]:
    """The two hashes of HMAC (RFC 2104) with the key taken in: `hmac.digest` takes it in anew for each identifier, in most of its time."""
    padded = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(padded.translate(_INNER)), hashlib.sha256(padded.translate(_OUTER))
