"""The commands `journey load spend|segments|targets`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journey.cli_options import DataDirOption
from journey.screen import terminal
from journey.settings import load_settings

load_app = typer.Typer(
    help="What no event says: what campaigns cost, which segment accounts are in, what is to be reached.",
    no_args_is_help=True,
)

CsvArgument = Annotated[Path, typer.Argument(metavar="FILE.csv", help="With a header; UTF-8, separated by commas.")]


@load_app.command()
def spend(file: CsvArgument, data_dir: DataDirOption = None) -> None:
    """What campaigns cost (day, channel_group, campaign, currency, amount). Rows that the file does not name stay."""
    from journey import loading

    raise typer.Exit(loading.load_spend(load_settings(data_dir=data_dir), file, terminal()))


@load_app.command()
def segments(file: CsvArgument, data_dir: DataDirOption = None) -> None:
    """Which segment accounts are in (account_id, segment). Accounts that the file does not name stay where they are."""
    from journey import loading

    raise typer.Exit(loading.load_segments(load_settings(data_dir=data_dir), file, terminal()))


@load_app.command()
def targets(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="Such as targets.toml.")],
    data_dir: DataDirOption = None,
) -> None:
    """What is to be reached. Targets that the file does not have go."""
    from journey import loading

    raise typer.Exit(loading.load_targets(load_settings(data_dir=data_dir), file, terminal()))
