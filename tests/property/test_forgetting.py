"""Whoever is forgotten leaves no trace, comes back with no replay, and nobody else's rows differ: in the simulator, against the oracle."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from funnel.identity import Bounds
from funnel.state import Terms
from tests.generators.populations import PopulationCase, populations
from tests.oracle.forgetting import Left, left_of
from tests.oracle.truth import whose
from tests.property.effort import tries
from tests.property.populated import check, differing
from tests.simulator import OPENER, Simulator
from tests.translation import SETTINGS, declaration_of, facts_of, handoffs_of, id_of, identity_facts_of, rules_of


def difference(case: PopulationCase, seed: int, *, crashes: int, stray: bool) -> str:
    """Let a population arrive, forget one of its identifiers and whose it is, let all arrive again, and tell where it ends otherwise."""
    rng = random.Random(seed)
    case = _without_ties(case)
    settings = case.settings(SETTINGS)
    terms = Terms(rules_of(case.funnels), OPENER, bounds=Bounds(case.most_stronger, case.most_ever))
    simulator = Simulator(terms, rng, crashes=crashes, partitions=rng.randint(1, 8), stray=stray)
    _arrive(simulator, rng, case)
    if rng.random() < 0.5:
        simulator.tick_until(case.now)
    named = _named(case, rng)
    left = left_of(case.events, case.funnels, settings, case.now, case.declarations, named)
    simulator.forget(map(id_of, rng.sample(sorted(named), len(named))))
    simulator.drain()
    found = [f"{line} (at once)" for line in _traces(simulator, left)]
    if not crashes and not stray:
        counts = {name: left.truth.accounting.counts.get(name, 0) for name in ("applied", "ignored", "shared")}
        counts["forgotten"] = len(left.forgotten)
        found += [
            f"{name}: expected {count}, found {simulator.counts[name]}"
            for name, count in counts.items()
            if simulator.counts[name] != count
        ]
    _arrive(simulator, rng, case)
    simulator.tick_until(case.now)
    return "\n".join([*found, *_traces(simulator, left), *_differences(simulator, left)])


def _without_ties(case: PopulationCase) -> PopulationCase:
    """Without copies that differ, and one event at each place in the order.

    A copy that gave way is a new event once the one that counted is forgotten; and names, by which ties are decided, are forgotten.
    """
    seen: dict[object, dict[str, object]] = {}
    for event in case.events:
        seen.setdefault((event["source"], event["event_id"]), event)
    return case._replace(events=list(seen.values()))


def _arrive(simulator: Simulator, rng: random.Random, case: PopulationCase) -> None:
    arriving = [
        *((simulator.deliver, one) for one in case.events),
        *((simulator.declare, declaration_of(one)) for one in case.declarations),
    ]
    rng.shuffle(arriving)
    for let, one in arriving:
        let([one])
    simulator.drain()


def _named(case: PopulationCase, rng: random.Random) -> set[str]:
    """An identifier by chance, and whose it is: those whom `journey forget` names."""
    stitched = whose(case.events, case.funnels, case.settings(SETTINGS), case.declarations)[2]
    identifiers = sorted(stitched.end)
    if not identifiers:
        return set()
    one = rng.choice(identifiers)
    end = stitched.end[one]
    return {one} if end is None else {one, end}


def _traces(simulator: Simulator, left: Left) -> Iterable[str]:
    """What is still known of the forgotten ones, and should not be."""
    gone = {id_of(identifier) for identifier in left.identifiers}
    tables = simulator.tables
    for prospect, key in [*tables.transitions(), *tables.standings(), *tables.handoffs()]:
        if prospect in gone:
            yield f"row {key} of {prospect.hex()}"
    for one in gone:
        for key, value in simulator.changelog.get(one, {}).items():
            for name in left.identifiers:
                if len(name).to_bytes(4) + name.encode() in value or f'"{name.partition(":")[2]}"'.encode() in value:
                    yield f"{name} in record {key!r} of {one.hex()}"
    for other, records in simulator.changelog.items():
        for key, value in records.items():
            for name in left.identifiers:
                if len(name).to_bytes(4) + name.encode() in value and key[:1] in {b"s", b"d", b"m"} and len(key) != 8:
                    yield f"{name} in note {key!r} of {other.hex()}"


def _differences(simulator: Simulator, left: Left) -> Iterable[str]:
    gone = {id_of(identifier) for identifier in left.identifiers}
    transitions, standings = facts_of(left.truth)
    yield from differing("transitions", transitions, simulator.tables.transitions())
    yield from differing("standings", standings, simulator.tables.standings())
    yield from differing("handoffs", handoffs_of(left.truth.handoffs), simulator.tables.handoffs())
    for name, rows in identity_facts_of(left.truth)._asdict().items():
        found = simulator.tables.identity()._asdict()[name]
        # Names of identifiers are not told once more, only to be forgotten: `journey forget` deletes them with all that the prospect has.
        yield from differing(name, rows, {key: row for key, row in found.items() if key[0] not in gone})


@tries(100)
@given(populations(), st.integers(0, 2**32))
def test_the_forgotten_leave_no_trace(case: PopulationCase, seed: int) -> None:
    """In any order; their events are gone, everybody else's rows and counts are as they were."""
    check(difference, case, seed, crashes=0, stray=False)


@tries(100)
@given(populations(), st.integers(0, 2**32))
def test_the_forgotten_leave_no_trace_whatever_crashes(case: PopulationCase, seed: int) -> None:
    """With crashes anywhere, and what actors send in any order and twice."""
    check(difference, case, seed, crashes=8, stray=True)
