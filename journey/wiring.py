"""From settings to what agents and sinks take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.config import Security, WorkerConfig
from journey.errors import SettingsError
from journey.settings import Settings
from journey.topics import ALERT_DELIVERIES, DEAD_LETTERS, FACTS, STALLED_PROSPECTS, topic_name
from schemas.codec import EventCodec
from schemas.registry import FileRegistry, Registry
from sinks.config import ClickHouseConfig, SinkConfig

if TYPE_CHECKING:
    from alerts.config import Alerts
    from alerts.process import NotifierConfig
    from console.config import ConsoleConfig
    from schemas.confluent import ConfluentRegistry

_COMMIT_SECONDS = 0.3
"""Who drains waits for commits, and they are cheap."""


def registry_of(settings: Settings) -> Registry:
    """Where schema ids come from: a schema registry where one is set, else the schemas that ship."""
    return confluent_registry(settings) if settings.schema_registry else FileRegistry()


def confluent_registry(settings: Settings) -> ConfluentRegistry:
    """The client of the schema registry; only where one is set."""
    from schemas.confluent import ConfluentRegistry  # an HTTP client, which most do without

    return ConfluentRegistry(
        settings.schema_registry,
        username=settings.schema_registry_user or None,
        password=settings.schema_registry_password.get_secret_value() or None,
    )


def codec_of(settings: Settings) -> EventCodec:
    """What encodes and decodes events."""
    return EventCodec(registry_of(settings))


def security_of(settings: Settings) -> Security:
    """How to speak to the brokers.

    Raises:
        SettingsError: settings that belong together are not all there.
    """
    try:
        return Security(
            security_protocol=settings.security_protocol,
            sasl_mechanism=settings.sasl_mechanism or "PLAIN",
            sasl_username=settings.sasl_username or None,
            sasl_password=settings.sasl_password.get_secret_value() or None,
            ssl_cafile=_path(settings.ssl_cafile),
            ssl_certfile=_path(settings.ssl_certfile),
            ssl_keyfile=_path(settings.ssl_keyfile),
            ssl_key_password=settings.ssl_key_password.get_secret_value() or None,
        )
    except ValueError as error:
        raise SettingsError(f"Kafka security: {error}") from error


def worker_config(settings: Settings) -> WorkerConfig:
    """How the worker runs.

    Raises:
        SettingsError: something that a worker needs is not set.
    """
    return WorkerConfig(
        brokers=_required(settings.kafka, "JOURNEY_KAFKA", "the brokers, host:port[,host:port]"),
        app_id=settings.app_id,
        data_dir=settings.data_dir / "worker",
        prefix=settings.topic_prefix,
        input_prefix=settings.prefix_of_input,
        security=security_of(settings),
        idempotent=settings.idempotent,
        commit_interval=_COMMIT_SECONDS,
        session_timeout=settings.session_timeout_seconds,
        heartbeat_interval=settings.session_timeout_seconds / 5,
        stuck_after=settings.stuck_after_seconds,
    )


def sink_group(settings: Settings) -> str:
    """The sink's consumer group."""
    return f"{settings.app_id}-sink"


def sink_config(settings: Settings) -> SinkConfig:
    """How the sink runs.

    Raises:
        SettingsError: something that a sink needs is not set.
    """
    require_clickhouse(settings)
    address = settings.clickhouse_address
    return SinkConfig(
        brokers=_required(settings.kafka, "JOURNEY_KAFKA", "the brokers, host:port[,host:port]"),
        clickhouse=ClickHouseConfig(
            host=address.host,
            port=address.port,
            database=address.database,
            user=address.user,
            password=address.password,
            secure=address.secure,
        ),
        id_key=id_key_of(settings),
        personal_data=settings.pii,
        kafka_options=security_of(settings).client_options(),
        facts_topic=topic_name(settings, FACTS),
        dead_letters_topic=topic_name(settings, DEAD_LETTERS),
        deliveries_topic=topic_name(settings, ALERT_DELIVERIES),
        group=sink_group(settings),
        session_timeout=settings.session_timeout_seconds,
    )


def require_clickhouse(settings: Settings) -> None:
    """Raise SettingsError where no ClickHouse is named: processes that stay start none of their own."""
    expected = "a URL such as clickhouse://user:password@host:9000/journey"
    _required(settings.clickhouse.get_secret_value(), "JOURNEY_CLICKHOUSE", expected)


def alerts_of(settings: Settings) -> Alerts:
    """Who is told of stalled prospects.

    Raises:
        SettingsError: no file is set, or something in it is wrong.
    """
    from alerts.config import load_alerts  # templates and more, which few commands need
    from alerts.errors import AlertsFileError

    path = _required(settings.alerts, "JOURNEY_ALERTS", "the path of a file that says who is told (docs/alerts.md)")
    try:
        return load_alerts(Path(path), os.environ)
    except AlertsFileError as error:
        raise SettingsError(str(error)) from None


def notifier_group(settings: Settings) -> str:
    """The notifier's consumer group."""
    return f"{settings.app_id}-notifier"


def notifier_config(settings: Settings) -> NotifierConfig:
    """How the notifier runs.

    Raises:
        SettingsError: something that it needs is not set, or the alerts file is wrong.
    """
    from alerts.process import NotifierConfig

    return NotifierConfig(
        brokers=_required(settings.kafka, "JOURNEY_KAFKA", "the brokers, host:port[,host:port]"),
        alerts=alerts_of(settings),
        kafka_options=security_of(settings).client_options(),
        alerts_topic=topic_name(settings, STALLED_PROSPECTS),
        deliveries_topic=topic_name(settings, ALERT_DELIVERIES),
        group=notifier_group(settings),
        session_timeout=settings.session_timeout_seconds,
        idempotent=settings.idempotent,
    )


def console_config(settings: Settings, services: Mapping[str, int] | None = None) -> ConsoleConfig:
    """How the console runs.

    Args:
        settings: name the ClickHouse, where to listen, and who may look.
        services: workers and sinks on this machine, with the ports of their metrics.

    Raises:
        SettingsError: a funnel file is wrong, or others could look without a login.
    """
    from console.config import ClickHouseAccess, ConsoleConfig
    from journey.funnel_files import load
    from journey.story import Step, why

    address = settings.clickhouse_address
    funnels = {funnel.name: funnel for funnel in load(settings.funnels)[0]}

    def why_moved(row: Mapping[str, Any]) -> str:
        step = Step(**{name: row[name] for name in Step._fields})
        return why(step, funnels.get(step.funnel))

    try:
        return ConsoleConfig(
            clickhouse=ClickHouseAccess(
                host=address.host,
                port=settings.clickhouse_http_port,
                database=address.database,
                user=address.user,
                password=address.password,
                secure=address.secure,
            ),
            why=why_moved,
            host=settings.console_host,
            port=settings.console_port,
            token=settings.console_token.get_secret_value(),
            user_header=settings.console_user_header,
            proxies=tuple(ip_network(one) for one in settings.console_proxies),
            services=dict(services or {}),
        )
    except ValueError as error:
        raise SettingsError(str(error)) from None


def id_key_of(settings: Settings) -> bytes:
    """The secret that prospect ids are made with.

    Raises:
        SettingsError: it is not set.
    """
    return _required(
        settings.id_key.get_secret_value(), "JOURNEY_ID_KEY", "a secret of at least 16 characters"
    ).encode()


def _required(value: str, name: str, expected: str) -> str:
    if not value:
        raise SettingsError(f"{name} is not set; expected {expected}")
    return value


def _path(text: str) -> Path | None:
    return Path(text) if text else None
