"""journey.tracing: spans of runs and inserts, and how they are linked through records."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from faust.types import TP

from agents.batching import Run
from agents.shipping import Output
from agents.tracing import carrying
from journey.errors import SettingsError
from journey.settings import load_settings
from journey.tracing import HEADER, MOST_LINKS, Tracer, parents_of, traced

EMITTER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = b"00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"


@dataclass
class Fetched:
    """A record, as far as a tracer looks at it."""

    headers: list[tuple[str, bytes]] = field(default_factory=list)
    offset: int = 0


def run(topic: str, *headers: bytes) -> Run:
    """A run of records with these parents."""
    records: Any = [Fetched([("other", b"x"), (HEADER, header)]) for header in headers]
    return Run(TP(topic, 3), records)


def exporter_of_spans() -> tuple[Any, Tracer]:
    """Spans in memory, and the tracer that makes them."""
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    return exporter, Tracer("worker", exporter)


def test_an_event_alone_is_one_trace_from_its_emitter_to_the_insert() -> None:
    """Each span is the child of the one before, through the headers of the records between them."""
    exporter, tracer = exporter_of_spans()
    intake = tracer.run("intake", run("web-events", EMITTER))
    (touch,) = carrying([Output("touches", 3, b"k", b"v", [("origin", b"1")])], intake.headers)
    assert dict(touch.headers)["origin"] == b"1"
    prospects = tracer.run("prospects", run("touches", dict(touch.headers)[HEADER]))
    prospects.note("changelog acknowledged")
    insert = tracer.insert([prospects.headers[0][1]], rows=5, messages=1)
    for span in (insert, prospects, intake):
        span.end()
    tracer.close()
    found = {span.name: span for span in exporter.get_finished_spans()}
    assert set(found) == {"intake run", "prospects run", "sink insert"}
    assert {f"{span.context.trace_id:032x}" for span in found.values()} == {EMITTER.split(b"-")[1].decode()}
    assert found["sink insert"].parent.span_id == found["prospects run"].context.span_id
    assert found["prospects run"].parent.span_id == found["intake run"].context.span_id
    assert [event.name for event in found["prospects run"].events] == ["changelog acknowledged"]
    assert found["intake run"].attributes["messaging.batch.message_count"] == 1


def test_a_run_of_many_is_linked_to_them() -> None:
    """The first is its parent; what no tracer can have written is passed over."""
    exporter, tracer = exporter_of_spans()
    tracer.run("intake", run("web-events", b"rubbish", EMITTER, OTHER, EMITTER, b"\xff\x00")).end()
    tracer.close()
    (span,) = exporter.get_finished_spans()
    assert f"{span.parent.span_id:016x}" == EMITTER.split(b"-")[2].decode()
    assert [f"{link.context.span_id:016x}" for link in span.links] == [OTHER.split(b"-")[2].decode()]


def test_no_value_of_an_event_is_in_a_span() -> None:
    """Keys of attributes are these, whatever the records hold."""
    exporter, tracer = exporter_of_spans()
    tracer.run("intake", run("web-events", EMITTER)).end()
    tracer.insert([], 1, 1).end()
    tracer.close()
    keys = {key for span in exporter.get_finished_spans() for key in span.attributes}
    assert keys == {
        "messaging.system",
        "messaging.destination.name",
        "messaging.destination.partition.id",
        "messaging.batch.message_count",
        "db.system",
        "journey.rows",
    }


def test_parents_are_few_and_short() -> None:
    """Each once, at most so many; a header that is too long is none."""
    records = [Fetched([(HEADER, b"%d" % (number // 2))]) for number in range(10 * MOST_LINKS)]
    assert parents_of(records) == [b"%d" % number for number in range(MOST_LINKS)]
    assert parents_of([Fetched([(HEADER, b"x" * 101)]), Fetched([(HEADER, b"")]), Fetched()]) == []


def test_off_unless_asked_for() -> None:
    """Without the setting nothing is loaded, neither by the worker's modules nor by the sink's."""
    with traced("worker", load_settings()) as tracer:
        assert tracer is None
    program = "import sys, journey.services, agents.pipeline, sinks.process; print(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where traces are asked for and the extra is not installed, the error says how to get it."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with (
        pytest.raises(SettingsError) as refused,
        traced("sink", load_settings(traces="http://127.0.0.1:4318/v1/traces")),
    ):
        pass
    assert "buyer-journey[otel]" in refused.value.hint
