"""Whom an identifier means, and what is known of that prospect."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

from agents.acceptance import phone_parser
from funnel.identifiers import KINDS, Identifier, identify, prospect_id
from journey.data_dir import DataDir
from journey.errors import JourneyError
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


def candidates(text: str, settings: Settings) -> list[Candidate]:
    """Prospects that a text can mean: a prospect id, `kind:value`, or a bare identifier of any kind.

    Raises:
        JourneyError: identifiers can't be turned into ids without the id key.
    """
    found = []
    with suppress(ValueError):
        found.append(Candidate("prospect id", UUID(text.strip())))
    identifiers = _identifiers(text, settings.phone_region)
    key = settings.id_key.get_secret_value() or _key_of_directory(settings)
    if key:
        found += [Candidate(one.canonical, UUID(bytes=prospect_id(key.encode(), one.canonical))) for one in identifiers]
    elif not found:
        raise JourneyError(
            "JOURNEY_ID_KEY is not set; without it an identifier can't be found",
            hint="set it, or give the prospect's id",
        )
    if not found:
        raise JourneyError(
            "expected a prospect id, kind:value (kinds: "
            + ", ".join(KINDS)
            + "), or an identifier that is not empty or a placeholder"
        )
    return found


def explain(reader: Any, text: str, settings: Settings) -> list[Known]:
    """What is known of those that the text can mean.

    Raises:
        JourneyError: nothing is.
    """
    tried = candidates(text, settings)
    known = [
        Known(candidate, steps, standings)
        for candidate in tried
        for steps, standings in [(steps_of(reader, candidate.prospect), standings_of(reader, candidate.prospect))]
        if steps or standings
    ]
    if not known:
        raise JourneyError(
            "nothing moved such a prospect; tried "
            + ", ".join(f"{one.meaning.partition(':')[0]} → {one.prospect}" for one in tried),
            hint="is it the strongest identifier of its events (user_id > email > phone > anonymous_id), and the id key the one they came in with?",
        )
    return known


def _identifiers(text: str, phone_region: str) -> list[Identifier]:
    """Every way to read the text as an identifier, the likeliest first."""
    parse_phone = phone_parser(phone_region)
    kind, colon, value = text.strip().partition(":")
    if colon and kind in KINDS:
        return list(identify({kind: value}, parse_phone))
    return [found for kind in _GUESS_ORDER for found in identify({kind: text}, parse_phone)]


def _key_of_directory(settings: Settings) -> str:
    data = DataDir(settings.data_dir)
    return data.id_key() if data.has_id_key else ""
