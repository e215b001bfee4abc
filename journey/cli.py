"""The command line. Every command is a few lines here; what it does is elsewhere."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from journey.cli_alerts import alerts_app
from journey.cli_history import history_app
from journey.cli_letters import letters_app
from journey.cli_load import load_app
from journey.cli_options import DataDirOption, FunnelOption
from journey.cli_publish import publish
from journey.errors import JourneyError
from journey.screen import terminal
from journey.settings import Settings, load_settings

FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Remove the facts and the state in the data directory first.")
]


class _Commands(TyperGroup):
    """Tells errors in a line or two, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see `journey.errors.JourneyError` for exit codes."""
        try:
            return super().invoke(ctx)
        except JourneyError as error:
            _complain(str(error), error.hint)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _complain("interrupted", "if a run was cut off, the next one in its data directory says how to go on")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # or the interpreter complains on its way out
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=_Commands,
    help="Events in Kafka become exact funnel facts in ClickHouse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show local variables
)


def main() -> None:
    """The entry point of `python -m journey`."""
    app(prog_name="journey")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"journey {importlib.metadata.version('buyer-journey')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    data_dir: DataDirOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Stay until Ctrl-C, with the console.")] = False,
) -> None:
    """Stream the shipped sample through the embedded stack and show the funnel. Nothing is left running."""
    from journey import runs

    settings = load_settings(data_dir=data_dir)
    embedded = Settings.model_validate(
        settings.model_dump()
        | {"kafka": "", "clickhouse": "", "topic_prefix": "", "input_prefix": "", "funnels": ("sales",)}
    )
    raise typer.Exit(runs.demo(embedded, terminal(), keep=keep))


@app.command()
def run(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="NDJSON files (gzip too), or - for standard input.")
    ],
    funnel: FunnelOption = None,
    data_dir: DataDirOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Stay until Ctrl-C instead of stopping the stack.")] = False,
    fresh: FreshOption = False,
) -> None:
    """Read events from files; returns when all of them are folded, visible in ClickHouse and aggregated.

    Uses JOURNEY_KAFKA and JOURNEY_CLICKHOUSE where set, else the embedded stack. A second run in the same directory adds to what is there.
    """
    from journey import runs

    raise typer.Exit(runs.run(_settings(data_dir, funnel), files, terminal(), keep=keep, fresh=fresh))


@app.command()
def up(funnel: FunnelOption = None, data_dir: DataDirOption = None, fresh: FreshOption = False) -> None:
    """The embedded stack with worker and sink, in the foreground, with a status line."""
    from journey import runs

    raise typer.Exit(runs.up(_settings(data_dir, funnel), terminal(), fresh=fresh))


@app.command()
def console(
    funnel: FunnelOption = None,
    data_dir: DataDirOption = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="Where to listen (default 8484); 0: a free port.")
    ] = None,
) -> None:
    """The web console: funnels, flow, cohorts, campaigns, whom to call, one prospect's story. Until Ctrl-C."""
    from journey import console_command

    settings = load_settings(data_dir=data_dir, funnels=tuple(funnel) if funnel else None, console_port=port)
    raise typer.Exit(console_command.console(settings, terminal()))


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One statement; - reads it from standard input.")],
    format_name: Annotated[
        str,
        typer.Option("--format", help="Any output format of ClickHouse, such as JSONEachRow, CSVWithNames, Vertical."),
    ] = "PrettyCompact",
    data_dir: DataDirOption = None,
) -> None:
    """Ask ClickHouse; reads only. The embedded one is started if need be."""
    from journey.reading import query as answer_to
    from journey.reading import readable

    text = sys.stdin.read() if query == "-" else query
    with readable(load_settings(data_dir=data_dir)) as settings:
        for piece in answer_to(settings, text, format_name, colors=sys.stdout.isatty()):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


@app.command()
def explain(
    prospect: Annotated[
        str,
        typer.Argument(
            metavar="PROSPECT_OR_IDENTIFIER",
            help="A prospect's id, kind:value, or a bare email, phone, user id or anonymous id.",
        ),
    ],
    funnel: FunnelOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Every event that moved a prospect, and why."""
    from journey.clickhouse import connected
    from journey.explain import explain as explain_it
    from journey.funnel_files import load
    from journey.reading import readable
    from journey.story import story

    screen = terminal()
    with readable(_settings(data_dir, funnel)) as settings:
        funnels = {one.name: one for one in load(settings.funnels)[0]}
        with connected(settings) as reader:
            for known in explain_it(reader, prospect, settings):
                own = known.candidate.prospect
                moved = f", which belongs to prospect {known.prospect} now" if known.way else ""
                screen.out.print(Text(f"{known.candidate.meaning} is prospect {own}{moved}\n"))
                screen.out.print(story(known.prospect, known.steps, known.standings, funnels))


@app.command()
def who(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="IDENTIFIER",
            help="kind:value (kinds: user_id, email, phone, anonymous_id), a bare value, or a prospect's id.",
        ),
    ],
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="Whose a device was then: ISO-8601 with an offset.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """To whom an identifier belongs, and which ids and identifiers that prospect has."""
    from journey.clickhouse import connected
    from journey.reading import readable
    from journey.who import lines_of, time_of
    from journey.who import who as ask

    time = time_of(at) if at is not None else None
    with readable(load_settings(data_dir=data_dir)) as settings, connected(settings) as reader:
        for line in lines_of(ask(reader, identifier, settings, time), time):
            typer.echo(line)


WeakerArgument = Annotated[str, typer.Argument(metavar="WEAKER", help="kind:value, such as phone:+14155550100.")]
StrongerArgument = Annotated[
    str, typer.Argument(metavar="STRONGER", help="kind:value of a stronger kind (user_id, email, phone, anonymous_id).")
]


@app.command()
def link(
    weaker: WeakerArgument, stronger: StrongerArgument, funnel: FunnelOption = None, data_dir: DataDirOption = None
) -> None:
    """Declare that WEAKER belongs to STRONGER, whatever was observed; of two user ids the first becomes an alias of the second."""
    from journey.declare import declare

    raise typer.Exit(declare(_settings(data_dir, funnel), "link", weaker, stronger, terminal()))


@app.command()
def split(
    weaker: WeakerArgument, stronger: StrongerArgument, funnel: FunnelOption = None, data_dir: DataDirOption = None
) -> None:
    """Declare that WEAKER does not belong to STRONGER; takes a link back, and a later link takes this back."""
    from journey.declare import declare

    raise typer.Exit(declare(_settings(data_dir, funnel), "split", weaker, stronger, terminal()))


@app.command()
def forget(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="IDENTIFIER", help="kind:value, a bare value, or a prospect's id: all of that prospect goes."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say who would be forgotten.")] = False,
    funnel: FunnelOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Erase a prospect everywhere, for good: state, facts, identifiers, dead letters, topics. Replays don't bring it back."""
    from journey.forget import forget as forget_them

    settings = _settings(data_dir, funnel)
    raise typer.Exit(forget_them(settings, identifier, terminal(), confirmed=yes, dry_run=dry_run))


@app.command()
def produce(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="NDJSON files (gzip too), or - for standard input.")
    ],
    data_dir: DataDirOption = None,
) -> None:
    """Send events from files to Kafka (JOURNEY_KAFKA, else the stack that runs in the data directory), and don't wait for more."""
    from journey import sending

    raise typer.Exit(sending.produce(load_settings(data_dir=data_dir), files, terminal()))


app.add_typer(history_app)
app.add_typer(letters_app, name="dead-letters")
app.add_typer(alerts_app, name="alerts")
app.add_typer(load_app, name="load")
app.command()(publish)


@app.command()
def attribute(
    every: Annotated[
        str, typer.Option("--every", metavar="DURATION", help="Again and again, such as 15m; a process that stays.")
    ] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Work out the Markov model of attribution from all closed visits (`attribution`). The other models need nothing."""
    from journey import attributing

    settings = load_settings(data_dir=data_dir)
    if every:
        raise typer.Exit(attributing.attribute_every(settings, attributing.period(every)))
    raise typer.Exit(attributing.attribute(settings, terminal()))


@app.command()
def worker() -> None:
    """Run a worker: takes events in and folds them."""
    from journey import services

    raise typer.Exit(services.worker(load_settings()))


@app.command()
def sink() -> None:
    """Run the sink: writes facts and dead letters to ClickHouse."""
    from journey import services

    raise typer.Exit(services.sink(load_settings()))


@app.command()
def notifier() -> None:
    """Run the notifier: tells whom JOURNEY_ALERTS names of stalled prospects."""
    from journey import services

    raise typer.Exit(services.notifier(load_settings()))


@app.command()
def topics(
    check: Annotated[bool, typer.Option("--check", help="Only look; make nothing.")] = False,
    make_input: Annotated[
        bool, typer.Option("--input", help="Make input topics, too, that JOURNEY_INPUT_PREFIX says are shared.")
    ] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Make the topics, and tell where those that exist differ (exit code 1).

    Where JOURNEY_SCHEMA_REGISTRY is set, the events' schemas are registered there, too.
    """
    from journey import upkeep

    raise typer.Exit(
        upkeep.topics(load_settings(data_dir=data_dir), terminal().out, create=not check, make_input=make_input)
    )


@app.command()
def migrate(funnel: FunnelOption = None, data_dir: DataDirOption = None) -> None:
    """Bring ClickHouse's tables and views up to date; refuses what could lose data."""
    from journey import upkeep

    raise typer.Exit(upkeep.migrate(_settings(data_dir, funnel), terminal().out))


@app.command()
def doctor(funnel: FunnelOption = None, data_dir: DataDirOption = None) -> None:
    """Look over config, reachability, versions, topics and funnel files; exit code 1 where something is broken."""
    from journey import upkeep

    raise typer.Exit(upkeep.doctor(_settings(data_dir, funnel), terminal().out))


@app.command(name="settings")
def show_settings(data_dir: DataDirOption = None) -> None:
    """Show every setting as it counts now; secrets are masked."""
    for name, value in load_settings(data_dir=data_dir).shown().items():
        typer.echo(f"{name} = {value}")


def _settings(data_dir: Path | None, funnel: list[str] | None) -> Settings:
    return load_settings(data_dir=data_dir, funnels=tuple(funnel) if funnel else None)


def _complain(message: str, hint: str) -> None:
    err = Console(stderr=True, soft_wrap=True)
    err.print(Text("journey: ", style="bold red") + Text(message))
    if hint:
        err.print(Text(f"         {hint}"))


__all__ = ["app", "main"]
