"""funnel.history: the set of events a prospect keeps."""

from __future__ import annotations

import random

import pytest

from funnel.definition import parse_funnel
from funnel.events import Touch
from funnel.history import History, Kept, Limits, suffix_of
from funnel.rules import RuleSet
from tests.unit.funnel.histories import T0, event, touches

RULES = RuleSet([parse_funnel('name = "f"\n[[stage]]\nname = "s"\nenter = [ { channel = "web" } ]')])


def strongest(raw: bytes) -> str:
    """Give nothing: no two events are at the same place."""
    raise AssertionError(raw)


def kept(event_id: str, at: int, *, relevant: bool = True, position: int = 0) -> Kept:
    """Make a kept event, `at` microseconds after T0."""
    (touch,) = touches(RULES, event(event_id, at, "web" if relevant else "email", "delivered"))
    assert bool(touch.matches) is relevant
    return Kept(touch, touch.body, position, 1, suffix_of(touch))


def ids(history: History) -> list[str]:
    """Name the events in their order."""
    return [one.touch.event_id for one in history.events]


def test_order_whatever_the_arrival() -> None:
    """Events stand by time, then source, then id as text, however they came."""
    events = [kept("b", 0), kept("a", 1), kept("10", 2), kept("9", 2)]
    for seed in range(24):
        shuffled = random.Random(seed).sample(events, len(events))
        history = History()
        for one in shuffled:
            history = history.with_event(one, strongest)
        assert ids(history) == ids(History(sorted(shuffled))) == ["b", "a", "10", "9"]


def test_copies() -> None:
    """A copy is known by source and id, not by what it says."""
    history = History([kept("a", 0), kept("b", 1)])
    found = history.copy_of(kept("a", 99, relevant=False).suffix)
    assert found is not None
    assert found.touch.occurred_at == T0
    assert history.copy_of(kept("c", 0).suffix) is None
    assert ids(history.without([found])) == ["b"]
    assert history.without([found]).copy_of(found.suffix) is None
    assert ids(history) == ["a", "b"], "a history is a value"


@pytest.mark.parametrize(("lateness", "folded"), [(10, 0), (9, 1), (8, 1), (0, 3)])
def test_lateness(lateness: int, folded: int) -> None:
    """What is older than the newest event less lateness is folded; what is just so old is not."""
    history = History([kept("a", 0), kept("b", 2), kept("c", 5), kept("d", 10)])
    assert history.folded(Limits(lateness, 1_000)) == folded
    horizon = history.horizon(Limits(lateness, 1_000))
    assert horizon == (history.events[folded - 1].touch[:3] if folded else None)


def test_as_many_as_are_kept() -> None:
    """Only relevant events count; the others go with the relevant ones they stand before."""
    history = History(kept(f"{n:02}", n, relevant=n % 2 == 0) for n in range(10))
    assert history.folded(Limits(1_000, 5)) == 0
    assert history.folded(Limits(1_000, 4)) == 1
    assert history.folded(Limits(1_000, 2)) == 5


def test_excess_of_ignored() -> None:
    """Of what no funnel cares for, the newest are kept to recognise their copies."""
    history = History(kept(f"{n:02}", n, relevant=n == 9) for n in range(10))
    assert [one.touch.event_id for one in history.excess_ignored(Limits(1_000, 6))] == ["00", "01", "02"]
    assert history.excess_ignored(Limits(1_000, 10)) == []


def test_suffixes() -> None:
    """An event's record has a key of its own, the same for all its copies."""
    one: Touch = kept("a", 0).touch
    assert kept("a", 0).suffix == kept("a", 5, relevant=False).suffix
    assert len(kept("a", 0).suffix) == 8
    others = [suffix_of(one._replace(source=source)) for source in ("t", "sa", "")]
    assert len({kept("a", 0).suffix, kept("b", 0).suffix, *others}) == 5
    strange = [suffix_of(one._replace(source=s, event_id=i)) for s, i in (("a\0b", "c"), ("a", "b\0c"))]
    assert len(set(strange)) == 2, "or one event's record would overwrite the other's"


def test_histories_that_grew_from_one_another_are_apart() -> None:
    """What a longer history has, the shorter one it was made from has not, nor another one made from that."""
    start = History([kept("a", 0), kept("b", 1)])
    longer = start.with_event(kept("c", 2), strongest).with_event(kept("d", 3), strongest)
    other = start.with_event(kept("e", 5), strongest)
    assert (ids(start), ids(longer), ids(other)) == (["a", "b"], ["a", "b", "c", "d"], ["a", "b", "e"])
    assert start.copy_of(kept("c", 2).suffix) is None
    assert other.copy_of(kept("c", 2).suffix) is None
    assert longer.copy_of(kept("c", 2).suffix) == kept("c", 2)
    assert ids(start.with_event(kept("0", -1), strongest)) == ["0", "a", "b"]
    assert start.horizon(Limits(0, 1_000)) == start.events[0].touch.order


def test_nothing_is_folded_for_good_behind_an_event_that_no_funnel_cares_for() -> None:
    """It may have been forgotten before, and when depends on commits: what is too late must not depend on that."""
    limits = Limits(lateness=10, events=1_000)
    ignored, newest = kept("a", 5, relevant=False), kept("z", 100)
    assert History([ignored, newest]).horizon(limits) is None
    relevant = kept("b", 3)
    history = History([relevant, ignored, newest])
    assert history.folded(limits) == 1
    assert history.horizon(limits) == relevant.touch.order
