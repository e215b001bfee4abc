"""Whom an identifier means, and what is known of that prospect."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

from agents.acceptance import phone_parser
from funnel.identifiers import KINDS, Identifier, identify, prospect_id
from journey.data_dir import DataDir
from journey.errors import JourneyError
from journey.identity import Alias, way_from
from journey.settings import Settings
from journey.story import Step, standings_of, steps_of

_GUESS_ORDER = ("email", "phone", "user_id", "anonymous_id")


class Candidate(NamedTuple):
    """A prospect that may be meant."""

    meaning: str
    """How the text was read, e.g. `email:jane@x.com`."""
    prospect: UUID


class Known(NamedTuple):
    """What is known of a prospect."""

    candidate: Candidate
    steps: list[Step]
    standings: list[tuple[Any, ...]]
    way: list[Alias]
    """From the candidate's own id to the prospect that it belongs to now; empty where it is that prospect."""

    @property
    def prospect(self) -> UUID:
        """The prospect that this is known of."""
        return self.way[-1].new_id if self.way else self.candidate.prospect


def candidates(text: str, settings: Settings) -> list[Candidate]:
    """Prospects that a text can mean: a prospect id, `kind:value`, or a bare identifier of any kind.

    Raises:
        JourneyError: identifiers can't be turned into ids without the id key.
    """
    found = []
    with suppress(ValueError):
        found.append(Candidate("prospect id", UUID(text.strip())))
    identifiers = _identifiers(text, settings.phone_region)
    if _key(settings) or not found:
        key = key_of(settings)
        found += [candidate_of(one, key) for one in identifiers]
    if not found:
        raise JourneyError(
            "expected a prospect id, kind:value (kinds: "
            + ", ".join(KINDS)
            + "), or an identifier that is not empty or a placeholder"
        )
    return found


def candidate_of(identifier: Identifier, key: bytes) -> Candidate:
    """The prospect that an identifier alone makes."""
    return Candidate(identifier.canonical, UUID(bytes=prospect_id(key, identifier.canonical)))


def key_of(settings: Settings) -> bytes:
    """The id key: the one that is set, else the data directory's.

    Raises:
        JourneyError: there is neither.
    """
    if key := _key(settings):
        return key.encode()
    raise JourneyError(
        "JOURNEY_ID_KEY is not set; without it an identifier can't be found",
        hint="set it, or give the prospect's id",
    )


def explain(reader: Any, text: str, settings: Settings) -> list[Known]:
    """What is known of those that the text can mean, each as the prospect that it belongs to now.

    Raises:
        JourneyError: nothing is.
    """
    tried = candidates(text, settings)
    known = []
    for candidate in tried:
        way = way_from(reader, candidate.prospect)
        prospect = way[-1].new_id if way else candidate.prospect
        steps, standings = steps_of(reader, prospect), standings_of(reader, prospect)
        if steps or standings:
            known.append(Known(candidate, steps, standings, way))
    if not known:
        raise JourneyError(
            "nothing moved such a prospect; tried "
            + ", ".join(f"{one.meaning.partition(':')[0]} → {one.prospect}" for one in tried),
            hint="is the id key the one that its events came in with? `journey who` says to whom an identifier belongs, and whether it is shared",
        )
    return known


def _identifiers(text: str, phone_region: str) -> list[Identifier]:
    """Every way to read the text as an identifier, the likeliest first."""
    parse_phone = phone_parser(phone_region)
    kind, colon, value = text.strip().partition(":")
    if colon and kind in KINDS:
        return list(identify({kind: value}, parse_phone))
    return [found for kind in _GUESS_ORDER for found in identify({kind: text}, parse_phone)]


def _key(settings: Settings) -> str:
    data = DataDir(settings.data_dir)
    return settings.id_key.get_secret_value() or (data.id_key() if data.has_id_key else "")
