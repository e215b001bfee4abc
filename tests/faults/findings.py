"""What is wrong with an installation, from the evidence and what the oracle expects. Each check is a function; nothing here does I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from funnel.events import Event, Touch
from funnel.facts import Facts
from schemas.sealing import Sealer
from tests.faults.evidence import TOUCHES, Evidence, Place
from tests.faults.expectations import Expectations, canonical_of
from tests.oracle import Truth
from tests.translation import SETTINGS, facts_of, identity_facts_of

SHOWN = 5
"""Of things that are wrong in the same way, so many are named ..."""
LONGEST = 300
"""... each with so many characters."""
IDENTIFIER, ALIAS, SHARED = b"identifier", b"alias", b"shared"
"""In the keys of rows, beside the names of funnels, which are text."""
_SEALER = Sealer(SETTINGS.id_key)


class Finding(NamedTuple):
    """Something that is not as it must be."""

    check: str
    what: str


def several(check: str, what: str, things: Collection[Any]) -> Iterator[Finding]:
    """One finding for any number of things; none where there are none."""
    if things:
        shown = "; ".join(str(thing)[:LONGEST] for thing in list(things)[:SHOWN])
        yield Finding(check, f"{len(things)} {what}: {shown}")


def sent_is_there(
    expected: Expectations, evidence: Evidence, events: set[bytes], garbage: set[bytes]
) -> Iterator[Finding]:
    """The input topics hold what was sent, and nothing else; otherwise everything below would judge something else."""
    came = {canonical_of(event) for event in expected.events.values()}
    undecodable = {evidence.inputs[place][0] for place in evidence.inputs if place not in expected.events}
    yield from several("sent", "events were sent and are not in the input topics", events - came)
    yield from several("sent", "events are in the input topics and were not sent", came - events)
    yield from several("sent", "records that are no events are missing or too many", undecodable ^ garbage)


def conservation(expected: Expectations, evidence: Evidence) -> Iterator[Finding]:
    """Consumed = applied + duplicate + ignored + shared + dead-lettered, record by record and not just in sum."""
    letters = {letter.origin: letter.reason for letter in evidence.letters}
    yield from several("conservation", "records should be dead letters and are not", expected.dead.keys() - letters)
    yield from several("conservation", "records are dead letters and should not be", letters.keys() - expected.dead)
    wrong = [place for place, reason in letters.items() if expected.dead.get(place, reason) != reason]
    yield from several("conservation", "dead letters have another reason than the oracle's", wrong)

    kept = {(prospect, *key) for prospect, events in evidence.kept.items() for key in events}
    wanted = {(key[0].bytes, *key[1:]): place for place, key in expected.key_of.items()}
    yield from several("conservation", "accepted events are in no state", [wanted[key] for key in wanted.keys() - kept])
    yield from several("conservation", "events are in a state and never came", kept - wanted.keys())
    counted = {"applied": expected.applied, "ignored": expected.ignored, "shared": expected.shared}
    touches = {place: _touch(evidence, expected, place) for places in counted.values() for place in places}
    for what, places in counted.items():
        # Whose those are that some funnel cares for, and that some are nobody's, the rows show.
        wrong = [
            place for place in places if (touch := touches[place]) and bool(touch.matches) is not (what != "ignored")
        ]
        yield from several("conservation", f"events should count as {what} and do not", wrong)
    copies = [place for place, touch in touches.items() if touch and not _is_copy_of(touch, expected.events[place])]
    yield from several("conservation", "events are kept as another copy than the one that counts", copies)


def accounting(expected: Expectations, evidence: Evidence) -> dict[str, int]:
    """Both sides of the equation, for the report."""
    counts = {name: len(getattr(expected, name)) for name in ("applied", "duplicate", "ignored", "shared", "dead")}
    return {"consumed": len(evidence.inputs)} | counts


def commits_are_behind(expected: Expectations, evidence: Evidence) -> Iterator[Finding]:
    """What is before a committed offset has its effects where they are safe: a crash at this moment would lose nothing."""
    arrived = {one.origin for one in evidence.touches} | {letter.origin for letter in evidence.letters}
    ahead = [place for place in evidence.inputs if _is_committed(evidence, place) and place not in arrived]
    yield from several(
        "commit ahead of touches", "input records are committed, and neither touch nor dead letter", ahead
    )

    letters = {letter.origin for letter in evidence.letters}
    lost = [
        one.place
        for one in evidence.touches
        if one.touch is not None
        and _is_committed(evidence, one.place)
        and (one.touch.source, one.touch.event_id) not in evidence.kept.get(one.prospect, {})
        and one.origin not in letters
    ]
    yield from several("commit ahead of state", "touches are committed, and in no state and no dead letter", lost)


def facts_are_behind(evidence: Evidence) -> Iterator[Finding]:
    """Nothing that is told speaks of a state that is not in the changelog: its revision would be given out again, with other contents."""
    facts = ((prospect, facts.revision) for prospect, facts in evidence.facts)
    said = (one.said for one in evidence.touches if one.said is not None)
    for check, to, told in (("facts", "tables", facts), ("statements", "others", said)):
        highest: dict[bytes, int] = defaultdict(int)
        for prospect, revision in told:
            highest[prospect] = max(highest[prospect], revision)
        ahead = [one.hex() for one, revision in highest.items() if revision > evidence.revisions.get(one, -1)]
        yield from several(
            f"{check} ahead of changelog", f"prospects have told {to} more than their changelog knows", ahead
        )


def facts_agree(evidence: Evidence) -> Iterator[Finding]:
    """No two messages give one key different contents under one revision: which one is kept would be chance."""
    contents: dict[Hashable, Any] = {}
    contrary = set()
    for prospect, facts in evidence.facts:
        for key, row in _rows(prospect, facts):
            if contents.setdefault((key, facts.revision), row) != row:
                contrary.add((prospect.hex(), key[1:], facts.revision))
    yield from several("contradiction", "keys have two contents under one revision", contrary)


def told_what_follows(expected: Expectations, evidence: Evidence) -> Iterator[Finding]:
    """Of everybody with nothing on its way, the facts told so far are what the oracle makes of the events that came so far.

    Expiry by the wall clock may have been told or not: its tick comes when the worker finds time.
    """
    idle, told = settled(expected, evidence), _told(evidence)
    # The input may hold more: that has not got so far, and changes nothing yet.
    places = _arrived(expected, evidence)
    final = _by_prospect(expected.truth_of(places, True))
    unequal = {prospect for prospect in idle if told.get(prospect, {}) != final.get(prospect, {})}
    early = _by_prospect(expected.truth_of(places, False)) if unequal else {}
    wrong = [prospect.hex() for prospect in unequal if told.get(prospect, {}) != early.get(prospect, {})]
    yield from several("facts behind commit", "prospects have not told what follows from their committed events", wrong)


def settled(expected: Expectations, evidence: Evidence) -> set[bytes]:
    """Identifiers that have nothing on its way, be it an event, a tick, or something that others say; nor has any that they are connected with."""
    related = expected.related(_arrived(expected, evidence))
    waiting = (one.prospect for one in evidence.touches if not _is_committed(evidence, one.place))
    busy = {related.get(one, one) for one in waiting}
    return {one for one, leads_to in related.items() if leads_to not in busy}


def drained(evidence: Evidence) -> Iterator[Finding]:
    """Nothing is left to do."""
    left = [
        f"{topic}-{partition} {evidence.committed.get((topic, partition), 0)}/{end}"
        for (topic, partition), end in evidence.ends.items()
        if (topic == TOUCHES or topic in _inputs(evidence)) and evidence.committed.get((topic, partition), 0) < end
    ]
    yield from several("lag", "partitions are not committed to their end", left)


def differing_rows(table: str, found: Iterable[list[str]], wanted: Iterable[list[str]]) -> Iterator[Finding]:
    """The rows of a table and the oracle's, as text."""
    has, should = Counter(map(tuple, found)), Counter(map(tuple, wanted))
    yield from several("equality", f"rows of {table} are missing", list((should - has).elements()))
    yield from several("equality", f"rows of {table} should not be there", list((has - should).elements()))


def _arrived(expected: Expectations, evidence: Evidence) -> list[Place]:
    """The accepted records that intake has taken in."""
    arrived = {one.origin for one in evidence.touches}
    return [place for place in expected.key_of if place in arrived]


def _inputs(evidence: Evidence) -> set[str]:
    return {place.topic for place in evidence.inputs}


def _is_committed(evidence: Evidence, place: Place) -> bool:
    return place.offset < evidence.committed.get((place.topic, place.partition), 0)


def _touch(evidence: Evidence, expected: Expectations, place: Place) -> Touch | None:
    prospect, source, event_id = expected.key_of[place]
    return evidence.kept.get(prospect.bytes, {}).get((source, event_id))


def _is_copy_of(touch: Touch, event: Event) -> bool:
    return (touch.occurred_at, touch.type) == (event["occurred_at"], event["type"])


def _rows(prospect: bytes, facts: Facts) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Key and contents of every row; None where it is taken back."""
    for transition in facts.transitions:
        yield (prospect, *transition.key), transition
    for key in facts.removed:
        yield (prospect, *key), None
    for standing in facts.standings:
        yield (prospect, standing.funnel), standing
    for funnel in facts.removed_standings:
        yield (prospect, funnel), None
    for identifier in facts.identifiers:
        yield (prospect, IDENTIFIER, identifier), identifier
    for identifier in facts.removed_identifiers:
        yield (prospect, IDENTIFIER, identifier), None
    for alias in facts.aliases:
        yield (prospect, ALIAS, alias.new_id), alias
    for new_id in facts.removed_aliases:
        yield (prospect, ALIAS, new_id), None
    for shared in facts.shared:
        yield (prospect, SHARED, shared.kind), shared
    for kind in facts.removed_shared:
        yield (prospect, SHARED, kind), None


def _told(evidence: Evidence) -> dict[bytes, dict[Any, Any]]:
    """By prospect: its rows by key, of the highest revision each."""
    rows: dict[bytes, dict[Any, tuple[int, Any]]] = defaultdict(dict)
    for prospect, facts in evidence.facts:
        for key, row in _rows(prospect, facts):
            if facts.revision >= rows[prospect].get(key[1:], (-1, None))[0]:
                rows[prospect][key[1:]] = (facts.revision, row)
    return {
        prospect: {key: row for key, (_, row) in found.items() if row is not None} for prospect, found in rows.items()
    }


def _by_prospect(truth: Truth) -> Mapping[bytes, dict[Any, Any]]:
    transitions, standings = facts_of(truth)[:2]
    rows: dict[bytes, dict[Any, Any]] = defaultdict(dict)
    for (prospect, key), transition in transitions.items():
        rows[prospect][tuple(key)] = transition
    for (prospect, funnel), standing in standings.items():
        rows[prospect][(funnel,)] = standing
    identifiers, aliases, shared = identity_facts_of(truth)
    for prospect, identifier in identifiers:
        sealed = identifier._replace(name=_SEALER.seal(identifier.name))
        rows[prospect][IDENTIFIER, sealed] = sealed
    for (prospect, new_id), alias in aliases.items():
        rows[prospect][ALIAS, new_id] = alias
    for (prospect, kind), row in shared.items():
        rows[prospect][SHARED, kind] = row
    return rows
