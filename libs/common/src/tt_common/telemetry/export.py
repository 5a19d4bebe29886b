"""Spans out, through the OpenTelemetry SDK: batches in a background thread, OTLP over HTTP where an endpoint is configured.

Invariant: a collector that is away costs dropped spans, nothing else. The SDK is only imported where it is used.
"""

import logging
import os
import sys
import threading
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from tt_common.telemetry.context import TraceContext
from tt_common.telemetry.tracing import Kind, Span

CLOSE_S: Final = 2.0
_GIVE_UP_S: Final = 0.5
BATCH_MAX: Final = 64
SWITCH_S: Final = 0.001
"""Encoding a batch is Python in another thread: calls wait for the interpreter as long as it may keep it."""
_SCOPE: Final = InstrumentationScope("tokentally")
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_KINDS: Final[dict[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


class SdkSink:
    """Hands spans to an SDK span processor, and owns its exporter."""

    def __init__(self, service: str, processor: SpanProcessor, exporter: SpanExporter) -> None:
        self._processor = processor
        self._exporter = exporter
        self._resource = Resource.create({"service.name": service, "service.instance.id": f"{service}-{os.getpid()}"})

    def take(self, span: Span) -> None:
        """Queue an ended span."""
        context = span.context
        parent = _span_context(context.trace_id, context.parent_id) if context.parent_id else None
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=_span_context(context.trace_id, context.span_id),
                parent=parent,
                resource=self._resource,
                attributes=span.attributes | ({"error.type": span.error} if span.error else {}),
                links=tuple(Link(_linked(link)) for link in span.links),
                kind=_KINDS[span.kind],
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
                start_time=span.started_ns,
                end_time=span.ended_ns,
                instrumentation_scope=_SCOPE,
            )
        )

    def close(self) -> None:
        """Export what is queued, for at most CLOSE_S; the SDK itself would retry for as long as a collector may be away."""
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        if closing.is_alive():
            self._exporter.shutdown()
            closing.join(_GIVE_UP_S)


def otlp_sink(service: str) -> SdkSink:
    """Batches to the OTLP/HTTP endpoint that the OTEL_EXPORTER_OTLP_* variables name."""
    # Loads protobuf and an HTTP client, 15 MiB that a process without a collector shall not pay.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    # While the collector is away the SDK warns of every retry; its one error for each batch that it drops is enough.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    exporter = OTLPSpanExporter()
    sys.setswitchinterval(SWITCH_S)
    return SdkSink(service, BatchSpanProcessor(exporter, max_export_batch_size=BATCH_MAX), exporter)


def _span_context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=_SAMPLED)


def _linked(context: TraceContext) -> SpanContext:
    return _span_context(context.trace_id, context.span_id)
