"""What people see while and after things happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from journey.produce import Produced

_PIPED_WIDTH = 140


@dataclass(frozen=True)
class Screen:
    """Where things are shown: results on standard output, all else on standard error."""

    out: Console
    err: Console


def terminal() -> Screen:
    """This process's own. Pipes have no width; tables would be folded to 80 columns there."""
    out = Console()
    return Screen(out if out.is_terminal else Console(width=max(out.width, _PIPED_WIDTH)), Console(stderr=True))


def bytes_bar(screen: Screen) -> Progress:
    """A bar for each file that is read."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    return _progress(screen, *columns)


def _progress(screen: Screen, *columns: ProgressColumn) -> Progress:
    """Nothing in a pipe, where it would draw for nobody ten times a second, and leave empty lines."""
    return Progress(*columns, console=screen.err, transient=True, disable=not screen.err.is_terminal)


class Waiting:
    """A line that says what is waited for."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = _progress(screen, *columns)
        self._task: TaskID | None = None

    def show(self, name: str, left: int) -> None:
        """Show the line; `left` is how many there are to go, 0 where that is not known."""
        description = f"{name}: {left:,} to go" if left else name
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(description, total=None)
        else:
            self._progress.update(self._task, description=description)

    def hide(self) -> None:
        """Take the line away, as something else is shown now."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._progress.stop()
            self._task = None

    def say(self, text: str) -> None:
        """A line that stays."""
        self._screen.err.print(Text(text, style="dim"))


@contextmanager
def waiting_line(screen: Screen) -> Iterator[Waiting]:
    """A `Waiting` that is gone afterwards, whatever happens."""
    waiting = Waiting(screen)
    waiting.show("starting", 0)
    try:
        yield waiting
    finally:
        waiting.hide()


def tell_bad_lines(produced: Produced, screen: Screen) -> None:
    """Show the first lines that were no events, and why."""
    for bad in produced.bad:
        text = Text(f"{bad.source}:{bad.line}: {bad.reason}: {bad.message}", style="yellow")
        screen.err.print(text, soft_wrap=True)
    more = sum(produced.dead.values()) - len(produced.bad)
    if more:
        screen.err.print(Text(f"... and {more:,} more; all of them are in the table dead_letters", style="yellow"))
