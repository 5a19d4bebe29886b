"""Our encoding of spans against the SDK's own."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from tt_common.telemetry.context import TraceContext
from tt_common.telemetry.export import encoded_resource
from tt_common.telemetry.otlp import SCOPE, encode
from tt_common.telemetry.tracing import Kind, Span

RESOURCE = Resource({"service.name": "tokentally-test", "process.pid": 7, "process.command_args": ("a", "b")})
LONE_SURROGATE = "gpt-\ud83d"
KINDS: dict[Kind, SpanKind] = {kind.name.lower(): kind for kind in SpanKind}  # type: ignore[misc]  # the names are the kinds

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
WORDS = TEXT.filter(bool)
CONTEXTS = st.builds(
    TraceContext,
    st.integers(1, 2**128 - 1).map(lambda bits: f"{bits:032x}"),
    st.integers(1, 2**64 - 1).map(lambda bits: f"{bits:016x}"),
    st.just("") | st.integers(1, 2**64 - 1).map(lambda bits: f"{bits:016x}"),
    st.just(True),
)
ATTRIBUTES = st.dictionaries(
    WORDS, TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False), max_size=8
)


class Nowhere:
    def take(self, span: Span) -> None:
        """Spans here are only encoded."""

    def close(self) -> None:
        """Nothing is open."""


def span_of(
    name: str,
    kind: Kind,
    context: TraceContext,
    attributes: dict[str, str | int | float | bool],
    started_ns: int = 1,
    links: list[TraceContext] | None = None,
    error: str = "",
) -> Span:
    span = Span(Nowhere(), name, kind, context, attributes, started_ns, links or [])
    span.end(error)
    return span


def sdk_context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False)


def by_the_sdk(spans: list[Span]) -> ExportTraceServiceRequest:
    """What the SDK makes of them, but for the flags: it knows of none, and says that no parent is remote, which it can't know."""
    request = encode_spans(
        [
            ReadableSpan(
                name=span.name,
                context=sdk_context(span.context.trace_id, span.context.span_id),
                parent=sdk_context(span.context.trace_id, span.context.parent_id) if span.context.parent_id else None,
                resource=RESOURCE,
                attributes=span.attributes | ({"error.type": span.error} if span.error else {}),
                links=[Link(sdk_context(link.trace_id, link.span_id)) for link in span.links],
                kind=KINDS[span.kind],
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
                start_time=span.started_ns,
                end_time=span.ended_ns,
                instrumentation_scope=InstrumentationScope(SCOPE),
            )
            for span in spans
        ]
    )
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.flags = 1
        for link in span.links:
            link.flags = 1
    return request


@given(
    st.lists(
        st.builds(
            span_of,
            TEXT,
            st.sampled_from(sorted(KINDS)),
            CONTEXTS,
            ATTRIBUTES,
            st.integers(0, 2**62),
            st.lists(CONTEXTS, max_size=3),
            st.just("") | WORDS,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_batch_is_encoded_as_the_sdk_does(spans: list[Span]) -> None:
    ours = ExportTraceServiceRequest.FromString(encode(encoded_resource(RESOURCE), spans))

    expected = by_the_sdk(spans)
    # a status that says nothing is a message without content there, and none here
    for batch in (ours, expected):
        for span in batch.resource_spans[0].scope_spans[0].spans:
            span.status.SetInParent()
    assert ours == expected


def test_what_protobuf_cannot_hold_costs_its_own_value_alone() -> None:
    context = TraceContext("1" * 32, "2" * 16, "", True)
    attributes: dict[str, str | int | float | bool] = {"large": 2**63, "half": LONE_SURROGATE, "after": 1}

    body = encode(
        encoded_resource(RESOURCE),
        [span_of(f"chat {LONE_SURROGATE}", "server", context, attributes, error=LONE_SURROGATE)],
    )

    [span] = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    assert span.name == "chat gpt-?"
    assert span.status.message == "gpt-?"
    said = {attribute.key: attribute.value for attribute in span.attributes}
    assert said["large"].WhichOneof("value") is None
    assert (said["half"].string_value, said["after"].int_value, said["error.type"].string_value) == (
        "gpt-?",
        1,
        "gpt-?",
    )
