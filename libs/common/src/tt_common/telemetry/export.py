"""Spans out, through the OpenTelemetry SDK: batches in a background thread, OTLP over HTTP where an endpoint is configured.

Invariant: a collector that is away costs dropped spans, nothing else. The SDK is only imported where it is used.
"""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as OtlpResource
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags

from tt_common.telemetry.otlp import encode
from tt_common.telemetry.tracing import Span

CLOSE_S: Final = 2.0
_GIVE_UP_S: Final = 0.5
SWITCH_S: Final = 0.001
"""Encoding a batch is Python in another thread: calls wait for the interpreter as long as it may keep it."""
_SAMPLED: Final = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


class OtlpSink:
    """Batches to the OTLP/HTTP endpoint that the OTEL_EXPORTER_OTLP_* variables name, by the OTEL_BSP_* variables."""

    def __init__(self, service: str) -> None:
        # While the collector is away the SDK warns of every retry; its one error for each batch that it drops is enough.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        sys.setswitchinterval(SWITCH_S)
        self._exporter = _Exporter(service)
        self._processor = BatchSpanProcessor(self._exporter)

    def take(self, span: Span) -> None:
        """Queue an ended span."""
        self._processor.on_end(_Ended(span))

    def close(self) -> None:
        """Export what is queued, for at most CLOSE_S; the SDK itself would retry for as long as a collector may be away."""
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        if closing.is_alive():
            self._exporter.shutdown()
            closing.join(_GIVE_UP_S)


def encoded_resource(resource: Resource) -> OtlpResource:
    """What describes the process, by the SDK: it is encoded once, and a detector of the operator's may bring values of any kind."""
    empty = ReadableSpan("", context=_SAMPLED, resource=resource)
    return encode_spans([empty]).resource_spans[0].resource


class _Ended(ReadableSpan):
    """A span on its way through the SDK's queue, which asks only whether it is sampled: every one is."""

    def __init__(self, span: Span) -> None:
        self.span = span

    @property
    def context(self) -> SpanContext:
        return _SAMPLED


class _Exporter(OTLPSpanExporter):
    """The SDK's way to a collector (TLS, headers, compression, retries) with our encoding."""

    def __init__(self, service: str) -> None:
        super().__init__()
        resource = Resource.create({"service.name": service, "service.instance.id": f"{service}-{os.getpid()}"})
        self._of = encoded_resource(resource)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        body = encode(self._of, [ended.span for ended in spans if isinstance(ended, _Ended)])
        return SpanExportResult.SUCCESS if self._client.export(body).success else SpanExportResult.FAILURE
