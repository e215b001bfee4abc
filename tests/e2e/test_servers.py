"""The commands against servers of one's own: JOURNEY_KAFKA and JOURNEY_CLICKHOUSE."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_driver import Client

from journey.local_clickhouse import EmbeddedClickHouse
from tests.broker import Tansu, unique
from tests.e2e.harness import alive, ask, descendants, event, journey, start, wait_until

CANARY = "canary-40b1c2f9-secret"
WEEK_AGO = (datetime.now(UTC) - timedelta(days=7)).isoformat()


@pytest.fixture
def env(clickhouse_server: EmbeddedClickHouse, tansu: Tansu) -> Iterator[dict[str, str]]:
    """Servers that no data directory knows of: a database, topics and groups of our own on them."""
    own = unique("own").replace("-", "_")
    yield {
        "JOURNEY_KAFKA": tansu.bootstrap,
        "JOURNEY_CLICKHOUSE": f"clickhouse://default:@{clickhouse_server.host}:{clickhouse_server.native_port}/{own}",
        "JOURNEY_CLICKHOUSE_HTTP_PORT": str(clickhouse_server.http_port),
        "JOURNEY_ID_KEY": CANARY,
        "JOURNEY_APP_ID": own,
        "JOURNEY_TOPIC_PREFIX": f"{own}.",
        "JOURNEY_IDEMPOTENT": "false",
    }
    with Client(clickhouse_server.host, port=clickhouse_server.native_port) as client:
        client.execute(f"DROP DATABASE IF EXISTS {own}")


def test_setting_up_by_hand(env: dict[str, str], tmp_path: Path) -> None:
    """Doctor says what is missing, topics and migrate make it (and again: nothing), then doctor is content."""
    told = ask("doctor", cwd=tmp_path, env=env, code=1)
    assert "fail topics: missing: " in told
    assert "fail tables: there is no database" in told
    assert "missing" in ask("topics", "--check", cwd=tmp_path, env=env, code=1)
    assert ask("topics", cwd=tmp_path, env=env).count("created") == 11
    assert "created" not in ask("topics", cwd=tmp_path, env=env)
    assert "001_facts.sql" in ask("migrate", cwd=tmp_path, env=env)
    assert "up to date" in ask("migrate", cwd=tmp_path, env=env)
    told = ask("doctor", cwd=tmp_path, env=env)
    assert "all there, 4 partitions each" in told
    assert "agrees with ClickHouse's" in told
    drift = ask("topics", cwd=tmp_path, env=env | {"JOURNEY_PARTITIONS": "5"}, code=1)
    assert "JOURNEY_PARTITIONS=4" in drift
    assert "partitions is 4, expected 5" in ask("doctor", cwd=tmp_path, env=env | {"JOURNEY_PARTITIONS": "5"}, code=1)


@pytest.mark.slow
def test_a_run_uses_the_servers_and_leaves_them(env: dict[str, str], tmp_path: Path) -> None:
    """Facts are in that ClickHouse, nothing of ours still runs, and no stack was started for it."""
    (tmp_path / "events.ndjson").write_text(event("1", "web", "page_view", WEEK_AGO, user_id="u1"))
    told = journey("run", "events.ndjson", cwd=tmp_path, env=env)
    assert "1  events applied" in told
    assert not (tmp_path / ".journey" / "clickhouse").exists()
    query = "SELECT stage, status FROM prospects FINAL"
    assert ask("sql", query, "--format", "CSV", cwd=tmp_path, env=env) == '"awareness","open"\n'
    refused = journey("run", "events.ndjson", "--fresh", cwd=tmp_path, env=env, code=1)
    assert "--fresh removes the embedded stack's state" in refused


def test_worker_and_sink_end_when_asked(env: dict[str, str], tmp_path: Path) -> None:
    """SIGTERM ends both with code 0; their logs hold no secret."""
    ask("topics", cwd=tmp_path, env=env)
    ask("migrate", cwd=tmp_path, env=env)
    services = [start([name], tmp_path, **env) for name in ("worker", "sink")]
    try:
        family = {service.pid for service in services}.union(*(descendants(service.pid) for service in services))
        for service, ready in zip(services, ("ready: ", "sink_assigned"), strict=True):
            assert service.stderr is not None
            seen = ""
            while ready not in seen:
                line = service.stderr.readline()
                assert line, seen
                seen += line
            assert CANARY not in seen
            service.send_signal(signal.SIGTERM)
        for service in services:
            out, err = service.communicate(timeout=60)
            assert service.returncode == 0, err
            assert CANARY not in out + err
        wait_until(lambda: not alive(family), "both to be gone")
    finally:
        for service in services:
            service.kill()
            service.communicate()


@pytest.mark.parametrize(
    "command",
    [
        ["settings"],
        ["doctor"],
        ["sql", "SELECT 1"],
        ["explain", "u1"],
        ["migrate"],
        ["topics"],
        ["worker"],
        ["sink"],
        ["run", "-"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_tells_a_secret(command: list[str], tmp_path: Path) -> None:
    """With servers that are not there, every command fails in words, without traceback and without the passwords."""
    env = {
        "JOURNEY_KAFKA": "127.0.0.1:9",
        "JOURNEY_CLICKHOUSE": f"clickhouse://someone:{CANARY}@127.0.0.1:9/facts",
        "JOURNEY_CLICKHOUSE_HTTP_PORT": "9",
        "JOURNEY_ID_KEY": CANARY,
        "JOURNEY_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "JOURNEY_SASL_MECHANISM": "PLAIN",
        "JOURNEY_SASL_USERNAME": "someone",
        "JOURNEY_SASL_PASSWORD": CANARY,
    }
    told = journey(*command, cwd=tmp_path, env=env, code=0 if command == ["settings"] else 1)
    assert CANARY not in told
    if command not in (["worker"], ["sink"]):  # their logs may hold tracebacks
        assert "Traceback" not in told
