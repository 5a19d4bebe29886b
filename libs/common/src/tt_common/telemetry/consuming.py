"""What a consumer of usage events tells: batches, lag behind the edges, and one span in the trace of every sampled call.

Invariant: reads headers only, after the batch is done; a message without them counts and tells nothing more.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tt_common.bus.consumer import redelivered
from tt_common.telemetry.context import TRACEPARENT, TraceContext, parse_traceparent
from tt_common.telemetry.tracing import Tracing

BATCH_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NS_PER_S: Final = 1_000_000_000


class UsageMeter:
    """Metrics `tokentally_<service>_usage_*` and spans named `work`. Call `done` once a batch."""

    def __init__(self, service: str, work: str, registry: CollectorRegistry, tracing: Tracing) -> None:
        name = f"tokentally_{service}_usage"
        self._work = work
        self._tracing = tracing
        self._attributes = {"messaging.system": "nats", "messaging.destination.name": "USAGE"}
        events = Counter(f"{name}_events", "Usage events taken from the stream", ["result"], registry=registry)
        self._taken, self._refused = events.labels("taken"), events.labels("refused")
        self._redelivered = Counter(f"{name}_redelivered", "Usage events that came again", registry=registry)
        self._seconds = Histogram(
            f"{name}_batch_seconds", "From a batch's arrival to its acks", buckets=BATCH_BOUNDS_S, registry=registry
        )
        self._lag = Gauge(f"{name}_lag_seconds", "Age of the oldest event of the last batch", registry=registry)
        self._ahead = Gauge(
            f"{name}_clock_ahead_seconds", "How far the newest event was ahead of this clock", registry=registry
        )
        self.backlog = Gauge(f"{name}_backlog", "Events in USAGE not settled by this durable", registry=registry)

    def done(self, messages: Sequence[Msg], started_ns: int, refused: int) -> None:
        """A batch, begun at `started_ns` (Unix time), is committed and acknowledged; `refused` of it were no events."""
        now_ns = time.time_ns()
        self._taken.inc(len(messages) - refused)
        self._refused.inc(refused)
        self._seconds.observe((now_ns - started_ns) / NS_PER_S)
        headers = [message.headers or {} for message in messages]
        self._redelivered.inc(sum(map(redelivered, messages)))
        times = [sent_at for header in headers if (sent_at := header.get("ce-time"))]
        if times:
            # All of one form, so text sorts like time.
            oldest, newest = _unix_s(min(times)), _unix_s(max(times))
            if oldest is not None and newest is not None:
                self._lag.set(max(0.0, now_ns / NS_PER_S - oldest))
                self._ahead.set(max(0.0, newest - now_ns / NS_PER_S))
        senders = [sender for header in headers if (sender := _sender(header)) is not None]
        if senders:
            self._tracing.batch(self._work, senders, started_ns, self._attributes)


def _sender(headers: dict[str, str]) -> TraceContext | None:
    header = headers.get(TRACEPARENT)
    return parse_traceparent(header) if header else None


def _unix_s(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
