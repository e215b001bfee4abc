"""`journey run`, `demo` and `up`: a stack, something that goes in, and a picture of what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from clickhouse_driver.errors import Error as DriverError
from rich.live import Live
from rich.table import Table
from rich.text import Text

from funnel.durations import MICROSECONDS
from journey.clickhouse import connected
from journey.counts import Counter, Counts
from journey.errors import JourneyError
from journey.funnel_files import load
from journey.interrupts import Interrupts, orderly_interrupts
from journey.kafka_clients import producer_client
from journey.local_stack import Stack, running_stack
from journey.offsets import lag
from journey.produce import STDIN, LineProducer, Produced, open_lines, send_files
from journey.report import funnel_picture
from journey.screen import Screen, bytes_bar, tell_bad_lines, waiting_line
from journey.settings import Settings
from journey.story import standings_of, steps_of, story, worth_telling
from journey.wiring import alerts_of, codec_of
from schemas.errors import Undecodable
from schemas.ndjson import parse_line

SAMPLE = Path(__file__).parent.parent / "examples" / "leads.ndjson.gz"
_INTERRUPTED = 130
_STATUS_SECONDS = 1.0
_COUNT_SECONDS = 0.5
_POLL_SECONDS = 0.05
_ATTRIBUTE_SECONDS = 300.0


def run(settings: Settings, files: Sequence[str], screen: Screen, *, keep: bool, fresh: bool) -> int:
    """Read files, and return when all of it is in ClickHouse. Returns the exit code."""
    for name in files:
        if name != STDIN:
            with open_lines(name):  # tell now, not after other files were sent
                pass
    return _stream(settings, files, screen, keep=keep, fresh=fresh)


def demo(settings: Settings, screen: Screen, *, keep: bool = False) -> int:
    """The shipped sample, moved so that its newest event was yesterday, in a directory of its own that starts over each time."""
    if not SAMPLE.is_file():
        raise JourneyError(f"the sample {SAMPLE} is not there", hint="run from a clone of the repository")
    own = settings.model_copy(update={"data_dir": settings.data_dir / "demo"})
    code = _stream(own, [str(SAMPLE)], screen, keep=keep, fresh=True, shift=_days_to_yesterday(SAMPLE), tell_story=True)
    if code == 0:
        screen.out.print(
            'Your own events: [bold]journey run FILE.ndjson[/], one JSON object a line (README, "Events").',
            highlight=False,
        )
    return code


def up(settings: Settings, screen: Screen, *, fresh: bool) -> int:
    """The stack and its workers in the foreground, until Ctrl-C."""
    if settings.alerts:
        alerts_of(settings)  # tell what is wrong here, not in a log
    with (
        orderly_interrupts() as interrupts,
        waiting_line(screen) as waiting,
        running_stack(settings, fresh=fresh, notify=True, say=waiting.say, progress=waiting.show) as stack,
    ):
        stack.start_console()
        waiting.hide()
        _tell_where(stack, screen)
        _stay(stack, screen, interrupts)
        waiting.show("settling", 0)
        stack.settle(waiting.show)
    return 0


def _stream(
    settings: Settings,
    files: Sequence[str],
    screen: Screen,
    *,
    keep: bool,
    fresh: bool,
    shift: int = 0,
    tell_story: bool = False,
) -> int:
    funnels, _ = load(settings.funnels)
    interrupted = False
    with (
        orderly_interrupts() as interrupts,
        waiting_line(screen) as waiting,
        running_stack(settings, fresh=fresh, say=waiting.say, progress=waiting.show) as stack,
    ):
        counter = Counter(stack)
        counting = _Every(_COUNT_SECONDS, counter.read)
        produced = Produced()
        waiting.hide()

        def show(name: str, left: int) -> None:
            waiting.show(name, left)
            counting()
            if not interrupted:
                interrupts.check()

        try:
            _send(stack, files, screen, interrupts, shift, produced)
            stack.drain(show)
        except KeyboardInterrupt:
            interrupted = True
            waiting.hide()
            screen.err.print(
                "[yellow]Stopping: what was sent is taken in first (Ctrl-C again: give it up).[/]", highlight=False
            )
            stack.settle(show)
        counts = counter.read()
        waiting.hide()
        _tell_counts(produced, counts, counter, screen)
        if not interrupted:
            with connected(stack.settings) as reader:
                screen.out.print(funnel_picture(reader, tuple(funnel.name for funnel in funnels)))
                prospect = worth_telling(reader) if tell_story else None
                if prospect is not None:
                    screen.out.print(Text("One of them:\n", style="bold"))
                    by_name = {funnel.name: funnel for funnel in funnels}
                    screen.out.print(
                        story(prospect, steps_of(reader, prospect), standings_of(reader, prospect), by_name)
                    )
            _tell_how_to_go_on(stack, screen, prospect=str(prospect or "PROSPECT_OR_IDENTIFIER"))
            if keep:
                stack.start_console()
                _tell_where(stack, screen)
                _stay(stack, screen, interrupts)
                stack.settle(waiting.show)
    if interrupted:
        reached = ", ".join(f"{name} line {line}" for name, line in produced.reached.items())
        screen.err.print(
            Text(f"Stopped after {reached or 'nothing'}. Reading the same files again is safe: an event counts once.")
        )
        return _INTERRUPTED
    return 0


def _send(
    stack: Stack, files: Sequence[str], screen: Screen, interrupts: Interrupts, shift: int, produced: Produced
) -> None:
    def check() -> None:
        stack.check()
        interrupts.check()

    with bytes_bar(screen) as bar, producer_client(stack.settings) as producer:
        sender = LineProducer(producer, codec_of(stack.settings), stack.settings, shift=shift, produced=produced)
        try:
            send_files(sender, files, bar, check, interrupts.interruptible)
        finally:
            sender.finish()


class _Every:
    """Calls something, but not more often than so."""

    def __init__(self, seconds: float, action: Callable[[], object]) -> None:
        self._seconds, self._action, self._last = seconds, action, 0.0

    def __call__(self) -> None:
        if (now := time.monotonic()) - self._last >= self._seconds:
            self._action()
            self._last = now


def _tell_counts(produced: Produced, counts: Counts, counter: Counter, screen: Screen) -> None:
    tell_bad_lines(produced, screen)
    dead_lines = sum(produced.dead.values())
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_row(f"{produced.lines:,}", "lines read")
    if counter.is_ours:
        table.add_row(f"{counts.applied:,}", "events applied")
        table.add_row(f"{counts.duplicate:,}", "duplicates")
        table.add_row(f"{counts.ignored:,}", "ignored (no funnel cares)")
        if counts.shared:
            table.add_row(f"{counts.shared:,}", "nobody's (an identifier on their way is shared)")
        if counts.forgotten:
            table.add_row(f"{counts.forgotten:,}", "turned away (whose they are is forgotten)")
        if counts.declared:
            table.add_row(f"{counts.declared:,}", "declarations")
        for reason in sorted({*counts.dead, *produced.dead}):
            table.add_row(f"{counts.dead.get(reason, 0) + produced.dead[reason]:,}", f"dead letters: {reason}")
    screen.out.print(table)
    if not counter.is_ours:
        screen.out.print(Text("Other workers took them in; their metrics say what became of them."))
    elif not counter.is_exact:
        screen.out.print(
            Text("A worker was restarted on the way, so these counts may count some events twice. The facts don't.")
        )
    elif counts.consumed != counts.accounted:
        screen.out.print(
            Text(
                f"These don't add up: {counts.consumed:,} consumed, {counts.accounted:,} accounted for. Please report it.",
                style="red",
            )
        )
    else:
        screen.out.print(
            Text(
                f"{counts.consumed:,} consumed = {' + '.join(_parts(counts))}, plus {dead_lines:,} lines that were no events."
            )
        )
    screen.out.print()


def _parts(counts: Counts) -> list[str]:
    """What consumed events can have become, the rare ones only where there are some."""
    seldom = {"shared": counts.shared, "forgotten": counts.forgotten, "declared": counts.declared}
    rare = [name for name, count in seldom.items() if count]
    return ["applied", "duplicate", "ignored", *rare, "dead"]


def _tell_how_to_go_on(stack: Stack, screen: Screen, prospect: str) -> None:
    where = "" if stack.clickhouse is None else _option(stack)
    lines = [
        "The facts are in your ClickHouse."
        if stack.clickhouse is None
        else f"The facts are in {_relative(stack.data.path)}.",
        f'  journey sql "SELECT * FROM funnel"{where}',  # noqa: S608  shown, not run
        f'  journey sql "SELECT * FROM stage_velocity"{where}',  # noqa: S608  shown, not run
        f"  journey explain {prospect}{where}",
        f"  journey console{where}",
    ]
    screen.out.print(Text("\n".join(lines)))


def _tell_where(stack: Stack, screen: Screen) -> None:
    address = stack.settings.clickhouse_address
    lines = [f"Kafka       {stack.settings.kafka}", f"ClickHouse  {address!r}"]
    if stack.clickhouse is not None:
        lines.append(f"            http://{address.host}:{stack.clickhouse.http_port}/")
    if stack.console is not None:
        lines.append(f"Console     {stack.console}")
    lines += [
        f"Data, logs  {_relative(stack.data.path)}",
        f"Send        journey produce FILE{_option(stack)}",
        "Stop        Ctrl-C",
    ]
    screen.out.print(Text("\n".join(lines)))


def _stay(stack: Stack, screen: Screen, interrupts: Interrupts) -> None:
    """Until Ctrl-C, with a line of what happens."""
    counter = Counter(stack)
    last, last_at = counter.read(), time.monotonic()
    attributing = _Every(_ATTRIBUTE_SECONDS, stack.attribute)
    with Live(console=screen.err, transient=True, auto_refresh=False) as live:
        while not interrupts.requested:
            stack.check()
            counts, now = counter.read(), time.monotonic()
            behind = sum(lag(stack.ends(step.topics), stack.committed(step.group)) for step in stack.steps)
            speed = (counts.consumed - last.consumed) / (now - last_at)
            last, last_at = counts, now
            with suppress(DriverError, OSError, EOFError):  # where ClickHouse is away, the next time will do
                attributing()
            live.update(Text(_status(counts, behind, speed)), refresh=True)
            while not interrupts.requested and time.monotonic() < now + _STATUS_SECONDS:
                time.sleep(_POLL_SECONDS)
    screen.err.print(Text("Stopping ..."))


def _status(counts: Counts, behind: int, speed: float) -> str:
    dead = sum(counts.dead.values())
    return (
        f"in {counts.consumed:,}  applied {counts.applied:,}  duplicate {counts.duplicate:,}  dead {dead:,}"
        f"  lag {behind:,}  rows {counts.rows:,}  {speed:,.0f} events/s"
    )


def _days_to_yesterday(sample: Path) -> int:
    """Microseconds, of whole days, by which the newest event of the sample is moved to yesterday."""
    newest = 0
    with open_lines(str(sample)) as (lines, _):
        for line in lines:
            try:
                newest = max(newest, parse_line(line)["occurred_at"])
            except Undecodable:
                continue
    newest_day: date = datetime.fromtimestamp(newest / MICROSECONDS, UTC).date()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return (yesterday - newest_day).days * 86_400 * MICROSECONDS


def _option(stack: Stack) -> str:
    """What other commands need to find this stack."""
    default = Path(Settings.model_fields["data_dir"].default).resolve()
    return "" if stack.data.path == default else f" --data-dir {_relative(stack.data.path)}"


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
