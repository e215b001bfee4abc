"""`journey who`: to whom an identifier belongs, now or at a time, and which ids and identifiers that prospect has."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from agents.acceptance import phone_parser
from funnel.identifiers import KINDS, identify
from journey.errors import JourneyError
from journey.explain import Candidate, candidate_of, key_of
from journey.identity import Alias, Shared, identifiers_of, ids_before, shared_of, way_from, ways_from
from journey.settings import Settings
from journey.story import standings_of

_DIALLED = re.compile(r"[0-9 ().-]+")
_EXPECTED_TIME = "--at: expected ISO-8601 with an offset, such as 2024-05-01T12:00:00Z"


class Who(NamedTuple):
    """What is known."""

    meant: Candidate
    guess: str
    """How a bare value was read, and how to say it otherwise; '' where nothing was guessed."""
    way: list[Alias]
    """From its own id to the prospect's."""
    others: list[Alias]
    """Of a device: to whom else it went on."""
    shared: Shared | None
    shared_at: UUID | None
    """The id on the way that is shared; then all ends there."""
    before: list[Alias]
    identifiers: list[tuple[str, str]] | None
    """None where the user may not read them."""

    @property
    def now(self) -> UUID:
        """The prospect."""
        return self.way[-1].new_id if self.way else self.meant.prospect


def time_of(text: str) -> datetime:
    """A time with an offset.

    Raises:
        JourneyError: it is none.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise JourneyError(_EXPECTED_TIME) from None
    if time.tzinfo is None:
        raise JourneyError(_EXPECTED_TIME)
    return time


def meant_by(text: str, settings: Settings) -> tuple[Candidate, str]:
    """The one id that a text means, and what was guessed.

    Raises:
        JourneyError: it is no identifier, or can't be turned into an id without the id key.
    """
    text = text.strip()
    try:
        return Candidate("prospect id", UUID(text)), f"read as a prospect's id; a user is user_id:{text}"
    except ValueError:
        pass
    kind, colon, value = text.partition(":")
    parse_phone = phone_parser(settings.phone_region)
    guess = ""
    if not colon or kind not in KINDS:
        kind, value = _guessed_kind(text, settings), text
        other = next(one for one in ("user_id", "anonymous_id") if one != kind)
        guess = f"read as {kind}; say {other}:{text} if that is meant"
    found = identify({kind: value}, parse_phone)
    if not found:
        raise JourneyError(
            f"that is no {kind}: it is empty, a placeholder, or not written as one",
            hint=f"expected kind:value (kinds: {', '.join(KINDS)}), a bare value, or a prospect's id",
        )
    return candidate_of(found[0], key_of(settings)), guess


def who(reader: Any, text: str, settings: Settings, at: datetime | None = None) -> Who:
    """Whose the identifier is.

    Args:
        reader: a client whose user may read the views; who may read `prospect_identifiers` sees identifiers, too.
        text: see `meant_by`.
        settings: give the id key and the phone region.
        at: of a device that several people used, whose it was then.

    Raises:
        JourneyError: see `meant_by`; or nothing is known of it.
    """
    meant, guess = meant_by(text, settings)
    way = way_from(reader, meant.prospect, at)
    stations = [meant.prospect, *(step.new_id for step in way)]
    sharing = [(station, shared) for station in stations if (shared := shared_of(reader, station))]
    shared_at, shared = sharing[0] if sharing else (None, None)
    now = stations[-1]
    before, identifiers = ids_before(reader, now), identifiers_of(reader, now)
    if not (way or shared or before or identifiers or standings_of(reader, now)):
        seen = "" if identifiers is not None else " that this user may see (it may not read prospect_identifiers)"
        raise JourneyError(
            f"nothing is known of it{seen}; its id would be {meant.prospect}",
            hint="is it written as in its events, and the id key the one they came in with?",
        )
    others = [step for step in ways_from(reader, meant.prospect) if step not in way]
    return Who(meant, guess, way, others, shared, shared_at, before, identifiers)


def lines_of(found: Who, at: datetime | None = None) -> list[str]:
    """What to tell people; the identifiers in it are personal data.

    Args:
        found: see `who`.
        at: what `who` was asked for.
    """
    meaning = _shown(found.meant.meaning)
    lines = [f"{meaning} ({_shown(found.guess)})" if found.guess else meaning]
    lines.append(_line("its own id", found.meant.prospect))
    when = "prospect now" if at is None else "prospect then"
    if found.shared is None:
        lines.append(_line(when, f"{found.now}{'' if found.way else ', its own'}"))
    else:
        whose = "it" if found.shared_at == found.meant.prospect else f"on its way, {found.shared_at}"
        lines.append(_line(when, f"none: {whose} is shared, so its events are nobody's"))
        lines.append(_line("shared", f"a {found.shared.kind} seen with {found.shared.seen_with} or more people"))
    lines += [_line("goes on to", f"{step.new_id} since {_utc(step.since)}") for step in found.way]
    lines += [_line("at other times", f"{step.new_id} since {_utc(step.since)}") for step in found.others]
    if found.shared is not None:
        return lines
    lines.append(_line("not shared", ""))
    lines += [
        _line("id before", f"{step.old_id} since {_utc(step.since)}{_through(step, found.now)}")
        for step in found.before
    ]
    if found.identifiers is None:
        lines.append(_line("identifiers", "not shown: this user may not read prospect_identifiers"))
    else:
        lines += [_line("identifier", f"{kind}:{_shown(value)}") for kind, value in found.identifiers]
    return lines


def _line(heading: str, text: object) -> str:
    return f"  {heading:<16}{text}".rstrip()


def _guessed_kind(text: str, settings: Settings) -> str:
    if "@" in text:
        return "email"
    looks_dialled = _DIALLED.fullmatch(text) and phone_parser(settings.phone_region)(text) is not None
    return "phone" if text.startswith("+") or looks_dialled else "user_id"


def _through(step: Alias, now: UUID) -> str:
    return "" if step.new_id == now else f", by way of {step.new_id}"


def _shown(value: str) -> str:
    """A value from outside, unable to steer a terminal."""
    return value if value.isprintable() else value.encode("unicode_escape").decode()


def _utc(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
