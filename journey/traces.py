"""Recognising what is about somebody who is forgotten, in events and in bytes that are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agents.acceptance import phone_parser
from funnel.identifiers import KINDS, Identifier, identify, prospect_id
from schemas.codec import EventCodec
from schemas.errors import Undecodable

SHORTEST = 6
"""Characters of a name that is looked for in bytes that can't be decoded: shorter ones are everywhere."""
_DECLARATION = "declaration"


class Traces:
    """Who is forgotten, and how to see that a record is about them."""

    def __init__(
        self,
        codec: EventCodec,
        id_key: bytes,
        phone_region: str,
        channel_of_topic: Mapping[str, str],
        *,
        named: Iterable[bytes],
        theirs: Iterable[bytes],
        names: Iterable[str],
    ) -> None:
        """Make one.

        Args:
            codec: decodes events.
            id_key: JOURNEY_ID_KEY.
            phone_region: of phone numbers without a country code.
            channel_of_topic: by full name.
            named: ids of those that were named: every event that has one is about them.
            theirs: ids of all identifiers that are only theirs: an event that starts at one is about them.
            names: their canonical forms, as far as they are known.
        """
        self._codec, self._id_key, self._channels = codec, id_key, channel_of_topic
        self._parse_phone = phone_parser(phone_region)
        self._named = frozenset(named)
        self._theirs = frozenset(theirs) | self._named
        values = (name.partition(":")[2].lower().encode() for name in names)
        self._values = tuple(value for value in values if len(value) >= SHORTEST)

    def in_record(self, topic: str, value: bytes | None) -> bool:
        """Whether a record of an input topic, or what was one, is about them."""
        if value is None:
            return False
        channel = self._channels.get(topic)
        decoded = False
        for one in (channel,) if channel else tuple(self._channels.values()):
            try:
                event = self._codec.decode(one, value)
            except Undecodable:
                continue
            decoded = True
            if self._is_about_them(one, event):
                return True
        return not decoded and self.in_bytes(value)

    def in_bytes(self, data: bytes) -> bool:
        """Whether bytes have one of the names, in whatever case."""
        lowered = data.lower()
        return any(value in lowered for value in self._values)

    def _is_about_them(self, channel: str, event: Mapping[str, Any]) -> bool:
        if channel == _DECLARATION:
            ids = [self._id(one) for name in ("weaker", "stronger") for one in self._declared(event[name])]
            return any(one in self._theirs for one in ids)
        ids = [self._id(one) for one in identify(event, self._parse_phone)]
        return bool(ids) and (ids[0] in self._theirs or not self._named.isdisjoint(ids))

    def _declared(self, canonical: str) -> tuple[Identifier, ...]:
        kind, _, value = canonical.partition(":")
        return tuple(identify({kind: value}, self._parse_phone)) if kind in KINDS else ()

    def _id(self, identifier: Identifier) -> bytes:
        return prospect_id(self._id_key, identifier.canonical)
