"""The commands `journey alerts list|preview|test`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journey.cli_options import DataDirOption
from journey.screen import terminal
from journey.settings import Settings, load_settings

alerts_app = typer.Typer(
    help="Who is told of stalled prospects: what became of it, what would be, and whether it works.",
    no_args_is_help=True,
)

FileOption = Annotated[
    Path | None, typer.Option("--file", help="The file that says who is told (default: JOURNEY_ALERTS).")
]
SinceOption = Annotated[str, typer.Option("--since", metavar="DURATION", help="Of the time since, such as 7d.")]


@alerts_app.command("list")
def show_list(
    since: SinceOption = "7d",
    state: Annotated[str, typer.Option("--state", help="waiting, sending, sent, failed, void, or all.")] = "failed",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
    data_dir: DataDirOption = None,
) -> None:
    """What could not be delivered, and why; or what else became of alerts."""
    from journey import alert_commands

    settings = load_settings(data_dir=data_dir)
    raise typer.Exit(alert_commands.show_list(settings, since, state, limit, terminal()))


@alerts_app.command()
def preview(since: SinceOption = "7d", file: FileOption = None, data_dir: DataDirOption = None) -> None:
    """What the file would have sent of the stalls that were noticed since; nothing is sent."""
    from journey import alert_commands

    raise typer.Exit(alert_commands.preview(_settings(file, data_dir), since, terminal()))


@alerts_app.command("test")
def try_route(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="A route of the file.")], file: FileOption = None
) -> None:
    """Send a made-up alert to all targets of a route, now; exit code 1 where one doesn't take it."""
    from journey import alert_commands

    raise typer.Exit(alert_commands.try_route(_settings(file, None), route, terminal()))


def _settings(file: Path | None, data_dir: Path | None) -> Settings:
    return load_settings(alerts=None if file is None else str(file), data_dir=data_dir)
