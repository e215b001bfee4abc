"""The command `journey publish`."""

from __future__ import annotations

from typing import Annotated

import typer

from journey.cli_options import DataDirOption
from journey.screen import terminal
from journey.settings import load_settings


def publish(
    database: Annotated[str, typer.Option("--database", help="The database that people read.")] = "live",
    max_lag: Annotated[
        float, typer.Option("--max-lag", min=0.0, help="So many seconds the numbers may be behind; 0: not at all.")
    ] = 60.0,
    force: Annotated[bool, typer.Option("--force", help="Don't look how far behind they are.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Show again what was shown before.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Let people read this installation's numbers: the views of a database of their own become views on its views, without a gap.

    Refuses while this installation is behind its input. What may be read by whom stays.
    """
    from journey import publish as publishing

    settings = load_settings(data_dir=data_dir)
    raise typer.Exit(publishing.publish(settings, database, terminal(), max_lag=max_lag, force=force, back=back))
