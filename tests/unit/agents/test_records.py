"""agents.records: a state comes back from its records, and reads no more of them than it must."""

from __future__ import annotations

import json
import marshal
import random
from collections.abc import Mapping, Sequence

import pytest

from agents import records
from agents.records import UnknownFormat, due_at_of, records_of, state_of
from funnel.definition import parse_funnel
from funnel.events import Event
from funnel.history import Limits
from funnel.identity import OWN
from funnel.prospect import Arrival, Opener, Outcome, State, Terms, Tick, empty, next_due_at, receive
from funnel.rules import RuleSet
from schemas.messages import decode_touch_without_body, encode_touch
from tests.translation import names_of
from tests.unit.funnel.histories import DAY, HOUR, T0, buy, event, touches, view

RULES = RuleSet(
    [
        parse_funnel(
            'name = "f"\nwindow = "1d"\n[[stage]]\nname = "seen"\nstall_after = "12h"\nenter = [ { channel = "web" } ]\n'
            '[[stage]]\nname = "bought"\nenter = [ { channel = "web", type = "purchase" } ]'
        )
    ]
)


HANDING = """
name = "f"
[[stage]]
name = "seen"
team = "marketing"
enter = [ { type = "page_view" } ]
[[stage]]
name = "asked"
team = "sales"
respond_within = "2h"
enter = [ { type = "demo_request" } ]
[[stage]]
name = "bought"
enter = [ { type = "purchase" } ]
"""


TERMS = Terms(RULES, Opener(bytes, names_of, bytes.decode))
ME = b"jane" * 4


def arrivals(*events: Event, start: int = 0) -> list[Arrival]:
    """Events as they come, at positions from `start` on."""
    raws = [encode_touch(touch) for touch in touches(RULES, *events)]
    return [Arrival(start + at, decode_touch_without_body(raw), raw) for at, raw in enumerate(raws)]


def take(state: State, messages: Sequence[Arrival | Tick], limits: Limits = Limits()) -> Outcome:  # noqa: B008  immutable
    """What the messages do."""
    return receive(ME, state, messages, TERMS._replace(limits=limits), settled=1_000)


def file(stored: dict[bytes, bytes], outcome: Outcome, terms: Terms = TERMS) -> None:
    """Store what an outcome changes."""
    for suffix, value in records_of(outcome, terms):
        if value is None:
            stored.pop(suffix, None)
        else:
            stored[suffix] = value


@pytest.fixture
def stored() -> dict[bytes, bytes]:
    """Three events of a prospect, each stored when it came."""
    found: dict[bytes, bytes] = {}
    state = empty(RULES)
    for arrival in arrivals(*(view(f"e{number}", number * 10) for number in range(3))):
        outcome = take(state, [arrival])
        file(found, outcome)
        state = outcome.state
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was decoded since."""
    seen: list[bytes] = []

    def decode(raw: bytes) -> object:
        seen.append(raw)
        return decode_touch_without_body(raw)

    monkeypatch.setattr(records, "decode_touch_without_body", decode)
    return seen


def whole(known: Mapping[bytes, bytes]) -> State:
    """The state from all its events: what it is when nothing says where they lead."""
    found: dict[bytes, bytes] = {}
    for suffix, value in known.items():
        fields = list(records._ENVELOPE.unpack_from(value))
        payload = value[records._ENVELOPE_SIZE + fields[-1] :]
        fields[-1] = 0
        found[suffix] = records._ENVELOPE.pack(*fields) + payload
    return state_of(TERMS, found)


def test_events_in_order_read_nothing(stored: dict[bytes, bytes], reads: list[bytes]) -> None:
    """Events after all others, in whatever order they come, and a tick, need none of those before; what comes out is the same."""
    for messages in (
        arrivals(buy("new", 100), start=9),
        arrivals(buy("new", 100), view("earlier", 90), view("between", 95), start=9),
        [Tick(9, T0 + 10**15)],
    ):
        outcome = take(state_of(TERMS, stored), messages)
        assert reads == []
        expected = take(whole(stored), messages)
        assert len(reads) == 3
        assert outcome == expected
        assert outcome.facts is not None
        reads.clear()


@pytest.mark.parametrize(("event_id", "at"), [("e1", 10), ("e1", 5), ("late", 15), ("late", -5), ("same", 20)])
def test_others_read_all(stored: dict[bytes, bytes], event_id: str, at: int) -> None:
    """Copies, and events before the last one, meet what is stored."""
    messages = arrivals(view(event_id, at), start=9)
    assert take(state_of(TERMS, stored), messages) == take(whole(stored), messages)


def test_what_no_python_can_read_is_derived(stored: dict[bytes, bytes], reads: list[bytes]) -> None:
    """Where events lead is told twice, by the events themselves too."""
    expected = state_of(TERMS, stored)
    for suffix, value in stored.items():
        size = records._ENVELOPE.unpack_from(value)[-1]
        assert size or suffix == OWN
        begins = records._ENVELOPE_SIZE
        stored[suffix] = value[:begins] + b"?" * size + value[begins + size :]
    assert state_of(TERMS, stored) == expected
    assert reads


def test_older_history_is_folded_as_if_it_had_been_read(stored: dict[bytes, bytes]) -> None:
    """By lateness, and by number."""
    messages = arrivals(view("new", 100), start=9)
    for limits in (Limits(lateness=85), Limits(lateness=90), Limits(events=2), Limits(events=3), Limits(events=4)):
        assert take(state_of(TERMS, stored), messages, limits) == take(whole(stored), messages, limits)


@pytest.mark.parametrize("seed", range(300))
def test_any_sequence(seed: int) -> None:
    """Whatever came, whatever is kept of it: the state from its records is the one from its events."""
    rng = random.Random(seed)
    limits = Limits(lateness=rng.choice((5, 20, 10**9)), events=rng.choice((1, 3, 1_000)))
    stored: dict[bytes, bytes] = {}
    for run in range(12):
        messages: list[Arrival | Tick] = []
        for number in range(rng.choice((1, 1, 2, 4))):
            position = run * 4 + number
            if rng.random() < 0.2:
                messages.append(Tick(position, T0 + rng.choice((0, 18 * HOUR, 2 * DAY))))
            else:
                name, channel = f"e{rng.randrange(25)}", rng.choice(("web", "email"))
                messages += arrivals(
                    event(name, rng.randrange(40), channel, rng.choice(("x", "purchase"))), start=position
                )
        settled = rng.choice((0, run * 4, 1_000))
        lazy, full = (
            receive(ME, state, messages, TERMS._replace(limits=limits), settled)
            for state in (state_of(TERMS, stored), whole(stored))
        )
        assert lazy == full
        file(stored, lazy)
        assert due_at_of(stored, TERMS) == lazy.due_at


def test_deadlines_are_those_of_the_funnels_that_run() -> None:
    """Records that were written when a stage allowed for more time are due when it is over by now."""
    slow, quick = (
        RuleSet([parse_funnel(f'name = "f"\n[[stage]]\nname = "a"\nstall_after = "{after}"\nenter = [{{ type = "x" }}]\n[[stage]]\nname = "b"\nenter = [{{ type = "y" }}]')])
        for after in ("9d", "2d")
    )  # fmt: skip
    assert slow.fingerprint == quick.fingerprint
    stored: dict[bytes, bytes] = {}
    (touch,) = touches(slow, event("1", 0, "web", "x"))
    file(stored, receive(ME, empty(slow), [Arrival(0, touch, encode_touch(touch))], TERMS._replace(rules=slow)))
    assert due_at_of(stored, TERMS._replace(rules=slow)) == T0 + 9 * DAY
    assert due_at_of(stored, TERMS._replace(rules=quick)) == T0 + 2 * DAY


def as_format(number: int, stored: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Records as earlier releases wrote them: where events lead says less, in the head and beside events.

    In 3 it says nothing of hand-offs, in 4 nothing of touches and snoozes.
    """
    known = {3: 12, 4: 14}[number]
    found: dict[bytes, bytes] = {}
    for suffix, value in stored.items():
        _, *fields, size = records._ENVELOPE.unpack_from(value)
        payload = value[records._ENVELOPE_SIZE + size :]
        reach = value[records._ENVELOPE_SIZE : records._ENVELOPE_SIZE + size]
        if reach:
            rules, last, progress = marshal.loads(reach)
            reach = marshal.dumps((rules, last, [fields_of[:known] for fields_of in progress]), 2)
        if suffix == records.HEAD_SUFFIX:
            document = json.loads(payload)
            document["base"] = [fields_of[:known] for fields_of in document["base"]]
            if number == 3:
                document["stalls"] = [(episode[:9], at) for episode, at in document["stalls"]]
            payload = json.dumps(document).encode()
        found[suffix] = records._ENVELOPE.pack(number, *fields, len(reach)) + reach + payload
    return found


def test_records_of_the_release_before_are_read() -> None:
    """Who waits for a response by what is still kept is found out; what was folded for good waits for nobody. Deadlines are as they would be."""
    rules = RuleSet([parse_funnel(HANDING)])
    terms = TERMS._replace(rules=rules)
    asked, seen, called = (
        Arrival(position, touch, encode_touch(touch))
        for position, touch in enumerate(
            touches(
                rules,
                event("1", 0, "web", "demo_request"),
                view("2", HOUR),
                event("3", 4 * HOUR, "call", "completed"),
            )
        )
    )
    for limits, waits in ((Limits(), 0), (Limits(events=1), -1)):
        stored: dict[bytes, bytes] = {}
        state = empty(rules)
        for message in (asked, seen, Tick(2, T0 + 3 * HOUR)):
            outcome = receive(ME, state, [message], terms._replace(limits=limits), settled=1_000)
            state = outcome.state
            file(stored, outcome, terms)
        assert state_of(terms, stored).progress[0].untouched == 0
        assert [one.kind for one in state.head.going_on] == ["response"]
        old = as_format(3, stored)
        assert state_of(terms, old).progress[0].untouched == waits
        assert [one.kind for one in state_of(terms, old).head.going_on] == ["stall"], "all episodes were"
        assert due_at_of(old, terms) == next_due_at(state_of(terms, old), rules)
        outcome = receive(ME, state_of(terms, old), [called._replace(position=3)], terms)
        assert outcome.facts is not None
        assert len(outcome.facts.handoffs) == (waits == 0), "the touch"
        file(old, outcome, terms)
        assert {records._ENVELOPE.unpack_from(value)[0] for value in old.values()} == {3, 5}
        assert state_of(terms, old).progress == outcome.state.progress
        assert outcome.state.progress[0].untouched == -1


def test_touches_of_records_of_the_release_before() -> None:
    """Touches of events that are kept are found out; of a visit whose first ones were folded for good only those since are known."""
    rules = RuleSet([parse_funnel(HANDING)])
    terms = TERMS._replace(rules=rules)
    arrivals = [
        Arrival(position, touch, encode_touch(touch))
        for position, touch in enumerate(
            touches(
                rules,
                event("1", 0, "web", "demo_request", campaign="spring"),
                view("2", HOUR),
                event("3", 4 * HOUR, "call", "completed"),
            )
        )
    ]
    for limits, campaigns in ((Limits(), ["spring", "", ""]), (Limits(events=1), ["", ""])):
        stored: dict[bytes, bytes] = {}
        state = empty(rules)
        for arrival in arrivals[:2]:
            outcome = receive(ME, state, [arrival], terms._replace(limits=limits), settled=1_000)
            state = outcome.state
            file(stored, outcome, terms)
        assert state_of(terms, stored).progress[0].path[0][0] == (T0, "", "spring")
        old = as_format(4, stored)
        outcome = receive(ME, state_of(terms, old), [arrivals[2]], terms)
        assert [campaign for _, _, campaign in outcome.state.progress[0].path[0]] == campaigns
        file(old, outcome, terms)
        assert state_of(terms, old).progress == outcome.state.progress


def test_what_no_worker_wrote_is_refused() -> None:
    """A record that somebody else put into the changelog stops the worker with words, not with an offset in bytes."""
    with pytest.raises(UnknownFormat, match="of 3 bytes is none that a worker wrote"):
        due_at_of({b"k": b"bad"}, TERMS)
