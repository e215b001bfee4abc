"""Channel groups: where an event came from, in the words of marketing, by ordered rules (`channels/default.toml` says how they read).

Applied at intake, to each event by itself. That an untagged page view belongs to the session that a campaign began is for the fold to say
(`funnel.touchpoints`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from funnel.definition import MATCHABLE_FIELDS
from funnel.globs import compile_globs
from funnel.reading import Reading, document_in, text_in

DIRECT = "Direct"
"""What comes from nowhere in particular: within a session it continues what began it."""
CLICK_IDS = {
    name.lower(): name
    for name in (
        *("gclid", "gbraid", "wbraid", "dclid", "msclkid", "yclid", "fbclid", "li_fat_id"),
        *("ttclid", "twclid", "rdt_cid", "epik", "ScCid"),
    )
}
"""Query parameters by which ad networks know their clicks. `fbclid` says only that it was Facebook, paid or not."""

_DERIVED = ("click_id", "referrer_host")
_NEITHER = ("", "")
_PROPERTIES = "properties."
_URLS_REMEMBERED = 16_384
_LONGEST_REMEMBERED = 1_024
"""Characters of a URL, so that what senders make up doesn't fill the memory."""
_GROUPS_REMEMBERED = 65_536
_LONGEST_KEY = 2_048

Patterns = tuple[tuple[str, tuple[str, ...]], ...]
"""(field, globs), sorted by field."""
_Clauses = list[list[tuple[str, Callable[[str], object]]]]


class Channel(NamedTuple):
    """A channel group, and what makes an event one of it."""

    name: str
    when: tuple[Patterns, ...]


def load_channels(paths: Iterable[Path]) -> tuple[Channel, ...]:
    """Read files of channel rules; those of earlier files come first.

    Raises:
        FunnelError: a file can't be read or is wrong; says where, and what was expected.
    """
    channels: list[Channel] = []
    for path in paths:
        channels += parse_channels(text_in(path), str(path))
    return tuple(channels)


def parse_channels(text: str, file: str = "<text>") -> tuple[Channel, ...]:
    """Channel rules from TOML.

    Raises:
        FunnelError: they are wrong; says where, and what was expected.
    """
    return _Reader(file).channels(document_in(text, file))


class _Reader(Reading):
    def channels(self, document: Mapping[str, Any]) -> tuple[Channel, ...]:
        self._only(document, "", ("channel",))
        return tuple(
            self._channel(entry, f"channel[{number}]")
            for number, entry in enumerate(self._list(document.get("channel", []), "channel"))
        )

    def _channel(self, entry: object, key: str) -> Channel:
        table = self._table(entry, key, ("name", "when"))
        name = self._name(table.get("name"), f"{key}.name")
        clauses = self._list(table.get("when"), f"{key}.when")
        if not clauses:
            raise self._wrong(f"{key}.when", 'expected at least one clause, such as { utm_medium = "cpc" }')
        return Channel(
            name, tuple(self._patterns(clause, f"{key}.when[{number}]") for number, clause in enumerate(clauses))
        )

    def _patterns(self, clause: object, key: str) -> Patterns:
        if not isinstance(clause, Mapping) or not clause:
            raise self._wrong(key, 'expected a table, such as { utm_medium = "cpc" }')
        patterns = {}
        for name, value in clause.items():
            if isinstance(value, Mapping):
                raise self._wrong(f"{key}.{name}", 'expected a name in quotes, such as "properties.partner"')
            if name not in MATCHABLE_FIELDS and name not in _DERIVED and not name.startswith(_PROPERTIES):
                expected = f"expected a field of the event, properties.<name>, {' or '.join(_DERIVED)}"
                raise self._wrong(f"{key}.{name}", expected)
            patterns[name] = tuple(glob.lower() for glob in self._globs(value, f"{key}.{name}"))
        return tuple(sorted(patterns.items()))


class ChannelRules:
    """Channel rules compiled. Most events are like others before, so groups are remembered by what the rules look at."""

    def __init__(self, channels: Iterable[Channel] = ()) -> None:
        self._rules = [
            (channel.name, [[(field, compile_globs(globs)) for field, globs in patterns] for patterns in channel.when])
            for channel in channels
        ]
        looks_at = {field for _, clauses in self._rules for patterns in clauses for field, _ in patterns}
        self._fields = [field for field in looks_at if field not in _DERIVED and not field.startswith(_PROPERTIES)]
        self._properties = [field.removeprefix(_PROPERTIES) for field in looks_at if field.startswith(_PROPERTIES)]
        self._derives = not looks_at.isdisjoint(_DERIVED)
        self._names = (*self._fields, *(_PROPERTIES + name for name in self._properties), *_DERIVED)
        self._constant = {channel: self._only_by_channel(channel) for channel in ("web", "email", "call")}
        self._remembered: dict[tuple[object, ...], str] = {}

    def group(self, event: Mapping[str, Any]) -> str:
        """The channel group of an event; '' where no rule knows it.

        Args:
            event: its fields as received (`funnel.events.Event`).
        """
        constant = self._constant.get(event["channel"])
        if constant is not None:
            return constant
        field_of = event.get
        seen: list[object] = [field_of(field) for field in self._fields]
        if self._properties:
            property_of = event["properties"].get
            seen += [property_of(name) for name in self._properties]
        if self._derives:
            seen += _derived(field_of("url") or "", field_of("referrer") or "")
        key = tuple(seen)
        group = self._remembered.get(key)
        return self._find(key) if group is None else group

    def _find(self, key: tuple[object, ...]) -> str:
        texts = [value if isinstance(value, str) else "" if value is None else str(value) for value in key]
        values = {name: text.lower() for name, text in zip(self._names, texts, strict=False)}
        group = next((name for name, clauses in self._rules if _holds(clauses, values)), "")
        if sum(map(len, texts)) <= _LONGEST_KEY:
            if len(self._remembered) >= _GROUPS_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = group
        return group

    def _only_by_channel(self, channel: str) -> str | None:
        """The group that all events of a channel have, as nothing else is looked at before it is decided; None where more is."""
        for name, clauses in self._rules:
            for patterns in clauses:
                by_channel = [matches for field, matches in patterns if field == "channel"]
                if not all(matches(channel) for matches in by_channel):
                    continue
                return name if len(by_channel) == len(patterns) else None
        return "" if not self._rules else None


NO_CHANNELS = ChannelRules()


def _holds(clauses: _Clauses, values: Mapping[str, str]) -> bool:
    return any(all(values[field] and matches(values[field]) for field, matches in patterns) for patterns in clauses)


def _derived(url: str, referrer: str) -> tuple[str, str]:
    """`click_id` and `referrer_host` of an event."""
    if not referrer and "?" not in url:
        return _NEITHER
    own_host, click_id = _seen(url)
    host, referrer_click_id = _seen(referrer)
    if host and own_host and _is_same_site(host, own_host):
        host = ""
    return click_id or referrer_click_id, host


def _is_same_site(one: str, other: str) -> bool:
    return one == other or one.endswith("." + other) or other.endswith("." + one)


def _seen(url: str) -> tuple[str, str]:
    """Host of a URL without "www.", and the name of the click id in it; '' where there is none."""
    if not url:
        return "", ""
    return _parse_remembered(url) if len(url) <= _LONGEST_REMEMBERED else _parse(url)


def _parse(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.").rstrip(".")
    except ValueError:
        return "", ""
    if not parts.query:
        return host, ""
    names = {name.lower() for name, _ in parse_qsl(parts.query[:_LONGEST_KEY])}
    return host, next((CLICK_IDS[name] for name in CLICK_IDS if name in names), "")


_parse_remembered: Callable[[str], tuple[str, str]] = lru_cache(maxsize=_URLS_REMEMBERED)(_parse)
