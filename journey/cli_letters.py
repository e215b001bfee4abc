"""The commands `journey dead-letters list|show|retry|drop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from journey.cli_options import DataDirOption, FunnelOption
from journey.errors import SettingsError
from journey.screen import terminal
from journey.settings import load_settings

if TYPE_CHECKING:
    from journey.letters import Filter

letters_app = typer.Typer(
    help="What was refused: list it, show it, send it through intake again, or drop it.", no_args_is_help=True
)

IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Letters, as `list` names them.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Only those with this reason, such as undecodable.")]
TopicOption = Annotated[str, typer.Option("--topic", help="Only those of this input topic, or file.")]
SinceOption = Annotated[str, typer.Option("--since", metavar="DURATION", help="Only those written since, such as 7d.")]
AllOption = Annotated[bool, typer.Option("--all", help="All that wait.")]


@letters_app.command("list")
def show_list(
    reason: ReasonOption = "",
    topic: TopicOption = "",
    since: SinceOption = "",
    settled: Annotated[bool, typer.Option("--settled", help="Those that were retried or dropped, too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
    data_dir: DataDirOption = None,
) -> None:
    """Letters that wait, one a line, without what is in them."""
    from journey import letter_commands

    wanted = _filter(None, reason, topic, since, settled=settled)
    raise typer.Exit(letter_commands.show_list(load_settings(data_dir=data_dir), wanted, limit, terminal()))


@letters_app.command("show")
def show_one(letter: Annotated[str, typer.Argument(metavar="ID")], data_dir: DataDirOption = None) -> None:
    """One letter with what is in it: personal data."""
    from journey import letter_commands

    raise typer.Exit(letter_commands.show_one(load_settings(data_dir=data_dir), letter, terminal()))


@letters_app.command()
def retry(
    ids: IdsArgument = None,
    reason: ReasonOption = "",
    topic: TopicOption = "",
    since: SinceOption = "",
    everything: AllOption = False,
    funnel: FunnelOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Send letters through intake again, once what was wrong is mended; each counts once, and one that is refused again waits again."""
    wanted = _narrow(_filter(ids, reason, topic, since), everything=everything)
    from journey.letter_retry import retry as try_again

    settings = load_settings(data_dir=data_dir, funnels=tuple(funnel) if funnel else None)
    raise typer.Exit(try_again(settings, wanted, terminal()))


@letters_app.command()
def drop(
    ids: IdsArgument = None,
    reason: ReasonOption = "",
    topic: TopicOption = "",
    since: SinceOption = "",
    everything: AllOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Take letters off the list; they stay in the table, as dropped, until their time is over."""
    wanted = _narrow(_filter(ids, reason, topic, since), everything=everything)
    from journey import letter_commands

    raise typer.Exit(letter_commands.drop(load_settings(data_dir=data_dir), wanted, terminal()))


def _filter(ids: list[str] | None, reason: str, topic: str, since: str, *, settled: bool = False) -> Filter:
    from journey.letters import Filter

    return Filter(ids=tuple(ids or ()), reason=reason, topic=topic, since=since, settled=settled)


def _narrow(wanted: Filter, *, everything: bool) -> Filter:
    if wanted.is_narrow == everything:
        raise SettingsError("expected ids or options that say which letters, or --all, and not both")
    return wanted
