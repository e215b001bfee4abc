"""Generated events, touches, statements and facts: everything their types allow."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from funnel.events import Event, Touch
from funnel.facts import AliasRow, Facts, Handoff, IdentifierRow, SharedRow, Stall, Standing, Transition
from funnel.messages import Alias, Declaration, Forget, Forgotten, Handover, Membership, Reset, Sighting, SignInsWanted
from schemas.catalog import SUBJECT_OF_CHANNEL, current
from schemas.model import Array, Fixed, Map, Primitive, Record, Type, Union

_SHORT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TEXT = _SHORT | _SHORT.map(lambda text: text * 20)
"""Long ones, whose lengths take two bytes, repeat themselves: each character drawn costs."""
LONG = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-300, 300) | st.integers(0, 1 << 56)
BYTES = st.binary(max_size=150)
AMOUNT = st.integers(-(10**18) + 1, 10**18 - 1).map(lambda unscaled: Decimal(unscaled).scaleb(-2))


def values(type_: Type) -> st.SearchStrategy[object]:
    """Values of an Avro type, decimals and times as the codec has them."""
    match type_:
        case Primitive(kind="string"):
            return TEXT
        case Primitive(kind="long"):
            return LONG
        case Primitive(kind="int"):
            return st.integers(-(1 << 31), (1 << 31) - 1)
        case Primitive(kind="null"):
            return st.none()
        case Primitive(kind="double"):
            return st.floats(allow_nan=False)
        case Primitive(kind="bytes", logical="decimal"):
            return AMOUNT
        case Primitive(kind="bytes"):
            return BYTES
        case Fixed(size=size):
            return st.binary(min_size=size, max_size=size)
        case Map(values=inner):
            return st.dictionaries(TEXT, values(inner), max_size=4)
        case Union(branches=branches):
            return st.one_of(*map(values, branches))
        case Array(items=inner):
            return st.lists(values(inner), max_size=3)
        case Record(fields=fields):
            return st.fixed_dictionaries({field.name: values(field.type) for field in fields})
        case _:
            raise NotImplementedError(type_)


def events(channel: str) -> st.SearchStrategy[Event]:
    """Events of a channel."""
    schema = current(SUBJECT_OF_CHANNEL[channel]).schema
    return st.fixed_dictionaries(
        {"channel": st.just(channel)} | {field.name: values(field.type) for field in schema.fields}
    )


any_event = st.sampled_from(sorted(SUBJECT_OF_CHANNEL)).flatmap(events)

touches = st.builds(
    Touch,
    **{field.name: values(field.type) for field in current("touch").schema.fields}
    | {"matches": st.integers(0, 1 << 200) | st.integers(0, 300), "rules": st.integers(-(1 << 63), (1 << 63) - 1)},
)

STATEMENTS: dict[str, type[Any]] = {
    "sighting": Sighting,
    "sign-ins-wanted": SignInsWanted,
    "handover": Handover,
    "membership": Membership,
    "reset": Reset,
    "declaration": Declaration,
    "alias": Alias,
    "forget": Forget,
    "forgotten": Forgotten,
}
"""By subject."""

statements = st.sampled_from(sorted(STATEMENTS)).flatmap(
    lambda subject: st.builds(
        STATEMENTS[subject], **{field.name: values(field.type) for field in current(subject).schema.fields}
    )
)


def _rows(kind: type, field: str) -> st.SearchStrategy[tuple[object, ...]]:
    (listed,) = (item.type for item in current("facts").schema.fields if item.name == field)
    assert isinstance(listed, Array)
    assert isinstance(listed.items, Record)
    row = st.builds(kind, **{inner.name: _frozen(inner.type) for inner in listed.items.fields})
    return st.lists(row, max_size=2).map(tuple)


def _frozen(type_: Type) -> st.SearchStrategy[object]:
    """As our values have it: they are immutable."""
    drawn = values(type_)
    return (
        drawn.map(lambda listed: tuple(listed) if isinstance(listed, list) else listed)
        if isinstance(type_, Array)
        else drawn
    )


facts = st.builds(
    Facts,
    revision=LONG,
    transitions=_rows(Transition, "transitions"),
    removed=st.lists(st.tuples(TEXT, LONG, LONG), max_size=3).map(tuple),
    standings=_rows(Standing, "standings"),
    removed_standings=st.lists(TEXT, max_size=3).map(tuple),
    identifiers=_rows(IdentifierRow, "identifiers"),
    removed_identifiers=_rows(IdentifierRow, "removed_identifiers"),
    aliases=_rows(AliasRow, "aliases"),
    removed_aliases=st.lists(st.binary(min_size=16, max_size=16), max_size=3).map(tuple),
    shared=_rows(SharedRow, "shared"),
    removed_shared=st.lists(LONG, max_size=3).map(tuple),
    stalls=_rows(Stall, "stalls"),
    handoffs=_rows(Handoff, "handoffs"),
    removed_handoffs=st.lists(st.tuples(TEXT, LONG, LONG, LONG), max_size=3).map(tuple),
)
prospect_ids = st.binary(min_size=16, max_size=16)
