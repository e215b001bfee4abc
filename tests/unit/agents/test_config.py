"""A worker's settings refuse what would only show much later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.config import Security, WorkerConfig


def config(**options: Any) -> WorkerConfig:
    """A worker's settings with some of them changed."""
    return WorkerConfig(**{"brokers": "a:1, b:2", "app_id": "app", "data_dir": Path(), **options})


def test_topics_carry_the_prefix_and_brokers_are_a_list() -> None:
    """What is derived from the settings."""
    assert config(prefix="test-").topic("touches") == "test-touches"
    assert config().bootstrap_servers == ["a:1", "b:2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run_records": 0}, "run_records is 0"),
        ({"queued_runs": 0}, "queued_runs is 0"),
        ({"batch_bytes": 11 * 1024 * 1024}, "larger than max_request_bytes"),
        ({"session_timeout": 31.0}, "larger than request_timeout"),
        ({"settle_timeout": 60.0}, "below rebalance_timeout"),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], message: str) -> None:
    """Each with the name of the setting."""
    with pytest.raises(ValueError, match=message):
        config(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"security_protocol": "TLS"}, "expected PLAINTEXT, SSL"),
        ({"security_protocol": "SASL_SSL", "sasl_username": "worker"}, "needs sasl_username and sasl_password"),
        ({"ssl_keyfile": Path("key.pem")}, "ssl_certfile is not"),
    ],
)
def test_half_a_security_configuration_is_refused(options: dict[str, Any], message: str) -> None:
    """Each with the name of the setting."""
    with pytest.raises(ValueError, match=message):
        Security(**options)


def test_secrets_are_not_shown() -> None:
    """Neither in the value's repr nor in that of a configuration around it."""
    security = Security(security_protocol="SASL_SSL", sasl_username="worker", sasl_password="tell-nobody")
    assert "tell-nobody" not in repr(config(security=security))
    options = security.client_options()
    assert options["sasl_plain_password"] == "tell-nobody"
    assert options["ssl_context"] is not None
    assert Security().client_options() == {"security_protocol": "PLAINTEXT", "ssl_context": None}
