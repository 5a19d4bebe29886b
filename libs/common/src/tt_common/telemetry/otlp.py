"""A batch of spans as OTLP: protobuf's generated classes, filled field by field.

Invariant: says what the SDK's own encoder would (it is the oracle of the test) in a fifth of its time, which was most of what a traced
call cost. What can't be told (a number of more than 64 bits) loses its value, never its batch.
"""

from collections.abc import Iterable
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tt_common.telemetry.tracing import Attributes, Kind, Span

SCOPE: Final = "tokentally"
_W3C_SAMPLED: Final = 1
_KINDS: Final[dict[Kind, OtlpSpan.SpanKind.ValueType]] = {
    "server": OtlpSpan.SPAN_KIND_SERVER,
    "client": OtlpSpan.SPAN_KIND_CLIENT,
    "internal": OtlpSpan.SPAN_KIND_INTERNAL,
    "producer": OtlpSpan.SPAN_KIND_PRODUCER,
    "consumer": OtlpSpan.SPAN_KIND_CONSUMER,
}


def encode(resource: Resource, spans: Iterable[Span]) -> bytes:
    """The body of an export: ended spans of the process that `resource` describes."""
    request = ExportTraceServiceRequest()
    of_scope = request.resource_spans.add(resource=resource).scope_spans.add()
    of_scope.scope.name = SCOPE
    for span in spans:
        _fill(of_scope.spans.add(), span)
    return request.SerializeToString()


def _fill(told: OtlpSpan, span: Span) -> None:
    context = span.context
    told.trace_id = bytes.fromhex(context.trace_id)
    told.span_id = bytes.fromhex(context.span_id)
    told.flags = _W3C_SAMPLED
    if context.parent_id:
        told.parent_span_id = bytes.fromhex(context.parent_id)
    told.name = _utf8(span.name)
    told.kind = _KINDS[span.kind]
    told.start_time_unix_nano = span.started_ns
    told.end_time_unix_nano = span.ended_ns
    _add_attributes(told.attributes, span.attributes)
    if span.error:
        _add_attributes(told.attributes, {"error.type": span.error})
        told.status.code = Status.STATUS_CODE_ERROR
        told.status.message = _utf8(span.error)
    for link in span.links:
        told.links.add(trace_id=bytes.fromhex(link.trace_id), span_id=bytes.fromhex(link.span_id), flags=_W3C_SAMPLED)


def _add_attributes(told: Any, attributes: Attributes) -> None:
    for key, value in attributes.items():
        attribute = told.add()
        attribute.key = key
        try:
            if isinstance(value, str):
                attribute.value.string_value = value
            elif isinstance(value, bool):
                attribute.value.bool_value = value
            elif isinstance(value, int):
                attribute.value.int_value = value
            else:
                attribute.value.double_value = value
        except UnicodeEncodeError:
            attribute.value.string_value = _utf8(str(value))
        except ValueError:
            attribute.value.Clear()


def _utf8(text: str) -> str:
    """Without the halves of surrogate pairs that JSON may bring."""
    return text.encode(errors="replace").decode()
