"""kafka-python clients that speak to the brokers as the settings say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from journey.errors import JourneyError
from journey.settings import Settings
from journey.topics import DEAD_LETTER_MESSAGE_BYTES

_BOOTSTRAP_MILLISECONDS = 5_000
_FETCH_WAIT_MILLISECONDS = 20
_FETCH_BYTES = 16 * 1024 * 1024

logging.getLogger("kafka").setLevel(
    logging.CRITICAL
)  # what goes wrong is raised; its warnings would tear progress bars


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of every kafka-python client. Holds secrets."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka.split(","),
        "client_id": f"{settings.app_id}-cli",
        "bootstrap_timeout_ms": _BOOTSTRAP_MILLISECONDS,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism or "PLAIN",
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    if settings.security_protocol.endswith("SSL"):
        options |= {
            "ssl_cafile": settings.ssl_cafile or None,
            "ssl_certfile": settings.ssl_certfile or None,
            "ssl_keyfile": settings.ssl_keyfile or None,
            "ssl_password": settings.ssl_key_password.get_secret_value() or None,
        }
    return options


def _unreachable(settings: Settings, error: Exception) -> JourneyError:
    return JourneyError(
        f"Kafka at {settings.kafka} can't be reached: {type(error).__name__}",
        hint="check JOURNEY_KAFKA and the security settings; leave it out to use the embedded broker",
    )


@contextmanager
def admin_client(settings: Settings) -> Iterator[KafkaAdminClient]:
    """An admin client.

    Raises:
        JourneyError: the brokers can't be reached.
    """
    try:
        admin = KafkaAdminClient(**client_options(settings))
    except (KafkaError, OSError) as error:
        raise _unreachable(settings, error) from error
    try:
        yield admin
    finally:
        admin.close()


@contextmanager
def consumer_client(settings: Settings) -> Iterator[KafkaConsumer]:
    """A consumer without a group, for `assign`.

    Raises:
        JourneyError: the brokers can't be reached.
    """
    try:
        consumer = KafkaConsumer(
            **client_options(settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            # What is there is read, and somebody waits for it; an answer that waits for more holds up all that is asked after it.
            fetch_max_wait_ms=_FETCH_WAIT_MILLISECONDS,
            max_poll_records=100_000,
            allow_auto_create_topics=False,
        )
    except (KafkaError, OSError) as error:
        raise _unreachable(settings, error) from error
    try:
        yield consumer
    finally:
        consumer.close()


@contextmanager
def producer_client(settings: Settings) -> Iterator[KafkaProducer]:
    """A producer for bulk.

    Raises:
        JourneyError: the brokers can't be reached.
    """
    try:
        producer = KafkaProducer(
            **client_options(settings),
            acks="all",
            linger_ms=50,
            batch_size=256 * 1024,
            max_request_size=DEAD_LETTER_MESSAGE_BYTES + 64 * 1024,
            enable_idempotence=settings.idempotent,
            allow_auto_create_topics=False,
        )
    except (KafkaError, OSError) as error:
        raise _unreachable(settings, error) from error
    try:
        yield producer
    finally:
        producer.close(timeout=5)
