"""What ClickHouse knows of identity: which prospect an id belongs to now, which ids it had before, and what names it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from clickhouse_driver.errors import ServerException

from journey.clickhouse import ACCESS_DENIED

_ONWARD = "SELECT old_id, new_id, since FROM aliases WHERE old_id = %(prospect)s ORDER BY since, new_id"
_BEFORE = "SELECT old_id, new_id, since FROM aliases WHERE new_id IN %(prospects)s ORDER BY since, old_id"
_SHARED = "SELECT kind, seen_with FROM shared WHERE identifier = %(prospect)s"
_IDENTIFIERS = """
SELECT kind, value FROM prospect_identifiers FINAL WHERE prospect_id = %(prospect)s
ORDER BY indexOf(['user_id', 'email', 'phone', 'anonymous_id'], kind), value"""
MOST_STEPS = 32
"""As of the view `prospect_now`: far more than there should be, so that a circle ends."""


class Alias(NamedTuple):
    """A row of `aliases`: what was one prospect's goes on to another one."""

    old_id: UUID
    new_id: UUID
    since: datetime


class Shared(NamedTuple):
    """A row of `shared`, without its id."""

    kind: str
    seen_with: int


def ways_from(reader: Any, prospect: UUID) -> list[Alias]:
    """To whom the id goes on, the latest last; several only for a device on which several people signed in."""
    return [Alias(*row) for row in reader.execute(_ONWARD, {"prospect": prospect})]


def way_from(reader: Any, prospect: UUID, at: datetime | None = None) -> list[Alias]:
    """The steps from an id to the prospect that it belongs to; none where it is that prospect.

    Args:
        reader: a client whose user may read the views.
        prospect: the id.
        at: of a device with several people, the one who had it then; by default, the one who had it last.
    """
    way: list[Alias] = []
    seen = {prospect}
    while len(way) < MOST_STEPS and (step := _chosen(ways_from(reader, prospect), at)):
        way.append(step)
        prospect = step.new_id
        if prospect in seen:
            break
        seen.add(prospect)
    return way


def ids_before(reader: Any, prospect: UUID) -> list[Alias]:
    """The ids that go on to this prospect, directly or by others in between, each with its step; the nearest first."""
    found: dict[tuple[UUID, UUID], Alias] = {}
    seen, nearest = {prospect}, {prospect}
    while nearest and len(found) < 10_000:
        steps = [Alias(*row) for row in reader.execute(_BEFORE, {"prospects": tuple(nearest)})]
        found |= {(step.old_id, step.new_id): step for step in steps}
        nearest = {step.old_id for step in steps} - seen
        seen |= nearest
    return list(found.values())


def shared_of(reader: Any, prospect: UUID) -> Shared | None:
    """How the identifier of this id is shared; None where it isn't."""
    rows = reader.execute(_SHARED, {"prospect": prospect})
    return Shared(*rows[0]) if rows else None


def identifiers_of(reader: Any, prospect: UUID) -> list[tuple[str, str]] | None:
    """Kind and value of the prospect's identifiers, the strongest first; None where the user may not read them."""
    try:
        return list(reader.execute(_IDENTIFIERS, {"prospect": prospect}))
    except ServerException as error:
        if error.code != ACCESS_DENIED:
            raise
        return None


def _chosen(ways: list[Alias], at: datetime | None) -> Alias | None:
    """As the contract says of devices: the latest sign-in until then, else the earliest after it."""
    if not ways:
        return None
    if at is None:
        return ways[-1]
    before = [way for way in ways if way.since <= at]
    return before[-1] if before else ways[0]
