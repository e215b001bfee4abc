"""What processes tell: where metrics are served, and what is said of a ClickHouse that refuses."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
from clickhouse_driver.errors import NetworkError, ServerException

from journey.clickhouse import explain_failure
from journey.settings import ClickHouseAddress
from journey.telemetry import scrape
from tests.broker import free_port

CANARY = "canary-93aa01-secret"
ADDRESS = ClickHouseAddress(f"clickhouse://someone:{CANARY}@host:9000/journey")
SERVE = "import sys; from journey.telemetry import serve_metrics; serve_metrics(sys.argv[1], int(sys.argv[2])); print('ready', flush=True); sys.stdin.read()"


def _answers(host: str, port: int) -> bool:
    try:
        return httpx.get(f"http://{host}:{port}/metrics", timeout=5, trust_env=False).is_success
    except httpx.ConnectError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has 127.0.0.2 without asking for it")
@pytest.mark.parametrize(
    ("host", "beside"),
    [("127.0.0.1", False), ("0.0.0.0", True)],
)
def test_metrics_are_served_where_the_setting_says(host: str, beside: bool) -> None:
    """On loopback's own address another one is not served; on all addresses it is, as a container's neighbours need."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, host, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert scrape(port) is not None
        assert _answers("127.0.0.2", port) is beside
        process.communicate("")
    assert process.returncode == 0


def test_a_refusal_tells_the_servers_code_and_words() -> None:
    """The code, the first line of the message, what to do; neither the stack trace nor the password."""
    message = f"DB::Exception: someone: Not enough privileges, {CANARY}.\nmore Stack trace:\n\n0. somewhere"
    told = explain_failure(ADDRESS, ServerException(message, 497))
    assert str(told) == "ClickHouse (code 497): DB::Exception: someone: Not enough privileges, **********."
    assert "user that may" in told.hint
    assert str(explain_failure(ADDRESS, ServerException("", 47))) == "ClickHouse (code 47): Code: 47."
    assert "can't be reached" in str(explain_failure(ADDRESS, NetworkError("refused")))
    assert "refuses the user someone" in str(explain_failure(ADDRESS, ServerException(message, 516)))
    assert CANARY not in str(explain_failure(ADDRESS, ValueError(f"{CANARY}\nsecond line")))
