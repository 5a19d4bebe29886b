"""Canonical events as Anthropic's: one block open at a time, indexes without gaps, deltas of the kind of their block.

Calls whose arguments come interleaved are told one after the other. A thought ends with a signature, also where nobody signed it.
"""

from typing import Any, Final

import msgspec

from tt_common.rating import Usage
from tt_edge.protocols.anthropic.signatures import carried
from tt_edge.protocols.canonical.answer import (
    Ending,
    Event,
    Reason,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
)

STOP_REASONS: Final[dict[Reason, str]] = {
    "end": "end_turn",
    "stop_sequence": "stop_sequence",
    "pause": "pause_turn",
    "length": "max_tokens",
    "tool_use": "tool_use",
    "refusal": "refusal",
}
TIERS: Final = {"default": "standard", "standard": "standard", "priority": "priority", "batch": "batch"}
EMPTY: Final = {"text": {"type": "text", "text": ""}, "thinking": {"type": "thinking", "thinking": "", "signature": ""}}
DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}\n\n'
)
START: Final = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
STOP: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
MESSAGE_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
Json = dict[str, Any]
_encode = msgspec.json.encode
_any_decoder = msgspec.json.Decoder()


def ended(ending: Ending, *, refused: bool, calls: bool) -> Json:
    """`stop_reason` and what goes with it."""
    reason = ending.reason
    if reason == "end":
        reason = "refusal" if refused else "tool_use" if calls else reason
    details = None
    if reason == "refusal":
        details = {"type": "refusal", "category": None, "explanation": ending.detail or None}
    return {"stop_reason": STOP_REASONS[reason], "stop_sequence": ending.sequence, "stop_details": details}


def usage_of(usage: Usage | None, service_tier: str, cost_usd: str) -> Json:
    """Anthropic's usage object: input counts neither cache reads nor writes. Null counts where the provider gave none: the SDK
    insists on the object, and zeros would be a lie."""
    cost = msgspec.Raw(cost_usd.encode())
    if usage is None:
        return {"input_tokens": None, "output_tokens": None, "cost": cost}
    short, hour = usage.cache_write_5m_tokens, usage.cache_write_1h_tokens
    body: Json = {
        "input_tokens": usage.input_tokens + usage.audio_input_tokens,
        "cache_creation_input_tokens": short + hour,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": hour},
        "output_tokens": usage.output_tokens + usage.audio_output_tokens,
    }
    if usage.reasoning_tokens:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.server_tool_calls:
        body["server_tool_use"] = {"web_search_requests": usage.server_tool_calls, "web_fetch_requests": 0}
    if service_tier in TIERS:
        body["service_tier"] = TIERS[service_tier]
    return {**body, "cost": cost}


class AnthropicWriter:
    """See `StreamWriter`."""

    __slots__ = ("_arguments", "_head", "_index", "_later", "_open", "_refused", "_tool", "_waiting")

    def __init__(self, model: str, call_id: str) -> None:
        message: Json = {
            "id": f"msg_{call_id}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        self._head = b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n' % _encode(message)
        self._index = -1
        self._open = ""
        """Kind of the block that is open: text, thinking, tool; none of them."""
        self._tool = -1
        """The call that is told now; the arguments that were told of it, and the events of those that wait for their turn."""
        self._arguments: list[str] = []
        self._waiting: dict[int, list[ToolStarted | ToolDelta]] = {}
        self._later: list[tuple[str, bytes, str]] = []
        """What was said while a call's arguments were not whole, to be told behind it."""
        self._refused = False

    def write(self, event: Event) -> bytes:
        head, self._head = self._head, b""
        return head + self._event(event)

    def finish(self, endings: dict[int, Ending], usage: Usage | None, service_tier: str, cost_usd: str) -> bytes:
        closed = self._all_closed()
        if self._later:
            closed += self._said_later() + self._closed()
        delta = ended(endings.get(0, Ending(reason="end")), refused=self._refused, calls=self._tool >= 0)
        body = {"type": "message_delta", "delta": delta, "usage": usage_of(usage, service_tier, cost_usd)}
        return b"%b%bevent: message_delta\ndata: %b\n\n%b" % (self._head, closed, _encode(body), MESSAGE_STOP)

    def _event(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):
            return self._said("text", b"text_delta", event.text)
        if isinstance(event, ToolDelta):
            return self._argued(event)
        if isinstance(event, ThinkingDelta):
            return self._said("thinking", b"thinking_delta", event.text)
        if isinstance(event, ToolStarted):
            return self._called(event)
        if isinstance(event, ThinkingSigned):
            return self._signed(event)
        if isinstance(event, RefusalDelta):
            self._refused = True
            return self._said("text", b"text_delta", event.text)
        return b""

    def _said(self, kind: str, delta: bytes, text: str) -> bytes:
        if self._open == "tool" and not _is_whole("".join(self._arguments)):
            self._later.append((kind, delta, text))
            return b""
        opened = b"" if self._open == kind else self._all_closed() + self._opened(kind, EMPTY[kind])
        return opened + DELTA % (self._index, delta, kind.encode(), _encode(text))

    def _said_later(self) -> bytes:
        later, self._later = self._later, []
        return b"".join([self._said(*piece) for piece in later])

    def _signed(self, event: ThinkingSigned) -> bytes:
        signature = carried(event.signature, event.vendor)
        if event.redacted:
            block = {"type": "redacted_thinking", "data": signature}
            return self._all_closed() + self._opened("redacted", block) + self._closed()
        opened = b"" if self._open == "thinking" else self._all_closed() + self._opened("thinking", EMPTY["thinking"])
        return opened + self._closed(signature)

    def _called(self, event: ToolStarted) -> bytes:
        if self._open == "tool" and (self._waiting or not _is_whole("".join(self._arguments))):
            self._waiting.setdefault(event.index, []).append(event)
            return b""
        return self._all_closed() + self._begun(event)

    def _begun(self, event: ToolStarted) -> bytes:
        signed = b""
        if event.signature:
            signed = self._opened("thinking", EMPTY["thinking"])
            signed += self._closed(carried(event.signature, "gemini", "call"))
        self._tool, self._arguments = event.index, []
        block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
        return signed + self._opened("tool", block)

    def _argued(self, event: ToolDelta) -> bytes:
        if event.index in self._waiting:
            self._waiting[event.index].append(event)
            return b""
        if event.index != self._tool or self._open != "tool":
            return b""  # a call that is over: its arguments were whole
        told = self._told(event)
        if (self._waiting or self._later) and _is_whole("".join(self._arguments)):
            told += self._next() + self._said_later()
        return told

    def _told(self, event: ToolDelta) -> bytes:
        self._arguments.append(event.arguments)
        return DELTA % (self._index, b"input_json_delta", b"partial_json", _encode(event.arguments))

    def _next(self) -> bytes:
        """The calls that waited, up to the first that is not whole yet."""
        parts: list[bytes] = []
        while self._waiting:
            started, *deltas = self._waiting.pop(next(iter(self._waiting)))
            assert isinstance(started, ToolStarted)
            parts += [self._closed(), self._begun(started)]
            parts += [self._told(delta) for delta in deltas if isinstance(delta, ToolDelta)]
            if not _is_whole("".join(self._arguments)):
                break
        return b"".join(parts)

    def _opened(self, kind: str, block: Json) -> bytes:
        self._index += 1
        self._open = kind
        return START % (self._index, _encode(block))

    def _closed(self, signature: str = "") -> bytes:
        signed = b""
        if self._open == "thinking":
            name = signature or carried("", None)
            signed = DELTA % (self._index, b"signature_delta", b"signature", _encode(name))
        self._open = ""
        return signed + STOP % self._index

    def _all_closed(self) -> bytes:
        """What is open closed, after what waits was told."""
        parts: list[bytes] = []
        while self._waiting:
            parts.append(self._next())
        if self._open:
            parts.append(self._closed())
        return b"".join(parts)


def _is_whole(arguments: str) -> bool:
    try:
        _any_decoder.decode(arguments)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
