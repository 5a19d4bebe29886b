"""What an Anthropic-dialect provider answers, in the canonical form: whole messages, and streams as events.

The tools of a choice are counted by themselves, from 0: Anthropic's indexes count all blocks.
"""

from typing import Final

import msgspec

from tt_edge.protocols.anthropic.usage import WireUsage, later, prompt_of, read_usage, usage_of
from tt_edge.protocols.canonical.answer import (
    ChatAnswer,
    Choice,
    Ended,
    Ending,
    Event,
    Failed,
    Finished,
    Metered,
    PromptMetered,
    Reason,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
)
from tt_edge.protocols.canonical.request import Text, Thinking, ToolUse
from tt_edge.protocols.framed import FramedReader

REASONS: Final[dict[str | None, Reason]] = {
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "pause_turn": "pause",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_use",
    "refusal": "refusal",
}
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


class _Delta(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None


_message_decoder = msgspec.json.Decoder(_Message)
_event_decoder = msgspec.json.Decoder(_Event)


def read_answer(body: bytes, *, hour_cache: bool) -> ChatAnswer | None:
    """The message; None where the body is none. `hour_cache`: see `usage_of`."""
    try:
        message = _message_decoder.decode(body)
    except UNREADABLE:
        return None
    blocks = [canonical for block in message.content if (canonical := _canonical(block)) is not None]
    wire = read_usage(message.usage)
    return ChatAnswer(
        choices=(Choice(blocks=tuple(blocks), ending=_ending(message.stop_reason, message.stop_sequence)),),
        usage=None if wire is None else usage_of(wire, hour_cache=hour_cache),
        service_tier=wire.tier if wire is not None else "",
    )


def _ending(reason: str | None, sequence: str | None) -> Ending:
    return Ending(reason=REASONS.get(reason, "end"), sequence=sequence, detail=reason or "")


def _canonical(block: _Block) -> Text | Thinking | ToolUse | None:
    """None for kinds that nobody asked for in a translated request."""
    match block.type:
        case "text":
            return Text(text=block.text) if block.text else None
        case "thinking":
            return Thinking(text=block.thinking or "", signature=block.signature or "", vendor="anthropic")
        case "redacted_thinking":
            return Thinking(signature=block.data or "", vendor="anthropic", redacted=True)
        case "tool_use":
            arguments = bytes(block.input).decode(errors="replace") or "{}"
            return ToolUse(id=block.id or "", name=block.name or "", arguments=arguments)
        case _:
            return None


class AnthropicReader(FramedReader):
    """See `StreamReader`. `hour_cache`: see `usage_of`."""

    __slots__ = ("_argued", "_hour_cache", "_signature", "_tools", "_wire")

    def __init__(self, *, hour_cache: bool) -> None:
        super().__init__()
        self._hour_cache = hour_cache
        self._tools: dict[int, int] = {}
        """By index of the block: which call it is."""
        self._argued: set[int] = set()
        """Calls of which arguments came."""
        self._signature = ""
        self._wire: WireUsage | None = None

    def _ended_with(self, events: list[Event]) -> None:
        """Nothing: message_stop is the end."""

    def _read(self, payload: bytes, events: list[Event]) -> None:
        try:
            event = _event_decoder.decode(payload)
        except UNREADABLE:
            return
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._delta(event.index, event.delta, events)
            case "content_block_start" if event.content_block is not None:
                self._start(event.index, event.content_block, events)
            case "content_block_stop":
                self._stop(event.index, events)
            case "message_start" if event.message is not None:
                self._begin(event.message, events)
            case "message_delta":
                self._end(event, events)
            case "message_stop":
                events.append(Finished())
            case "error":
                error = event.error or _Error()
                events.append(Failed(error.message or error.type, overloaded=error.type == "overloaded_error"))
            case _:
                pass

    def _begin(self, message: _Message, events: list[Event]) -> None:
        self._wire = read_usage(message.usage)
        if self._wire is not None and (prompt := prompt_of(self._wire, hour_cache=self._hour_cache)) is not None:
            events.append(PromptMetered(prompt))

    def _start(self, index: int, block: _Block, events: list[Event]) -> None:
        if block.type == "text" and block.text:
            events.append(TextDelta(block.text))
        elif block.type == "thinking" and block.thinking:
            events.append(ThinkingDelta(block.thinking))
        elif block.type == "redacted_thinking":
            events.append(ThinkingSigned(block.data or "", "anthropic", redacted=True))
        elif block.type == "tool_use":
            call = self._tools[index] = len(self._tools)
            events.append(ToolStarted(call, block.id or "", block.name or ""))
            if bytes(block.input) not in (b"", b"{}", b"null"):
                self._argue(call, bytes(block.input).decode(errors="replace"), events)

    def _delta(self, index: int, delta: _Delta, events: list[Event]) -> None:
        if delta.text:
            events.append(TextDelta(delta.text))
        elif delta.partial_json:
            if (call := self._tools.get(index)) is not None:
                self._argue(call, delta.partial_json, events)
        elif delta.thinking:
            events.append(ThinkingDelta(delta.thinking))
        elif delta.signature:
            self._signature += delta.signature

    def _argue(self, call: int, arguments: str, events: list[Event]) -> None:
        self._argued.add(call)
        events.append(ToolDelta(call, arguments))

    def _stop(self, index: int, events: list[Event]) -> None:
        if self._signature:
            events.append(ThinkingSigned(self._signature, "anthropic"))
            self._signature = ""
        call = self._tools.get(index)
        if call is not None and call not in self._argued:
            self._argue(call, "{}", events)

    def _end(self, event: _Event, events: list[Event]) -> None:
        delta = event.delta or _Delta()
        if delta.stop_reason is not None:
            events.append(Ended(_ending(delta.stop_reason, delta.stop_sequence)))
        if (wire := read_usage(event.usage)) is not None and wire.output_tokens is not None:
            self._wire = later(self._wire, wire)
            if (usage := usage_of(self._wire, hour_cache=self._hour_cache)) is not None:
                events.append(Metered(usage, self._wire.tier))
