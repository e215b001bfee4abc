"""Who an event is about, and the form in which two copies of it are compared (contract, section 1)."""

from __future__ import annotations

import hashlib
import hmac
import json
import unicodedata
import uuid
from decimal import Decimal
from typing import Any

import phonenumbers

Event = dict[str, Any]

JUNK_WORDS = {
    "-1",
    "null",
    "none",
    "undefined",
    "anonymous",
    "guest",
    "unknown",
    "nan",
    "true",
    "false",
}
STRENGTH = ("user_id", "email", "phone", "anonymous_id")


def is_junk(value: str) -> bool:
    """Whether a normalised identifier says nothing: empty, only zeros and dashes, or a word for 'nobody'."""
    return set(value) <= {"0", "-"} or value.casefold() in JUNK_WORDS


def normalise(kind: str, value: str | None, phone_region: str | None) -> str | None:
    """Give the normalised identifier, or None where the value is none."""
    if value is None:
        return None
    if kind == "email":
        value = unicodedata.normalize("NFC", value.strip()).lower()
        if value.count("@") != 1:
            return None
    elif kind == "phone":
        try:
            number = phonenumbers.parse(value.strip(), phone_region)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_possible_number(number):
            return None
        value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    else:
        value = value.strip()
    return None if is_junk(value) else value


def strongest_identifier(event: Event, phone_region: str | None) -> str | None:
    """Give the canonical form `kind:value` of the event's strongest identifier, None if it has none."""
    for kind in STRENGTH:
        value = normalise(kind, event.get(kind), phone_region)
        if value is not None:
            return f"{kind}:{value}"
    return None


def prospect_id_of(canonical: str, id_key: bytes) -> uuid.UUID:
    """Give the prospect's id: a keyed hash, so that the identifier can't be guessed from it."""
    digest = hmac.new(id_key, canonical.encode("utf-8"), hashlib.sha256).digest()
    return uuid.UUID(bytes=digest[:16], version=5)


def canonical_json(event: Event) -> bytes:
    """Give the form that decides between copies: fields sorted, compact, UTF-8, nulls left out.

    `channel` counts as a field, `occurred_at` is the integer, `amount` a string with two decimals, and
    `properties` is always there.
    """
    fields: dict[str, Any] = {"properties": {}}
    for name, value in event.items():
        if value is None:
            continue
        fields[name] = f"{value:.2f}" if isinstance(value, Decimal) else value
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
