"""Gemini streams: frames of server-sent events, the usage tapped as it passes, the model's name mapped.

Any split of the provider's bytes gives the same frames. The protocol has no terminal marker: a stream is whole when a reason for its end
came and the provider closed it. From that reason on the last frame is held back, so that the call can be settled before it leaves.
"""

from typing import Any

import msgspec

from tt_common.rating import Usage
from tt_edge.domain.tokens import CHARS_PER_TOKEN, count_tokens
from tt_edge.protocols.gemini.answer import UNREADABLE, Candidate, candidate_texts, rendered
from tt_edge.protocols.gemini.usage import Grounding, parse_metered, with_searches
from tt_edge.protocols.port import Tap
from tt_edge.protocols.sse import FrameSplitter, payload_of


class _Feedback(msgspec.Struct):
    reason: str | None = msgspec.field(default=None, name="blockReason")


class _Chunk(msgspec.Struct):
    candidates: list[Candidate] | None = None
    feedback: _Feedback | None = msgspec.field(default=None, name="promptFeedback")
    version: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="modelVersion")
    usage: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="usageMetadata")
    error: Any = None


_chunk_decoder = msgspec.json.Decoder(_Chunk)


class StreamTap:
    """See `Tap`."""

    __slots__ = (
        "_ended",
        "_groundings",
        "_held",
        "_model",
        "_raw_model",
        "_raw_usage",
        "_splitter",
        "complete",
        "failed",
        "output_estimate",
        "texts",
    )

    prompt: Usage | None = None
    """`usage` has it with every event."""

    def __init__(self, asked_model: str) -> None:
        self._splitter = FrameSplitter()
        self._model = asked_model
        self._raw_model = msgspec.json.encode(asked_model)
        self._held: tuple[bytes, bytes, bytes] | None = None
        """Data of the last frame, and its model's name and usage as they stand in it."""
        self._ended = False
        self._groundings: dict[int, Grounding] = {}
        """By candidate, the last one."""
        self._raw_usage = b""
        """The last that has a figure; every chunk has one, and one is read."""
        self.texts: list[str] = []
        self.output_estimate = 0
        self.complete = False
        self.failed = False

    @property
    def usage(self) -> Usage | None:
        return with_searches(parse_metered(self._raw_usage)[0], self._groundings.values())

    @property
    def service_tier(self) -> str:
        return parse_metered(self._raw_usage)[1]

    def feed(self, data: bytes) -> bytes:
        frames = self._splitter.feed(data)
        if len(frames) == 1:
            return self._frame(frames[0])
        return b"".join([self._frame(frame) for frame in frames])

    def end(self) -> bytes:
        rest = self._splitter.rest()
        out = self._frame(rest + b"\n\n") if rest else b""
        self.complete = self._ended and not self.failed
        return out

    def tail(self, cost_usd: str) -> bytes:
        return self._released(cost_usd)

    def broken(self, error_event: bytes) -> bytes:
        return error_event

    def recount(self) -> int:
        self.output_estimate = count_tokens(["".join(self.texts)])
        return self.output_estimate

    def _frame(self, frame: bytes) -> bytes:
        payload = payload_of(frame)
        if not payload:
            return frame
        try:
            chunk = _chunk_decoder.decode(payload)
        except UNREADABLE:
            return frame
        if chunk.error is not None:
            self.failed = True
            return self._released(None) + frame
        return self._chunk(payload, chunk)

    def _chunk(self, payload: bytes, chunk: _Chunk) -> bytes:
        for candidate in chunk.candidates or ():
            if candidate.finish:
                self._ended = True
            if candidate.grounding is not None and candidate.grounding.queries:
                self._groundings[candidate.index] = candidate.grounding
            for text in candidate_texts(candidate):
                self.texts.append(text)
                self.output_estimate += -(-len(text) // CHARS_PER_TOKEN)
        if chunk.feedback is not None and chunk.feedback.reason:
            self._ended = True
        raw_usage, version = bytes(chunk.usage), bytes(chunk.version)
        if b'"promptTokenCount"' in raw_usage:
            self._raw_usage = raw_usage
        if not self._ended:
            return self._sent(payload, version, raw_usage, None)
        before, self._held = self._released(None), (payload, version, raw_usage)
        return before

    def _released(self, cost_usd: str | None) -> bytes:
        if self._held is None:
            return b""
        held, self._held = self._held, None
        return self._sent(*held, cost_usd)

    def _sent(self, payload: bytes, version: bytes, raw_usage: bytes, cost_usd: str | None) -> bytes:
        if cost_usd is not None or (version and version != self._raw_model):
            try:
                payload = rendered(payload, version, self._model, raw_usage, cost_usd)
            except UNREADABLE:
                pass  # text that is no UTF-8 throughout leaves as it came
        return b"data: %b\n\n" % payload


class ArrayTap:
    """A stream of events as the JSON array that clients get without `alt=sse`. See `Tap`."""

    __slots__ = ("_begun", "_tap", "texts")

    prompt: Usage | None = None
    """`usage` has it with every event."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._begun = False
        self.texts = tap.texts

    @property
    def usage(self) -> Usage | None:
        return self._tap.usage

    @property
    def service_tier(self) -> str:
        return self._tap.service_tier

    @property
    def output_estimate(self) -> int:
        return self._tap.output_estimate

    @property
    def complete(self) -> bool:
        return self._tap.complete

    @property
    def failed(self) -> bool:
        return self._tap.failed

    def feed(self, data: bytes) -> bytes:
        return self._items(self._tap.feed(data))

    def end(self) -> bytes:
        return self._items(self._tap.end())

    def tail(self, cost_usd: str) -> bytes:
        return self._closed(self._tap.tail(cost_usd))

    def broken(self, error_event: bytes) -> bytes:
        return self._closed(self._tap.broken(error_event))

    def recount(self) -> int:
        return self._tap.recount()

    def _closed(self, events: bytes) -> bytes:
        items = self._items(events)
        return items + (b"]" if self._begun else b"[]")

    def _items(self, events: bytes) -> bytes:
        """Whole events as items; what is no data (a comment) is left out."""
        items: list[bytes] = []
        for frame in FrameSplitter().feed(events) if events else ():
            payload = payload_of(frame)
            if payload:
                items.append((b",\r\n" if self._begun else b"[") + payload)
                self._begun = True
        return b"".join(items)
