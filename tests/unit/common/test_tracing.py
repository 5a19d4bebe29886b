"""Trace context by hand, what is sampled, and what becomes of it in spans."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.clock import monotonic_s
from tt_common.telemetry.context import begin, new_trace, parse_traceparent, sampling_bound
from tt_common.telemetry.export import CLOSE_S
from tt_common.telemetry.setup import tracing_of
from tt_common.telemetry.tracing import LINKS_MAX, UNTRACED, Span, Tracing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
CALLS = 20_000


class Recorder:
    """A sink that keeps what it takes."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def take(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        """Nothing is left."""


def recording(ratio: float = 1.0) -> tuple[Tracing, list[Span]]:
    recorder = Recorder()
    return Tracing(ratio, recorder), recorder.spans


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        SAMPLED.upper(),
        SAMPLED + "-more",
        SAMPLED + "\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        "a" * 10_000,
    ],
)
def test_what_is_not_w3cs_form_is_no_context(header: str | None) -> None:
    assert parse_traceparent(header) is None


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_a_header_is_read_as_it_was_written(trace: int, span: int, flags: int) -> None:
    context = parse_traceparent(f"00-{trace:032x}-{span:016x}-{flags:02x}")

    assert context is not None
    assert (int(context.trace_id, 16), int(context.span_id, 16), context.sampled) == (trace, span, bool(flags & 1))
    again = parse_traceparent(context.traceparent)
    assert again is not None and again.traceparent == context.traceparent


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_callers_decision_stands_whatever_the_ratio(ratio: float) -> None:
    for header, sampled in ((SAMPLED, True), (UNSAMPLED, False)):
        context = begin(header, sampling_bound(ratio))

        assert context is not None
        assert (context.trace_id, context.parent_id, context.sampled) == (TRACE, SPAN, sampled)
        assert context.span_id != SPAN


def test_of_calls_without_a_context_the_ratio_is_sampled() -> None:
    shares = {
        ratio: sum(begin(None, sampling_bound(ratio)) is not None for _ in range(CALLS)) / CALLS
        for ratio in (0, 0.1, 1)
    }

    assert shares[0] == 0
    assert shares[1] == 1
    assert abs(shares[0.1] - 0.1) < 0.02


@pytest.mark.parametrize("ratio", [-0.1, 1.1])
def test_a_ratio_beyond_0_to_1_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        recording(ratio)


def test_without_a_collector_nothing_is_sampled_but_the_callers_context_goes_on() -> None:
    tracing = Tracing(1.0)

    assert tracing.begin(None) is None
    going_on = tracing.begin(SAMPLED)

    assert going_on is not None and going_on.trace_id == TRACE
    assert tracing.child("x", "client", going_on) is None
    assert UNTRACED.batch("x", [going_on], 1) is None


def test_spans_of_a_trace_hang_together_and_carry_the_error() -> None:
    tracing, spans = recording()
    call = tracing.begin(SAMPLED)

    attempt = tracing.child("POST", "client", call, {"gen_ai.provider.name": "p"})
    assert attempt is not None
    attempt.end("timeout")
    attempt.end()
    whole = tracing.span("chat m", "server", call, 1)
    assert whole is not None
    whole.end()

    assert spans == [attempt, whole]
    assert attempt.context.trace_id == whole.context.trace_id == TRACE
    assert attempt.context.parent_id == whole.context.span_id
    assert whole.context.parent_id == SPAN
    assert (attempt.error, whole.error) == ("timeout", "")
    assert attempt.attributes == {"gen_ai.provider.name": "p"}


def test_an_unsampled_call_makes_no_span() -> None:
    tracing, spans = recording()
    call = tracing.begin(UNSAMPLED)

    assert tracing.child("x", "client", call) is tracing.span("x", "server", call, 1) is None
    assert tracing.batch("x", [call] if call else [], 1) is None
    assert spans == []


def test_a_batch_links_to_its_senders_and_is_seen_in_each_of_their_traces() -> None:
    tracing, spans = recording()
    senders = [new_trace() for _ in range(LINKS_MAX + 3)]

    batch = tracing.batch("settle", [*senders, *filter(None, [parse_traceparent(UNSAMPLED)])], 1)

    *each, whole = spans
    assert whole.context is batch
    assert [span.context.trace_id for span in each] == [sender.trace_id for sender in senders]
    assert all(list(span.links) == [batch] for span in each)
    assert list(whole.links) == senders[:LINKS_MAX]
    assert whole.attributes["messaging.batch.message_count"] == len(senders) + 1


def test_a_collector_that_is_away_delays_no_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("TT_TRACE_RATIO", "1")
    others = set(threading.enumerate())
    tracing = tracing_of("test")
    span = tracing.span("x", "server", tracing.begin(None), 1)
    assert span is not None
    span.end()

    began_s = monotonic_s()
    tracing.close()

    assert monotonic_s() - began_s < CLOSE_S + 1
    assert set(threading.enumerate()) <= others, "it still retries after its process was done with it"
