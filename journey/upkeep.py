"""`journey topics`, `migrate` and `doctor`: getting things ready, and looking whether they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from journey import topic_admin
from journey import topics as wanted
from journey.clickhouse import prepare
from journey.doctor import examine
from journey.errors import JourneyError
from journey.funnel_files import load
from journey.kafka_clients import admin_client
from journey.reading import readable
from journey.sending import with_kafka
from journey.settings import Settings
from journey.wiring import confluent_registry
from schemas.catalog import SUBJECT_OF_CHANNEL, current
from schemas.errors import IncompatibleSchema, RegistryUnavailable, SchemaError, UnknownSchema

if TYPE_CHECKING:
    from schemas.confluent import ConfluentRegistry

_HINTS: dict[type[SchemaError], str] = {
    RegistryUnavailable: "check JOURNEY_SCHEMA_REGISTRY, JOURNEY_SCHEMA_REGISTRY_USER and JOURNEY_SCHEMA_REGISTRY_PASSWORD",
    IncompatibleSchema: "somebody else registered other schemas there: use a registry of our own, or rename those subjects",
}
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def topics(settings: Settings, out: Console, *, create: bool, make_input: bool = False) -> int:
    """Make missing topics, and register the events' schemas where a registry is set (or only look).

    With `make_input` also the input topics, where others read them, too.

    Returns 1 where a topic differs or is missing, or a schema is.
    """
    settings = with_kafka(settings)
    all_topics = wanted.wanted_topics(settings, make_input=make_input)
    with admin_client(settings) as admin:
        created = topic_admin.create_topics(admin, all_topics) if create else []
        drift = topic_admin.find_drift(admin, all_topics)
    _tell_topics(all_topics, created, drift, out)
    schemas_there = not settings.schema_registry or _schemas(settings, out, register=create)
    return 0 if schemas_there and not drift else 1


def _tell_topics(
    all_topics: Iterable[wanted.Topic], created: Collection[str], drift: Iterable[topic_admin.Drift], out: Console
) -> None:
    wrong = {one.topic for one in drift}
    for topic in all_topics:
        if topic.is_shared and topic.name not in wrong:
            out.print(Text(f"ok       {topic.name} (shared input)"))
            continue
        state = "differs" if topic.name in wrong else "created" if topic.name in created else "ok"
        out.print(Text(f"{state:8} {topic.name} ({topic.partitions} partitions, {topic.configs['cleanup.policy']})"))
    for one in drift:
        if one.found == "0":
            remedy = one.remedy if one.is_shared else "run `journey topics`"
            out.print(Text(f"{one.topic} is missing: {remedy}", style="red"))
        else:
            out.print(
                Text(
                    f"{one.topic}: {one.what} is {one.found}, expected {one.expected}\n         {one.remedy}",
                    style="red",
                )
            )


def _schemas(settings: Settings, out: Console, *, register: bool) -> bool:
    """Register the events' schemas where they are missing (or only look); returns whether all are there.

    Raises:
        JourneyError: the registry can't be asked, or will not have one.
    """
    all_there = True
    with confluent_registry(settings) as registry:
        for subject in SUBJECT_OF_CHANNEL.values():
            name = f"schema of {subject}, version {current(subject).number}"
            try:
                out.print(Text(f"ok       {name} (id {registry.id_of(subject)})"))
            except UnknownSchema:
                if register:
                    out.print(Text(f"created  {name} (id {_registered(registry, subject)})"))
                else:
                    out.print(Text(f"{name} is missing: run `journey topics`", style="red"))
                    all_there = False
            except SchemaError as error:
                raise _explained(error) from error
    return all_there


def _registered(registry: ConfluentRegistry, subject: str) -> int:
    try:
        return registry.register(subject)
    except SchemaError as error:
        raise _explained(error) from error


def _explained(error: SchemaError) -> JourneyError:
    return JourneyError(f"schemas: {error}", hint=_HINTS.get(type(error), ""))


def migrate(settings: Settings, out: Console) -> int:
    """Bring the database up to date and write the funnels' stages into it; returns the exit code."""
    funnels, _ = load(settings.funnels)
    with readable(settings) as reading:
        applied = prepare(reading, funnels)
    out.print(Text("\n".join(f"applied  {name}" for name in applied) or "up to date"))
    return 0


def doctor(settings: Settings, out: Console) -> int:
    """Print what was found, a line each; returns 1 where something fails."""
    failed = False
    for finding in examine(settings):
        failed |= finding.level == "fail"
        out.print(
            Text(f"{finding.level:5}", style=_STYLES[finding.level]) + Text(f"{finding.what}: {finding.found}"),
            soft_wrap=True,
        )
        if finding.remedy:
            out.print(Text(f"     → {finding.remedy}"), soft_wrap=True)
    return 1 if failed else 0
