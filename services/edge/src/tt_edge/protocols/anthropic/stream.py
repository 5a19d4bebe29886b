"""Anthropic streams: events passed on, the usage tapped as it passes, the model's name mapped.

Any split of the provider's bytes gives the same events. From message_delta on (usage, message_stop) events are held back for `tail`, so
that the call can be settled before its last byte leaves.
"""

from typing import Final

import msgspec

from tt_common.rating import Usage
from tt_edge.domain.tokens import CHARS_PER_TOKEN, count_tokens
from tt_edge.protocols.anthropic.usage import WireUsage, later, prompt_of, read_usage, usage_of
from tt_edge.protocols.passthrough import with_cost, with_fields
from tt_edge.protocols.sse import FrameSplitter, payload_of


class _Delta(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None


class _Block(msgspec.Struct):
    name: str | None = None
    text: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    model: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()


_event_decoder = msgspec.json.Decoder(_Event)
_message_decoder = msgspec.json.Decoder(_Message)
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class StreamTap:
    """See `Tap`."""

    __slots__ = (
        "_asked_model",
        "_held",
        "_hour_cache",
        "_splitter",
        "_wire",
        "complete",
        "failed",
        "output_estimate",
        "prompt",
        "service_tier",
        "texts",
        "usage",
    )

    def __init__(self, asked_model: str, *, hour_cache: bool) -> None:
        self._splitter = FrameSplitter()
        self._asked_model = asked_model
        self._hour_cache = hour_cache
        self._wire: WireUsage | None = None
        self._held: list[tuple[bytes, bytes]] = []
        """Frames for `tail`, each with its raw usage object, if it has one."""
        self.usage: Usage | None = None
        self.prompt: Usage | None = None
        self.service_tier = ""
        self.texts: list[str] = []
        self.output_estimate = 0
        self.complete = False
        self.failed = False

    def feed(self, data: bytes) -> bytes:
        frames = self._splitter.feed(data)
        if len(frames) == 1:
            return self._frame(frames[0])
        return b"".join([self._frame(frame) for frame in frames])

    def end(self) -> bytes:
        """Without message_stop the stream is not complete, whatever came before."""
        rest = self._splitter.rest()
        return self._frame(rest + b"\n\n") if rest else b""

    def tail(self, cost_usd: str) -> bytes:
        """The frames that were held back, the last usage with its cost."""
        if not self.complete:
            return b""
        frames = [frame for frame, _ in self._held]
        for at in range(len(frames) - 1, -1, -1):
            raw = self._held[at][1]
            if raw:
                frames[at] = frames[at].replace(raw, with_cost(raw, cost_usd))
                break
        return b"".join(frames)

    def broken(self, error_event: bytes) -> bytes:
        return error_event

    def recount(self) -> int:
        self.output_estimate = count_tokens(["".join(self.texts)])
        return self.output_estimate

    def _frame(self, frame: bytes) -> bytes:
        if self.complete or self.failed:
            return b""
        try:
            event = _event_decoder.decode(payload_of(frame))
        except UNREADABLE:
            return self._passed(frame)
        match event.type:
            case "content_block_delta":
                if (delta := event.delta) is not None:
                    self._count(delta.text or delta.thinking or delta.partial_json)
            case "content_block_start":
                if (block := event.content_block) is not None:
                    self._count(block.name or block.text)
            case "message_start":
                return self._passed(self._started(frame, bytes(event.message)))
            case "message_delta":
                self._held.append((frame, bytes(event.usage) if self._metered(event.usage) else b""))
                return b""
            case "message_stop":
                self.complete = True
                self._held.append((frame, b""))
                return b""
            case "error":
                self.failed = True
                return frame
            case _:
                pass
        return self._passed(frame)

    def _passed(self, frame: bytes) -> bytes:
        """Now, or after what is held back already."""
        if not self._held:
            return frame
        self._held.append((frame, b""))
        return b""

    def _started(self, frame: bytes, raw: bytes) -> bytes:
        try:
            message = _message_decoder.decode(raw)
        except UNREADABLE:
            return frame
        if (wire := read_usage(message.usage)) is not None:
            self._wire = wire
            self.prompt = prompt_of(wire, hour_cache=self._hour_cache)
        if not bytes(message.model):
            return frame
        try:
            renamed = with_fields(raw, {"model": (bytes(message.model), msgspec.json.encode(self._asked_model))})
        except (UnicodeDecodeError, RecursionError):
            return frame
        return frame.replace(raw, renamed)

    def _metered(self, raw: msgspec.Raw) -> bool:
        """Whether there is a figure. What message_start said alone is none: its output is only begun."""
        wire = read_usage(raw)
        if wire is None or wire.output_tokens is None:
            return False
        self._wire = later(self._wire, wire)
        self.usage = usage_of(self._wire, hour_cache=self._hour_cache)
        self.service_tier = self._wire.tier
        return True

    def _count(self, text: str | None) -> None:
        if text:
            self.texts.append(text)
            self.output_estimate += 1 if len(text) <= CHARS_PER_TOKEN else -(-len(text) // CHARS_PER_TOKEN)
