"""The oracle itself, on what is easily worked out by hand: what judges everything else must be judged first."""

from __future__ import annotations

import datetime as dt
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from funnel.facts import Facts, Transition
from tests.oracle import ConversionRow, Settings, account_for, truth_of
from tests.oracle.bounded import too_late
from tests.replacing import ContradictionError, ReplacingModel
from tests.unit.funnel.histories import DAY, HOUR, T0, buy, call, event, view

SALES = tomllib.loads((Path(__file__).parents[2] / "funnels" / "sales.toml").read_text(encoding="utf-8"))
SETTINGS = Settings(id_key=b"k")
FIRST = dt.date(2023, 11, 14)
FOREVER = T0 + 10_000 * DAY


def test_conversion() -> None:
    """Two visits of one cohort: one won after a step back and with a repeat, one still open."""
    events = [
        view("1", 0, campaign="spring"),
        event("2", HOUR, "email", "clicked"),
        call("3", HOUR + 1_000_000, "demo"),
        call("4", 2 * HOUR, "nurture"),
        buy("5", 3 * HOUR, amount=Decimal("10.00"), currency="EUR"),
        buy("6", DAY, amount=Decimal("2.50"), currency="USD"),
        {**view("7", 1, campaign="spring"), "email": "other@x.com"},
    ]
    rows = truth_of(events, [SALES], SETTINGS, T0 + 2 * DAY).conversion_facts

    def row(stage: str, day: dt.date, currency: str, *numbers: object) -> ConversionRow:
        return ConversionRow("sales", stage, day, "web", "spring", currency, *numbers)  # type: ignore[arg-type]

    revenue = Decimal("12.50")
    assert rows == [
        row("awareness", FIRST, "", 1, 0, 0, 0, 0, 1, 0.0, Decimal(0)),
        row("awareness", FIRST, "EUR", 1, 1, 1, 0, 0, 0, 3_600.0, revenue),
        row("consideration", FIRST, "EUR", 1, 1, 1, 0, 0, 0, 7_199.0, revenue),
        row("interest", FIRST, "EUR", 1, 1, 1, 0, 0, 0, 1.0, revenue),
        row("purchase", dt.date(2023, 11, 15), "EUR", 1, 0, 1, 0, 0, 0, 0.0, revenue),
    ]


def test_days_are_those_of_the_timezone() -> None:
    """The same visit falls on another day further east."""
    rows = truth_of([view("1", 0)], [{**SALES, "timezone": "Asia/Kolkata"}], SETTINGS, FOREVER).conversion_facts
    assert [(row.entry_day, row.entered, row.expired, row.waiting) for row in rows] == [
        (FIRST + dt.timedelta(days=1), 1, 1, 0)
    ]


def test_every_event_is_accounted_for() -> None:
    """Dead letters, losing copies, what nobody cares for, and the rest."""
    nobody = {**view("5", 0), "email": "guest"}
    past = {**view("6", 0), "occurred_at": 946_684_800_000_000 - 1}
    future = view("7", 5 * 60_000_000 + 1)
    events = [view("1", 5), view("1", 0), view("1", 0), event("2", 0, "email", "bounced"), nobody, past, future]
    accounting = account_for(events, [SALES], SETTINGS._replace(record_time=T0))
    assert accounting.dead == {4: "no_identifier", 5: "invalid_time", 6: "invalid_time"}
    assert (accounting.applied, accounting.duplicate, accounting.ignored) == ((1,), (0, 2), (3,))


def test_too_late() -> None:
    """Only what sorts before the last folded event is too late."""
    arrivals = [view("1", 0), view("2", 10), view("0", -1), view("3", 1), view("1", 0), view("9", -1, email="b@x.com")]
    assert too_late(arrivals, [SALES], SETTINGS, lateness=9, kept_events=1_000) == {2}
    assert too_late(arrivals, [SALES], SETTINGS, lateness=10, kept_events=1_000) == set()
    assert too_late(arrivals, [SALES], SETTINGS, lateness=10**9, kept_events=1) == {2}


def test_replacing_model() -> None:
    """The highest revision of a key stays, whatever the order; a tombstone hides it; two truths are an error."""
    (row,) = truth_of([view("1", 0)], [SALES], SETTINGS, T0).transitions
    fields = row._asdict()
    del fields["prospect_id"]
    transition = Transition(**{**fields, "amount": 0})
    model = ReplacingModel()
    model.insert(b"p", Facts(2, (transition,)))
    model.insert(b"p", Facts(1, removed=(transition.key,)))
    assert model.transitions() == {(b"p", ("sales", 1, 0)): transition}
    model.insert(b"p", Facts(2, (transition,)))
    with pytest.raises(ContradictionError):
        model.insert(b"p", Facts(2, (transition._replace(kind="skip"),)))
    model.insert(b"p", Facts(3, removed=(transition.key,)))
    assert model.transitions() == {}
