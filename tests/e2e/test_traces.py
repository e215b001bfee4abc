"""With JOURNEY_TRACES, an event is one trace from its sender to ClickHouse; needs the extra `otel`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.broker import LOOPBACK
from tests.e2e.harness import event, journey

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `otel` is not installed")
CANARY = "canary-71d0"


class Collector(ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Handler)
        self.received: list[bytes] = []


class Handler(BaseHTTPRequestHandler):
    """Of one request."""

    server: Collector

    def do_POST(self) -> None:
        """Keep what came."""
        self.server.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One that listens on loopback."""
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.slow
def test_an_event_is_one_trace(collector: Collector, tmp_path: Path) -> None:
    """Intake, prospects and sink have a span of the same trace each, one the child of the other, and none tells of the event."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    line = event(CANARY, "web", "page_view", (datetime.now(UTC) - timedelta(days=2)).isoformat(), user_id=CANARY)
    (tmp_path / "events.ndjson").write_text(line)
    url = f"http://{LOOPBACK}:{collector.server_port}/v1/traces"
    journey("run", "events.ndjson", cwd=tmp_path, env={"JOURNEY_TRACES": url})
    assert not any(CANARY.encode() in received for received in collector.received)
    spans: dict[bytes, Any] = {}
    services: dict[bytes, str] = {}
    for received in collector.received:
        for resource in ExportTraceServiceRequest.FromString(received).resource_spans:
            named = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            for scope in resource.scope_spans:
                spans |= {span.span_id: span for span in scope.spans}
                services |= {span.span_id: named["service.name"] for span in scope.spans}
    inserts = [span for span in spans.values() if span.name == "sink insert" and span.parent_span_id in spans]
    ways = []
    for span in inserts:
        way, at = [(services[span.span_id], span.name)], span
        while at.parent_span_id:
            at = spans[at.parent_span_id]
            assert at.trace_id == span.trace_id
            way.append((services[at.span_id], at.name))
        ways.append(way[::-1])
    # The event itself comes first; its identifier's statements to one another may be told in further runs of prospects.
    worker = "journey-worker"
    assert any(way[0] == (worker, "intake run") and (worker, "prospects run") in way for way in ways), ways
    assert all(way[-1] == ("journey-sink", "sink insert") for way in ways)
