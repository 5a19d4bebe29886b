"""Spans of this process: made only for sampled work, and only where something takes them.

Invariant: tracing never fails or delays the work it describes. A span is plain data until it ends; then it goes to the `SpanSink`,
which exports in the background. Attributes are chosen by the code that makes the span: never headers, bodies, keys or URLs.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

from tt_common.telemetry.context import TraceContext, begin, new_trace, sampling_bound

Kind = Literal["server", "client", "internal", "producer", "consumer"]
Attribute = str | int | float | bool
Attributes = Mapping[str, Attribute]

DEFAULT_RATIO: Final = 0.1
LINKS_MAX: Final = 128
NOTHING_MORE: Final[Attributes] = {}


class Span:
    """One piece of work under way; `end` it once. `attributes` may be added to until then."""

    __slots__ = ("_sink", "attributes", "context", "ended_ns", "error", "kind", "links", "name", "started_ns")

    def __init__(
        self,
        sink: "SpanSink",
        name: str,
        kind: Kind,
        context: TraceContext,
        attributes: dict[str, Attribute],
        started_ns: int,
        links: Sequence[TraceContext] = (),
    ) -> None:
        self._sink = sink
        self.name = name
        self.kind: Kind = kind
        self.context = context
        self.attributes = attributes
        self.started_ns = started_ns
        self.links = links[:LINKS_MAX]
        self.ended_ns = 0
        self.error = ""

    @property
    def traceparent(self) -> str:
        """The header for whoever works on behalf of this span."""
        return self.context.traceparent

    def end(self, error: str = "") -> None:
        """The work is done; `error` is a code, empty where it went well. A second call changes nothing."""
        if self.ended_ns:
            return
        self.ended_ns = time.time_ns()
        self.error = error
        self._sink.take(self)


class SpanSink(Protocol):
    """Where ended spans go."""

    def take(self, span: Span) -> None:
        """Must return at once; may drop."""
        ...

    def close(self) -> None:
        """Export what is left, in bounded time."""
        ...


class Tracing:
    """The decision what is sampled, and the way from work to spans. Without a sink contexts still travel, and no span is made."""

    def __init__(self, ratio: float = 0.0, sink: SpanSink | None = None) -> None:
        self._bound = sampling_bound(ratio) if sink is not None else 0
        self._sink = sink

    def begin(self, header: str | None) -> TraceContext | None:
        """The context of work that comes in, from its `traceparent` header; None where nobody traces it."""
        return begin(header, self._bound)

    def span(
        self,
        name: str,
        kind: Kind,
        context: TraceContext | None,
        started_ns: int,
        attributes: Attributes = NOTHING_MORE,
    ) -> Span | None:
        """A span at `context` itself, begun at `started_ns` (Unix time); None unless that is sampled."""
        if self._sink is None or context is None or not context.sampled:
            return None
        return Span(self._sink, name, kind, context, dict(attributes), started_ns)

    def child(
        self, name: str, kind: Kind, parent: TraceContext | None, attributes: Attributes = NOTHING_MORE
    ) -> Span | None:
        """A span below `parent`; None unless that is sampled."""
        if self._sink is None or parent is None or not parent.sampled:
            return None
        return Span(self._sink, name, kind, parent.child(), dict(attributes), time.time_ns())

    def batch(
        self, name: str, parents: Sequence[TraceContext], started_ns: int, attributes: Attributes = NOTHING_MORE
    ) -> TraceContext | None:
        """Work on many messages at once, just done: a trace of its own that links to every sampled sender (up to LINKS_MAX), and a
        span in each of their traces that links back. None where none was sampled.
        """
        sampled = [parent for parent in parents if parent.sampled]
        if self._sink is None or not sampled:
            return None
        context = new_trace()
        for parent in sampled:
            Span(self._sink, name, "consumer", parent.child(), dict(attributes), started_ns, (context,)).end()
        whole = Span(self._sink, f"{name} batch", "consumer", context, dict(attributes), started_ns, sampled)
        whole.attributes["messaging.batch.message_count"] = len(parents)
        whole.end()
        return context

    def close(self) -> None:
        """At shutdown: export what is left."""
        if self._sink is not None:
            self._sink.close()


UNTRACED: Final = Tracing()
