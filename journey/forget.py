"""`journey forget`: somebody's data goes, everywhere, and does not come back; a report says what was removed where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from agents.erasures import request_of
from funnel.identifiers import KINDS, prospect_id
from journey import topics
from journey.clickhouse import connected
from journey.data_dir import DataDir
from journey.errors import JourneyError
from journey.explain import key_of
from journey.forget_tables import delete_letters, delete_rows, rows_left, wait_for_old_parts
from journey.forget_topics import Progress, delete_before, purge
from journey.forgotten import everybody
from journey.identity import identifiers_of, ids_before, shared_of, way_from, ways_from
from journey.kafka_clients import admin_client, consumer_client, producer_client
from journey.local_stack import Stack, running_stack
from journey.reading import readable
from journey.screen import Screen, waiting_line
from journey.settings import Settings
from journey.traces import Traces
from journey.who import meant_by
from journey.wiring import codec_of, id_key_of, sink_group


class Subject(NamedTuple):
    """Who is to be forgotten."""

    meaning: str
    """How the text was read."""
    prospect: UUID
    """Whose the identifier is now."""
    named: frozenset[UUID]
    """The identifier and that prospect: events that name one of them go."""
    theirs: frozenset[UUID]
    """All identifiers that are only theirs, the named ones among them."""
    with_others: frozenset[UUID]
    """Devices that others have, too: they stay, without what was theirs."""
    names: tuple[str, ...]
    """Canonical forms, as far as they are known."""


class Removed(NamedTuple):
    """A line of the report."""

    where: str
    what: str


def forget(settings: Settings, text: str, screen: Screen, *, confirmed: bool, dry_run: bool) -> int:
    """Forget whose the identifier is; returns the exit code.

    Raises:
        JourneyError: it is no identifier; something can't be reached or refuses; a stack runs in the data directory.
    """
    if not settings.kafka and DataDir(settings.data_dir).running():
        raise JourneyError(
            f"a stack runs in {settings.data_dir}, and its broker forgets only when it ends",
            hint="stop it (Ctrl-C) and forget then",
        )
    with readable(settings) as found, connected(found) as client:
        _tell(subject_of(client, text, found), screen)
    if dry_run:
        return 0
    if not confirmed and not typer.confirm("Forget them? This can't be undone", err=True):
        return 1
    with waiting_line(screen) as waiting, running_stack(settings, say=waiting.say, progress=waiting.show) as stack:
        stack.settle(waiting.show)  # what is on its way may be theirs
        with connected(stack.settings) as client:
            subject = _with_everybody(subject_of(client, text, stack.settings), stack.settings, waiting.show)
            report = list(_forget(stack, client, subject, waiting.show))
            left = rows_left(client, subject.theirs)
    if left:
        raise JourneyError(
            "rows came back while they were deleted: " + ", ".join(f"{table} {count}" for table, count in left.items()),
            hint="does another sink write here that reads other topics? forget once more",
        )
    table = Table("removed from", "what", box=None, pad_edge=False, header_style="bold")
    for line in report:
        table.add_row(*line)
    screen.out.print(table)
    return 0


def subject_of(client: Any, text: str, settings: Settings) -> Subject:
    """Who is meant, and what is only theirs.

    Raises:
        JourneyError: see `journey.who.meant_by`.
    """
    meant, _ = meant_by(text, settings)
    own = meant.prospect
    way = [own, *(step.new_id for step in way_from(client, own))]
    shared = any(shared_of(client, station) for station in way)
    prospect = own if shared else way[-1]
    named = frozenset({own, prospect})
    before = {step.old_id for step in ids_before(client, prospect)} - named
    targets = {one: {step.new_id for step in ways_from(client, one)} for one in before}
    theirs = set(named)
    while more := {one for one, found in targets.items() if found <= theirs} - theirs:
        theirs |= more
    names = {f"{kind}:{value}" for kind, value in identifiers_of(client, prospect) or ()}
    if meant.meaning.partition(":")[0] in KINDS:
        names.add(meant.meaning)
    key = key_of(settings)
    known = {name for name in names if UUID(bytes=prospect_id(key, name)) in theirs}
    return Subject(meant.meaning, prospect, named, frozenset(theirs), frozenset(before - theirs), tuple(sorted(known)))


def _with_everybody(subject: Subject, settings: Settings, progress: Progress) -> Subject:
    """Where they were forgotten before, all who were.

    Then this is another installation that reads the same input, or a run that was cut off. The identifiers have let go of one another by now,
    so which ones were theirs can't be told any more. All on the list are to be gone, and to look for more than there is harms nobody.
    """
    listed = everybody(settings, progress)
    if subject.named.isdisjoint(listed.theirs):
        return subject
    return subject._replace(named=subject.named | listed.named, theirs=subject.theirs | listed.theirs)


def _forget(stack: Stack, client: Any, subject: Subject, progress: Progress) -> Iterable[Removed]:
    settings = stack.settings
    _ask(settings, subject)
    stack.settle(progress)
    yield Removed("state", _count(len(subject.theirs), "identifier"))
    traces = _traces(settings, subject)
    if stack.broker is None:
        yield from _forget_in_topics(stack, traces, progress)
    else:
        yield Removed("topics", "the embedded broker keeps nothing when this command ends")
    for table, count in delete_rows(client, subject.theirs).items():
        yield Removed(f"table {table}", _count(count, "row"))
    yield Removed("table dead_letters", _count(delete_letters(client, traces, progress), "letter"))
    progress("aggregating", 0)
    stack.rebuild()
    if old := wait_for_old_parts(client, progress):
        yield Removed("ClickHouse's disk", f"{_count(old, 'replaced part')} to go, by itself (old_parts_lifetime)")
    if stack.broker is None:
        yield Removed(
            f"topic {topics.changelog_of(settings)}",
            "deleted; brokers compact it away within 7 days (max.compaction.lag.ms)",
        )


def _ask(settings: Settings, subject: Subject) -> None:
    key = id_key_of(settings)
    topic = topics.topic_name(settings, topics.ERASURES)
    with producer_client(settings) as producer:
        deliveries = [
            producer.send(topic, key=one.bytes, value=request_of(key, named=one in subject.named))
            for one in sorted(subject.theirs)
        ]
        producer.flush()
        for delivery in deliveries:
            delivery.get(timeout=30)


def _forget_in_topics(stack: Stack, traces: Traces, progress: Progress) -> Iterable[Removed]:
    """What went in, and what was refused, goes record by record; what only passes through goes up to where it has been worked off."""
    settings = stack.settings

    def about_them(record: Any) -> bool:
        headers = dict(record.headers or ())
        topic = headers.get("__connect.errors.topic", b"").decode() or record.topic
        return traces.in_record(topic, record.value) or traces.in_bytes(record.key or b"")

    names = [topics.topic_name(settings, name) for name in (*topics.INPUT_TOPICS.values(), topics.DEAD_LETTERS)]
    with (
        admin_client(settings) as admin,
        consumer_client(settings) as consumer,
        producer_client(settings) as producer,
    ):
        for name in names:
            found = purge(admin, consumer, producer, name, about_them, progress)
            yield Removed(f"topic {name}", _count(found, "record"))
        stack.settle(progress)  # copies of what is others'
        for name, group in ((topics.TOUCHES, settings.app_id), (topics.FACTS, sink_group(settings))):
            topic = topics.topic_name(settings, name)
            done = {tp: offset for tp, offset in stack.committed(group).items() if tp.topic == topic}
            delete_before(admin, done)
            yield Removed(f"topic {topic}", "all that has been worked off")


def _traces(settings: Settings, subject: Subject) -> Traces:
    return Traces(
        codec_of(settings),
        id_key_of(settings),
        settings.phone_region,
        {topics.topic_name(settings, name): channel for channel, name in topics.INPUT_TOPICS.items()},
        named=(one.bytes for one in subject.named),
        theirs=(one.bytes for one in subject.theirs),
        names=subject.names,
    )


def _tell(subject: Subject, screen: Screen) -> None:
    others = len(subject.with_others)
    lines = [
        f"{subject.meaning} is prospect {subject.prospect}",
        f"  {_count(len(subject.theirs), 'identifier')} only theirs: everything goes that is known of them",
    ]
    if others:
        lines.append(f"  {_count(others, 'device')} of others, too: what was theirs on it goes")
    screen.err.print(Text("\n".join(lines)))


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"
