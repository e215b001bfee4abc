"""Traces from event to insert, where somebody collects them: OpenTelemetry over OTLP, by the extra `otel`.

A span is a run or an insert, never an event. Its records may come from many spans: the first of them is its parent, so that a single event is
one trace from its sender to ClickHouse, and the others are linked. Spans hold topics, partitions and counts; no key, and no value of an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from journey.errors import SettingsError
from journey.settings import Settings

if TYPE_CHECKING:
    from agents.batching import Run

HEADER = "traceparent"
_LONGEST_HEADER = 100
MOST_LINKS = 32
"""A run may come from as many spans as it has records; so many are told."""
_FLUSH_MILLISECONDS = 2_000


class _Record(Protocol):
    headers: Sequence[tuple[str, bytes]]


class Span:
    """One run, or one insert."""

    def __init__(self, span: Any, headers: Sequence[tuple[str, bytes]]) -> None:
        self._span = span
        self.headers = headers

    def note(self, what: str) -> None:
        """Something has just happened."""
        self._span.add_event(what)

    def end(self) -> None:
        """It is over."""
        self._span.end()


class Tracer:
    """Begins spans and sends them, from a thread of its own, to whoever collects them. Where nobody answers, they are dropped."""

    def __init__(self, service: str, exporter: Any) -> None:
        """Make one.

        Args:
            service: `worker` or `sink`.
            exporter: an OpenTelemetry span exporter.
        """
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(resource=Resource.create({"service.name": f"journey-{service}"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("journey")
        self._context = TraceContextTextMapPropagator()

    def run(self, agent: str, run: Run) -> Span:
        """A run is about to be handled by an agent."""
        about = {
            "messaging.system": "kafka",
            "messaging.destination.name": run.tp.topic,
            "messaging.destination.partition.id": str(run.tp.partition),
            "messaging.batch.message_count": len(run.records),
        }
        return self._begin(f"{agent} run", parents_of(run.records), about)

    def parents(self, records: Iterable[_Record]) -> list[bytes]:
        """What records say of the spans that they came from."""
        return parents_of(records)

    def insert(self, parents: Iterable[bytes], rows: int, messages: int) -> Span:
        """A batch is about to be inserted, of records that came from these."""
        about = {"db.system": "clickhouse", "messaging.batch.message_count": messages, "journey.rows": rows}
        return self._begin("sink insert", list(dict.fromkeys(parents))[:MOST_LINKS], about)

    def close(self) -> None:
        """Send what is left, for a moment."""
        self._provider.force_flush(_FLUSH_MILLISECONDS)
        self._provider.shutdown()

    def _begin(self, name: str, parents: Sequence[bytes], about: dict[str, Any]) -> Span:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind, get_current_span, set_span_in_context

        read = [self._context.extract({HEADER: parent.decode("ascii", "replace")}, Context()) for parent in parents]
        found = [context for context in read if get_current_span(context).get_span_context().is_valid]
        span = self._tracer.start_span(
            name,
            context=found[0] if found else Context(),
            kind=SpanKind.CONSUMER,
            links=[Link(get_current_span(context).get_span_context()) for context in found[1:]],
            attributes=about,
        )
        carrier: dict[str, str] = {}
        self._context.inject(carrier, set_span_in_context(span, Context()))
        # OTEL_SDK_DISABLED leaves none.
        return Span(span, [(name, value.encode()) for name, value in carrier.items() if name == HEADER])


def parents_of(records: Iterable[_Record], most: int = MOST_LINKS) -> list[bytes]:
    """The different headers of records that say where they came from, in the order of the records; at most so many."""
    found: dict[bytes, None] = {}
    for record in records:
        for name, value in record.headers:
            # Whoever writes to an input topic may write anything here.
            if name == HEADER and value and len(value) <= _LONGEST_HEADER:
                found[value] = None
        if len(found) >= most:
            break
    return list(found)[:most]


@contextmanager
def traced(service: str, settings: Settings) -> Iterator[Tracer | None]:
    """The tracer that the settings ask for; None: they ask for none. At the end it sends what is left.

    Raises:
        SettingsError: OpenTelemetry is not installed.
    """
    if not settings.traces:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise SettingsError(
            "JOURNEY_TRACES is set, but OpenTelemetry is not installed", hint="pip install 'buyer-journey[otel]'"
        ) from None
    tracer = Tracer(service, OTLPSpanExporter(endpoint=settings.traces))
    try:
        yield tracer
    finally:
        tracer.close()
