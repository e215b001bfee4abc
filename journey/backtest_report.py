"""What a backtest shows people: stages before and after, and the prospects that differ, with reasons."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from backtest.comparison import compared
from backtest.figures import Figures, in_order_of_both
from backtest.reasons import Parting, Side
from funnel.durations import MICROSECONDS
from funnel.facts import Transition
from journey.report import duration
from journey.screen import Screen
from journey.story import clause_text

if TYPE_CHECKING:
    from journey.backtest import Backtest

_COUNTS = ("entered", "moved_on", "won", "lost", "expired", "waiting")
_NO_STAGE = Figures("")
_MORE, _LESS = "green", "red"
EXPLAINED = 10_000
"""So many prospects are asked for reasons where fewer are listed: each takes two folds more."""
MOST_REASONS = 12


def show(found: Backtest, most: int | None, screen: Screen) -> None:
    """Show a backtest; at most so many prospects are listed, None: all."""
    out, comparison = screen.out, found.comparison
    out.print(Text(_accounts(found)))
    out.print(_stages(found))
    out.print(Text(_revenue(comparison.before, comparison.now)))
    differing = len(comparison.differing)
    if not differing:
        out.print(Text(f"No prospect of {comparison.prospects:,} differs.", style="bold"))
        return
    out.print(Text(f"{differing:,} of {comparison.prospects:,} prospects differ", style="bold"))
    explained = found.partings(None if most is None else max(most, EXPLAINED))
    out.print(_reasons(explained, differing))
    out.print(_prospects(explained[:most]))
    if most is not None and differing > most:
        out.print(Text(f"... and {differing - most:,} more; --limit 0 lists all, --json is for programs"))


def _reasons(explained: list[tuple[UUID, Parting]], differing: int) -> Table:
    """How often what happens to be the first thing that differs, the most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for _, one in explained:
        happened = "time passes" if one.event is None else f"{one.event.channel} {one.event.type}"
        counts[happened, _told(one.before), _told(one.now) + _fields_that_differ(one)] += 1
    of_whom = "" if len(explained) == differing else f" (of the first {len(explained):,})"
    table = Table(title=Text(f"Where they part{of_whom}"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("prospects", justify="right")
    for heading in ("with event", "before", "now"):
        table.add_column(heading, overflow="fold")
    for texts, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_REASONS]:
        table.add_row(f"{count:,}", *map(Text, texts))
    if (rest := len(counts) - MOST_REASONS) > 0:
        table.add_row(
            f"{sum(counts.values()) - sum(n for _, n in counts.most_common(MOST_REASONS)):,}",
            f"({rest:,} other reasons)",
        )
    return table


def _prospects(listed: list[tuple[UUID, Parting]]) -> Table:
    table = Table(title=Text("Prospects, by id"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("prospect", no_wrap=True)
    for heading in ("from (UTC)", "with event", "before", "now", "in the end"):
        table.add_column(heading, overflow="fold")
    for prospect, one in listed:
        table.add_row(
            str(prospect),
            f"{datetime.fromtimestamp(one.at / MICROSECONDS, UTC):%Y-%m-%d %H:%M:%S}",
            Text(_event(one)),
            Text(_told(one.before)),
            Text(_told(one.now) + _fields_that_differ(one)),
            Text(f"{one.before.end or 'no visit'} → {one.now.end or 'no visit'}"),
        )
    return table


def _accounts(found: Backtest) -> str:
    gathered, stitched = found.gathered, found.stitched
    dead = sum(gathered.dead.values()) + stitched.invalid
    parts = {
        "applied": stitched.applied,
        "duplicate": gathered.duplicate,
        "ignored": stitched.ignored,
        "shared": stitched.shared,
        "forgotten": stitched.forgotten,
        "left out as later": gathered.later,
        "dead": dead,
        "declarations and requests to forget": len(gathered.declared) + len(gathered.forgotten),
    }
    told = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return f"Funnel {found.now.name}: {gathered.records:,} records replayed ({told or 'nothing in them'}), nothing written\n"


def _stages(found: Backtest) -> Table:
    before = {one.stage: one for one in found.comparison.before}
    now = {one.stage: one for one in found.comparison.now}
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    for heading in (*_COUNTS, "median time to move on"):
        table.add_column(heading.replace("_", " "), justify="right")
    for name in in_order_of_both(before, now):
        gone = "" if name in now else " (gone)"
        new = "" if name in before else " (new)"
        was, would_be = before.get(name, _NO_STAGE), now.get(name, _NO_STAGE)
        cells = [_change(getattr(was, count), getattr(would_be, count)) for count in _COUNTS]
        table.add_row(Text(f"{name}{gone}{new}"), *cells, _times(was.median_seconds, would_be.median_seconds))
    return table


def _change(was: int, now: int) -> Text:
    if was == now:
        return Text(f"{now:,}")
    return Text(f"{was:,} → {now:,} ") + Text(f"{now - was:+,}", style=_MORE if now > was else _LESS)


def _times(was: float | None, now: float | None) -> Text:
    texts = ["" if seconds is None else duration(seconds) for seconds in (was, now)]
    return Text(texts[1] if was == now else f"{texts[0] or 'nobody'} → {texts[1] or 'nobody'}")


def _revenue(before: list[Figures], now: list[Figures]) -> str:
    was, would_be = (figures[-1].revenue if figures else {} for figures in (before, now))
    parts = []
    for currency in sorted({*was, *would_be}):
        old, new = was.get(currency, 0), would_be.get(currency, 0)
        unit = currency or "(no currency)"
        parts.append(f"{new / 100:,.2f} {unit}" if old == new else f"{old / 100:,.2f} → {new / 100:,.2f} {unit}")
    return f"Revenue of won visits: {', '.join(parts)}\n" if parts else ""


def _event(one: Parting) -> str:
    if one.event is None:
        return "(none: time passes)"
    return f"{one.event.channel} {one.event.type} [{one.event.source} {one.event.event_id}]"


def _told(side: Side) -> str:
    if side.row is None:
        return f"nothing: {side.why}"
    clauses = " or ".join(f"{one.where} {clause_text(one.clause)}" for one in side.clauses)
    return f"{_move(side.row)}: {clauses or side.why}"


def _move(row: Transition) -> str:
    if row.kind == "enter":
        return f"enters {row.to_stage}"
    return f"{row.to_stage} again" if row.kind == "repeat" else f"{row.from_stage} → {row.to_stage}"


def _fields_that_differ(one: Parting) -> str:
    """Where both make the same move, but its row is another one."""
    old, new = one.before.row, one.now.row
    if old is None or new is None or _move(old) != _move(new):
        return ""
    names = Transition._fields[-len(compared(old)) :]
    differ = [name for name, a, b in zip(names, compared(old), compared(new), strict=True) if a != b]
    return f" (other {', '.join(differ)})"
