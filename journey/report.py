"""The funnel as a picture: what `journey demo` and `journey run` end with."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

_BAR_WIDTH = 24
_BLOCKS = " ▏▎▍▌▋▊▉█"

_STAGES = """
SELECT f.funnel, f.position, f.stage, f.team, f.entered, f.reached, f.moved_on, f.won, f.lost, f.expired, f.waiting,
    f.revenue, v.moved_on > 0 ? v.median_seconds : NULL
FROM funnel AS f LEFT JOIN stage_velocity AS v ON v.funnel = f.funnel AND v.stage = f.stage
ORDER BY f.funnel, f.position"""

_CHANNELS = """
SELECT funnel, first_channel, stage, sum(entered), sum(won), sum(waiting) FROM conversion_facts
GROUP BY funnel, first_channel, stage ORDER BY funnel, first_channel"""


def funnel_picture(reader: Any, names: tuple[str, ...]) -> RenderableType:
    """The funnels as tables.

    Args:
        reader: a client of our database.
        names: the funnels to show.
    """
    stages = [row for row in reader.execute(_STAGES) if row[0] in names]
    channels = reader.execute(_CHANNELS)
    parts: list[RenderableType] = []
    for name in names:
        own = [row for row in stages if row[0] == name]
        parts += [stages_table(name, own), _channels_table([row for row in channels if row[0] == name], own)]
    return Group(*parts)


def stages_table(name: str, rows: list[tuple[Any, ...]]) -> RenderableType:
    """One funnel.

    Args:
        name: of the funnel.
        rows: what `funnel_picture` asks for, one a stage, in order.
    """
    table = Table(
        title=Text(f"Funnel {name}"), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("stage", no_wrap=True)
    table.add_column("reached", width=_BAR_WIDTH, no_wrap=True)
    for heading in ("reached", "entered", "moved on", "won", "lost", "expired", "waiting", "median time to move on"):
        table.add_column("" if heading == "reached" else heading, justify="right")
    most = max((row[5] for row in rows), default=0)
    last = max((row[1] for row in rows), default=0)
    for _, position, stage, _, entered, reached, moved_on, won, lost, expired, waiting, _, median in rows:
        table.add_row(
            Text(stage),
            Text(bar(reached, most), style="cyan"),
            *(
                f"{reached:,}",
                f"{entered:,}",
                _moved_on(moved_on, entered, is_last=position == last),
                f"{won:,}",
                f"{lost:,}",
                f"{expired:,}",
                f"{waiting:,}",
            ),
            "" if median is None else duration(median),
        )
    revenue = rows[-1][11] if rows else {}
    amounts = ", ".join(f"{amount:,.2f} {currency or '(no currency)'}" for currency, amount in sorted(revenue.items()))
    return Group(table, Text(f"Revenue of won visits: {amounts}\n")) if amounts else table


def _moved_on(moved_on: int, entered: int, *, is_last: bool) -> str:
    """How many moved on; nothing for the last stage, which nobody can leave."""
    if is_last and not moved_on:
        return ""
    return f"{moved_on:,}" + (f" ({moved_on / entered:.0%})" if entered else "")


def _channels_table(rows: list[tuple[Any, ...]], stages: list[tuple[Any, ...]]) -> RenderableType:
    """Per first channel, how many visits entered each stage and how many were won."""
    names = [row[2] for row in stages]
    by_channel: dict[str, dict[str, tuple[int, int, int]]] = {}
    for _, channel, stage, entered, won, waiting in rows:
        by_channel.setdefault(channel, {})[stage] = (entered, won, waiting)
    if not by_channel or not names:
        return Text("")
    table = Table(title="By first channel (visits that entered)", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("first channel")
    for name in names:
        table.add_column(Text(name), justify="right")
    table.add_column("of the won", width=_BAR_WIDTH // 2, no_wrap=True)
    last = names[-1]
    won_in = {channel: counts.get(last, (0, 0, 0))[1] for channel, counts in by_channel.items()}
    for channel, counts in sorted(by_channel.items(), key=lambda item: -won_in[item[0]]):
        table.add_row(
            Text(channel or "(none)"),
            *(f"{counts.get(name, (0, 0, 0))[0]:,}" for name in names),
            Text(bar(won_in[channel], max(won_in.values()), _BAR_WIDTH // 2), style="green"),
        )
    return table


def bar(value: int, most: int, width: int = _BAR_WIDTH) -> str:
    """A bar of blocks, as long as `value` is of `most`; anything above 0 shows."""
    if value <= 0 or most <= 0:
        return ""
    eighths = max(1, round(value / most * width * 8))
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()


def duration(seconds: float) -> str:
    """A length of time as people say it: its two largest units."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    left = round(seconds)
    parts: list[str] = []
    for unit, size in units:
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts[:2])


def width_of(console: Console) -> int:
    """Columns to use where the output is no terminal."""
    return console.width if console.is_terminal else max(console.width, 140)
