"""Who an event is about, and the form in which two copies of it are compared (contract, section 1)."""

from __future__ import annotations

import hashlib
import hmac
import json
import unicodedata
import uuid
from decimal import Decimal
from functools import lru_cache
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

Place = tuple[int, str, str, str]
"""Where an event stands in *the order*: occurred_at, source, event_id, canonical form of its strongest identifier."""


def is_junk(value: str) -> bool:
    """Whether a normalised identifier says nothing: empty, only zeros and dashes, or a word for 'nobody'."""
    return set(value) <= {"0", "-"} or value.casefold() in JUNK_WORDS


@lru_cache(maxsize=100_000)  # phone numbers are slow to parse, and the same few are asked for again and again
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


def identifiers_of(event: Event, phone_region: str | None) -> list[str]:
    """Give all usable identifiers of an event in canonical form `kind:value`, the strongest first."""
    values = ((kind, normalise(kind, event.get(kind), phone_region)) for kind in STRENGTH)
    return [f"{kind}:{value}" for kind, value in values if value is not None]


def strongest_identifier(event: Event, phone_region: str | None) -> str | None:
    """Give the canonical form of the event's strongest identifier, None if it has none."""
    return next(iter(identifiers_of(event, phone_region)), None)


def kind_of(canonical: str) -> str:
    """Give the kind of an identifier in canonical form."""
    return canonical.partition(":")[0]


def value_of(canonical: str) -> str:
    """Give the value of an identifier in canonical form."""
    return canonical.partition(":")[2]


def place(event: Event, phone_region: str | None) -> Place:
    """Give an accepted event's place in the order."""
    strongest = strongest_identifier(event, phone_region)
    assert strongest is not None
    return (event["occurred_at"], event["source"], event["event_id"], strongest)


@lru_cache(maxsize=100_000)  # a population has few identifiers, and each is asked for with every event
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
