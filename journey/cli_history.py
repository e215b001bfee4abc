"""The commands `journey export`, `backtest` and `lint-funnel`: rules tried on history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journey.cli_options import DataDirOption
from journey.screen import terminal
from journey.settings import load_settings

history_app = typer.Typer()
"""Its commands stand beside those of `journey.cli`."""

FromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="PATH",
        help="An export (a directory or one of its files), or NDJSON (gzip too, - for standard input); may be repeated. Default: the topics.",
    ),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="TIME",
        help="The wall clock, ISO-8601 with an offset: what occurred later is left out (default now).",
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="DURATION", help="Only visits that opened since, such as 90d; who is who comes from all."
    ),
]


@history_app.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where the files go; made if need be.")],
    data_dir: DataDirOption = None,
) -> None:
    """Write the input topics to Parquet files, for backtests. Again into the same directory, it adds what is new.

    The files hold events as they were sent: personal data. Only you may read them, and `journey forget` does not reach them.
    """
    from journey.export import export as export_it

    raise typer.Exit(export_it(load_settings(data_dir=data_dir), directory, terminal()))


@history_app.command()
def backtest(
    funnel: Annotated[str, typer.Option("--funnel", metavar="FILE", help="The funnel file to try.")],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="FILE", help="Compare with this one (default: the configured of that name)."),
    ] = None,
    sources: FromOption = None,
    since: SinceOption = None,
    as_of: AsOfOption = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="List at most so many prospects; 0: all.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Try a funnel file on history: how the numbers would change, for whom, and why. Writes nothing."""
    from journey.backtest import backtest as try_it
    from journey.replay import asked

    wanted = asked(sources or (), as_of, since)
    settings = load_settings(data_dir=data_dir)
    raise typer.Exit(try_it(settings, funnel, against, wanted, terminal(), most=limit, as_json=as_json))


@history_app.command(name="lint-funnel")
def lint_funnel(
    funnel: Annotated[str, typer.Argument(metavar="FILE", help="A funnel file, or the name of a preset.")],
    sources: FromOption = None,
    topics: Annotated[bool, typer.Option("--topics", help="Try it on what the input topics have.")] = False,
    as_of: AsOfOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where something is odd.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """What is odd about a funnel file: rules that can't fire, stages nobody can leave; with history, thresholds nobody meets."""
    from journey.lint import lint_funnel as look_over
    from journey.replay import asked

    history = asked(sources or (), as_of, None) if sources or topics else None
    raise typer.Exit(look_over(load_settings(data_dir=data_dir), funnel, history, terminal(), strict=strict))
