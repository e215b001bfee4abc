"""journey.serving: metrics and health over HTTP, where the setting says, to read only."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import httpx
import pytest

from journey.health import Health
from journey.ports import free_port
from journey.serving import serve
from journey.telemetry import scrape
from tests.broker import LOOPBACK

SERVE = (
    "import sys; from journey.health import Health; from journey.serving import serve;"
    " serve(sys.argv[1], int(sys.argv[2]), Health(60)); print('ready', flush=True); sys.stdin.read()"
)


@pytest.fixture(scope="module")
def served() -> tuple[str, Health]:
    """A served process (this one): its URL, and what it says of itself."""
    health, port = Health(60), free_port()
    serve(LOOPBACK, port, health)
    return f"http://{LOOPBACK}:{port}", health


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


def test_a_port_that_is_taken_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The work is more important than telling of it."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        serve(LOOPBACK, taken.getsockname()[1], Health(60))
    assert "metrics are not served on 127.0.0.1:" in caplog.text


def test_health_is_told_with_a_reason(served: tuple[str, Health]) -> None:
    """200 and 503, and a line that says why."""
    url, health = served
    health.beat("partitions are changing hands")
    assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    unready = httpx.get(f"{url}/readyz", trust_env=False)
    assert (unready.status_code, unready.text) == (503, "not ready: partitions are changing hands\n")
    assert "journey_ready 0.0" in httpx.get(f"{url}/metrics", trust_env=False).text
    health.beat(None)
    assert httpx.get(f"{url}/readyz", trust_env=False).text == "ready\n"
    assert "journey_ready 1.0" in httpx.get(f"{url}/metrics", trust_env=False).text


def test_metrics_come_as_prometheus_asks_for_them(served: tuple[str, Health]) -> None:
    """As text, or as OpenMetrics."""
    url, _ = served
    assert httpx.get(f"{url}/metrics", trust_env=False).headers["content-type"].startswith("text/plain")
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = httpx.get(f"{url}/metrics", headers=asked, trust_env=False)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    "path", ["/", "/metrics/", "/../etc/passwd", "/metrics/../healthz", "/%2e%2e/x", "/healthz%00"]
)
def test_nothing_else_is_there(served: tuple[str, Health], path: str) -> None:
    """There are no files, only three names."""
    url, _ = served
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(100).split()[1] == b"404"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"])
def test_to_read_only(served: tuple[str, Health], method: str) -> None:
    """GET, and no other method."""
    url, _ = served
    answer = httpx.request(method, f"{url}/metrics", trust_env=False)
    assert answer.status_code == 501
    assert "Python" not in answer.headers["server"]


def test_a_client_that_says_nothing_holds_nobody_up_for_long(served: tuple[str, Health]) -> None:
    """Neither one that connects and waits, nor one that sends a byte now and then, nor one that sends no end of them."""
    url, _ = served
    host, _, port = url.removeprefix("http://").partition(":")
    address = (host, int(port))
    with (
        socket.create_connection(address),
        socket.create_connection(address) as slow,
        socket.create_connection(address) as long,
    ):
        slow.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        long.sendall(b"GET /" + b"x" * 10_000)
        began = time.monotonic()
        assert httpx.get(f"{url}/healthz", timeout=20, trust_env=False).status_code == 200
        assert time.monotonic() - began < 10
