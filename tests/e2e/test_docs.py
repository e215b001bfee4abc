"""The docs do what they say: their commands run, their queries answer, their links lead somewhere, and what they name exists."""

from __future__ import annotations

import gzip
import re
import shlex
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from clickhouse_driver import Client
from clickhouse_driver.errors import Error as DriverError
from prometheus_client import REGISTRY

import agents.metrics
import alerts.metrics
import journey.health
import sinks.metrics
from agents.acceptance import touch_of
from funnel.definition import parse_funnel
from funnel.durations import MICROSECONDS
from funnel.events import Event
from funnel.facts import Transition
from funnel.journey import START, fold
from funnel.rules import RuleSet
from journey.cli import app
from journey.funnel_files import preset_names
from journey.local_clickhouse import EmbeddedClickHouse
from journey.runs import SAMPLE
from journey.settings import CONFIG_VARIABLE, PREFIX, Settings
from schemas.errors import Undecodable
from schemas.ndjson import parse_line
from tests.e2e.harness import ROOT, SECONDS, start
from tests.e2e.test_exact import CHANNELS
from tests.integration.test_pipeline import now_micros
from tests.oracle import Settings as OracleSettings
from tests.oracle import truth_of
from tests.warehouse import TABLES as TABLES_OF_TRUTH
from tests.warehouse import Rows, expected, tables

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
VARIABLES = {PREFIX + name.upper() for name in Settings.model_fields} | {
    CONFIG_VARIABLE,
    "JOURNEY_TEST_EFFORT",
    "JOURNEY_TEST_FIRST",
    "JOURNEY_SOAK_SEEDS",
}
QUICKSTART, BACKTEST = "docs/quickstart.md", "docs/backtest.md"
RUN = (BACKTEST, QUICKSTART)
"""Pages whose console blocks are run, with the files that they show."""
DEMO, OWN_RUN = "journey demo", "journey run events.ndjson"
STACKS = (DEMO, OWN_RUN)
"""Commands that start a stack; both run at once, as most of their time is waiting."""
QUESTIONS = "docs/queries.md"
LOADED = ("spend spend.csv", "segments segments.csv", "targets targets.toml")
"""What the questions are about beside events: files that the page shows."""
LISTED = ("funnel", "stage_velocity", "flow", "standings", "aliases", "prospect_now", "shared", "unanswered")
TABLES = (
    "stage_transitions",
    "prospects",
    "prospect_identifiers",
    "prospect_aliases",
    "shared_identifiers",
    "stalls",
    "handoff_parts",
    "handoffs",
    "funnel_stages",
    "dead_letters",
    "conversion_facts",
    "conversion_by_group",
    "stage_velocity_weekly",
    "cohorts",
    "campaigns",
    "lost_reasons",
    "accounts",
    "retention",
    "target_attainment",
    "spend",
    "account_segments",
    "targets",
    "attribution",
    "attribution_facts",
    "attribution_shares",
    "attribution_settings",
)

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:^|[`$\"]|\brm )\s*journey ([a-z][a-z-]*)([^`\n|]*)", re.MULTILINE)


def name_of(page: Path) -> str:
    """A page as people know it."""
    return str(page.relative_to(ROOT))


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    return [text for found, text in _BLOCK.findall((ROOT / page).read_text()) if found == language]


QUERIES = blocks(QUESTIONS, "sql")


class Console(NamedTuple):
    """A command of a page and lines that its output must have."""

    command: str
    lines: list[str]


def consoles(page: str) -> list[Console]:
    """What the page's console blocks run."""
    found: list[Console] = []
    for block in blocks(page, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Console(line[2:], []))
            elif line.strip() not in ("", "..."):
                found[-1].lines.append(line)
    return found


def squeezed(text: str) -> str:
    """Runs of spaces as one: widths of tables are not what is told."""
    return re.sub(r"[ \t]+", " ", text)


def place_of(pages: Iterable[str], directory: Path) -> Path:
    """The directory that somebody follows pages in, with the files that they show."""
    text = "\n".join((ROOT / page).read_text() for page in pages)
    for name, content in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL):
        (directory / name).write_text(content)
    return directory


def outputs_of(commands: Collection[str], place: Path) -> dict[str, str]:
    """What the commands said, run all at once; fails where one does not end well."""
    assert all(command.startswith("journey ") for command in commands)
    running = {command: start(shlex.split(command)[1:], place) for command in commands}
    said: dict[str, str] = {}
    try:
        for command, process in running.items():
            out, err = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{out}\n{err}"
            said[command] = out + err
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    return said


@pytest.mark.slow
def test_what_the_docs_show(tmp_path: Path) -> None:
    """The pages' commands say what they show, the README shows the demo, the queries answer, and all columns are described.

    One test, because it is one stack: tests of their own could run in several processes, each with a demo to wait for.
    """
    place = place_of((*RUN, QUESTIONS), tmp_path)
    commands = [console for page in RUN for console in consoles(page)]
    began = now_micros()
    outputs = outputs_of(STACKS, place)
    ended = now_micros()
    with EmbeddedClickHouse(place / ".journey" / "demo" / "clickhouse") as server:
        client = Client(server.host, port=server.native_port, database="journey")
        # `journey sql` finds this server, so they can all ask at once.
        outputs |= outputs_of([one.command for one in commands if one.command not in outputs], place)
        outputs_of([f"journey load {one} --data-dir .journey/demo" for one in LOADED], place)
        wrong = [*what_is_not_said(commands, outputs), *what_the_demo_does_not_print(outputs[DEMO])]
        wrong += [*queries_without_answer(client), *columns_not_described(client)]
        wrong += what_the_oracle_says_otherwise(tables(client), place / ".journey" / "demo" / "id.key", began, ended)
        client.disconnect()
    assert not wrong, "\n".join(wrong)


def what_is_not_said(commands: Iterable[Console], outputs: Mapping[str, str]) -> Iterator[str]:
    """Lines below a command that are not in its output."""
    for console in commands:
        said = squeezed(outputs[console.command])
        for line in console.lines:
            if squeezed(line).strip() not in said:
                yield f"{line!r} is not in what {console.command} says:\n{said}"


def what_the_demo_does_not_print(told: str) -> Iterator[str]:
    """Lines of the README's picture that the demo doesn't print, but for what depends on the day and on the directory's key."""

    def facts(text: str) -> list[list[str]]:
        before_story = text.split("One of them:", maxsplit=1)[0]
        cells = [
            re.split(r" {2,}", line.strip())
            for line in before_story.splitlines()
            if line.strip(" ─") and not line.startswith("$")
        ]
        # Of a stage's row: name, bar, reached, entered, moved on, won, lost. Visits expire as the day goes on.
        return [row[:7] for row in cells]

    real = facts(told)
    for row in facts(blocks("README.md", "text")[0]):
        if row not in real:
            yield f"the README shows {row}, which is not in what the demo prints:\n{told}"


def what_the_oracle_says_otherwise(found: Mapping[str, Rows], key: Path, began: int, ended: int) -> Iterator[str]:
    """Tables of the demo that are not the oracle's, row by row. The clock went on while it ran, so a visit may just have expired."""
    events: list[Event] = []
    with gzip.open(SAMPLE) as lines:
        for line in lines:
            with suppress(Undecodable):
                events.append(parse_line(line))
    # The demo moves all events by the same days: by as many as one, of which all copies tell the same time, that somebody entered by.
    times: dict[str, set[int]] = defaultdict(set)
    for event in events:
        times[event["event_id"]].add(event["occurred_at"])
    moves = [dict(zip(TABLES_OF_TRUTH["stage_transitions"], row, strict=True)) for row in found["stage_transitions"]]
    entry = next(move for move in moves if move["kind"] == "enter" and len(times[move["cause_event_id"]]) == 1)
    moved = int(entry["entered_at"]) - min(times[entry["cause_event_id"]])
    for event in events:
        event["occurred_at"] += moved
    sales = [tomllib.loads((ROOT / "funnels" / "sales.toml").read_text())]
    settings = OracleSettings(id_key=key.read_bytes().strip(), phone_region="US", channels=CHANNELS)
    truth = expected(truth_of(events, sales, settings, ended))
    if found != truth:  # a visit may have expired while the demo ran
        before = expected(truth_of(events, sales, settings, began))
        truth = {table: before[table] if found[table] == before[table] else rows for table, rows in truth.items()}
    for table, rows in found.items():
        if rows != truth[table]:
            strange = [row for row in rows if row not in truth[table]]
            yield f"{table}: {len(rows)} rows, the oracle has {len(truth[table])}; not there: {strange[:5]}"


def queries_without_answer(client: Client) -> Iterator[str]:
    """Queries of docs/queries.md that fail on the demo's data, or have nothing to say."""
    ((prospect,),) = client.execute("SELECT min(prospect_id) FROM prospects FINAL WHERE status = 'won'")
    for number, query in enumerate(QUERIES, 1):
        try:
            rows = client.execute(query.replace("PROSPECT_ID", str(prospect)))
        except DriverError as error:
            yield f"query {number} of {QUESTIONS}: {str(error).split('Stack trace')[0]}"
            continue
        if not any(value not in (None, "", 0) for row in rows for value in row):
            yield f"query {number} of {QUESTIONS} gives {rows}"


def columns_not_described(client: Client) -> Iterator[str]:
    """Where docs/tables.md and a table or view differ in their columns."""
    text = (ROOT / "docs" / "tables.md").read_text()
    columns: dict[str, list[str]] = {}
    for table, name in client.execute(
        "SELECT table, name FROM system.columns WHERE database = 'journey' ORDER BY table, position"
    ):
        columns.setdefault(table, []).append(name)
    for table in TABLES:
        section = re.search(rf"^## {table}\n(.*?)^#{{1,2}} ", text, re.MULTILINE | re.DOTALL)
        cells = re.findall(r"^\| (`[^|]+?) \|", section[1] if section else "", re.MULTILINE)
        described = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
        if sorted(described) != sorted(columns[table]):
            yield f"docs/tables.md describes {described} of {table}; it has {columns[table]}"
    for view in LISTED:
        if f"`{', '.join(columns[view])}`" not in text:
            yield f"docs/tables.md does not list the columns of {view}: {', '.join(columns[view])}"


def test_all_console_blocks_are_run() -> None:
    """No other page has one: it would look tested, and not be."""
    assert [name_of(page) for page in PAGES if consoles(name_of(page))] == list(RUN)


def test_there_are_twenty_queries() -> None:
    """The page's questions are numbered without a gap, and each has its query."""
    text = (ROOT / QUESTIONS).read_text()
    numbers = [int(number) for number in re.findall(r"^\*\*(\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 20
    assert len(QUERIES) == len(numbers)


def test_worked_example() -> None:
    """The funnel, the events and the rows of docs/funnels.md belong together."""
    text = (ROOT / "docs" / "funnels.md").read_text().split("## A worked example")[1]
    (_, toml), (_, ndjson) = [block for block in _BLOCK.findall(text) if block[0] in ("toml", "ndjson")]
    rules = RuleSet([parse_funnel(toml)])
    touches = sorted(touch_of(parse_line(line.encode()), rules, b"", 0, b"") for line in ndjson.splitlines())
    _, rows = fold(rules.funnels[0], START, touches)
    expected = [
        [cell.strip() for cell in line.strip("| ").split("|")][:7]
        for line in re.findall(r"^\| \d.*$", text, re.MULTILINE)
    ]
    found = [
        [
            *(str(row.visit), str(row.step), row.kind, row.from_stage, row.to_stage),
            *(f"{datetime.fromtimestamp(row.entered_at / MICROSECONDS, UTC):%Y-%m-%d}", row.cause_event_id),
        ]
        for row in rows
        if isinstance(row, Transition)
    ]
    assert found == expected
    assert {row[2] for row in found} == {"enter", "advance", "skip", "back", "repeat", "lost", "expired"}


@pytest.mark.parametrize("language", ["json", "ndjson"])
def test_events_shown_can_be_read(language: str) -> None:
    """Every event that README and docs/events.md show is one."""
    for page in ("README.md", "docs/events.md", "docs/funnels.md"):
        for block in blocks(page, language):
            for line in block.splitlines():
                assert parse_line(line.encode())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that is there, and a heading that it has."""
    for link in _LINK.findall(_BLOCK.sub("", page.read_text())):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{name_of(page)} links to {link}, which is not there"
        if anchor:
            assert anchor in anchors(file), f"{name_of(page)} links to {link}; its headings are {sorted(anchors(file))}"


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_variables_exist(page: Path) -> None:
    """Each JOURNEY_* variable that is mentioned is a setting."""
    for name, wildcard in re.findall(r"\b(JOURNEY_[A-Z_]*[A-Z])(_\*)?", page.read_text()):
        if wildcard:
            assert any(known.startswith(f"{name}_") for known in VARIABLES), f"{name}_* names no setting"
        else:
            assert name in VARIABLES, f"{name_of(page)} mentions {name}, which is no setting"


def test_settings_are_documented_with_their_defaults() -> None:
    """The table of settings has all of them, and where it gives a value that is the default."""
    text = (ROOT / "docs" / "operations.md").read_text()
    for name, field in Settings.model_fields.items():
        variable = PREFIX + name.upper()
        assert variable in text or f"{'_'.join(variable.split('_')[:2])}_*" in text, (
            f"{variable} is not in docs/operations.md"
        )
        row = re.search(rf"^\| `{variable}` \| `?([\w.]+)`? \|", text, re.MULTILINE)
        if row and row[1] not in ("none", "empty"):
            default: Any = field.default
            shown = ",".join(default) if isinstance(default, tuple) else str(default)
            assert row[1].lower() == shown.lower(), f"{variable} is said to be {row[1]} by default; it is {shown}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    """Each `journey` command that is mentioned exists, with the options it is given."""
    group: Any = typer.main.get_command(app)
    for name, rest in _COMMAND.findall(page.read_text()):
        assert name in group.commands, f"{name_of(page)} mentions `journey {name}`, which is no command"
        command = group.commands[name]
        if (subcommands := getattr(command, "commands", None)) and (words := rest.split()):
            assert words[0] in subcommands, f"{name_of(page)} mentions `journey {name} {words[0]}`, which is no command"
            command = subcommands[words[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        for option in re.findall(r"(?<!\w)--[a-z-]+", rest.split(" #")[0]):
            assert option in options, f"{name_of(page)} gives `journey {name}` {option}; it has {sorted(options)}"


def test_all_commands_are_mentioned() -> None:
    """No command is left for people to find by chance."""
    group: Any = typer.main.get_command(app)
    mentioned = {name for page in PAGES for name, _ in _COMMAND.findall(page.read_text())}
    assert set(group.commands) <= mentioned


def test_metrics_exist() -> None:
    """Each metric in docs/operations.md is one that worker, notifier or sink has, and the other way round."""
    assert agents.metrics
    assert alerts.metrics
    assert sinks.metrics
    assert journey.health
    ours = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("journey_")}
    text = (ROOT / "docs" / "operations.md").read_text()
    named = {name.removesuffix("_total") for name in re.findall(r"`(journey_[a-z_]+)[`{ ]", text)} - {
        "journey_migrate",
        "journey_sink",
        "journey_reader",
    }
    assert named == ours


def test_presets_are_described() -> None:
    """docs/funnels.md has all presets."""
    text = (ROOT / "docs" / "funnels.md").read_text()
    assert sorted(re.findall(r"^\| \[`([\w-]+)`\]\(\.\./funnels/", text, re.MULTILINE)) == preset_names()
