"""OpenAI chat as the client's side of a translation: its requests into the canonical form, canonical answers into its own.

Thoughts of other vendors travel in `reasoning_details`, Gemini's signatures of calls in the call's `extra_content`: fields that clients
keep when they send the message back.
"""

from typing import Any, Final

import msgspec

from tt_common.clock import now_ms
from tt_common.rating import Usage
from tt_edge.protocols.canonical.answer import (
    ChatAnswer,
    Choice,
    Ending,
    Event,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
)
from tt_edge.protocols.canonical.request import ChatRequest, Text, Thinking, ToolUse
from tt_edge.protocols.openai.canonical import canonical_of
from tt_edge.protocols.openai.foreign import UNSIGNED
from tt_edge.protocols.openai.request import OpenAIRequest
from tt_edge.protocols.port import Request

FINISH: Final = {
    "end": "stop",
    "stop_sequence": "stop",
    "pause": "stop",
    "length": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
FIELDS: Final = {
    "output_limit": "max_completion_tokens",
    "parallel_tools": "parallel_tool_calls",
    "choices": "n",
    "format": "response_format",
    "reasoning": "reasoning_effort",
    "end_user": "user",
    "turns": "messages",
    "system": "messages",
}
_encode = msgspec.json.encode


class OpenAIClient:
    """See `ClientSide`."""

    def canonical(self, request: Request) -> ChatRequest:
        return canonical_of(request)

    def field(self, canonical: str) -> str:
        return FIELDS.get(canonical, canonical)

    def whole(self, answer: ChatAnswer, request: Request, model: str, call_id: str, cost_usd: str) -> bytes:
        body: dict[str, Any] = {
            "id": f"chatcmpl-{call_id}",
            "object": "chat.completion",
            "created": now_ms() // 1000,
            "model": model,
            "choices": [_choice(index, choice) for index, choice in enumerate(answer.choices)],
        }
        if answer.usage is not None:
            body["usage"] = usage_of(answer.usage, cost_usd)
        if answer.service_tier:
            body["service_tier"] = tier_of(answer.service_tier)
        return _encode(body)

    def writer(self, request: Request, call_id: str) -> "OpenAIWriter":
        assert isinstance(request, OpenAIRequest)
        return OpenAIWriter(request.model, call_id, request.wants_usage_chunk)


def tier_of(service_tier: str) -> str:
    """A provider's service tier as OpenAI's clients know it."""
    return "default" if service_tier == "standard" else service_tier


def usage_of(usage: Usage, cost_usd: str) -> dict[str, Any]:
    """OpenAI's usage object: prompt counts include what was cached or written to a cache, output includes reasoning."""
    prompt: dict[str, int] = {"cached_tokens": usage.cache_read_tokens, "audio_tokens": usage.audio_input_tokens}
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    if written:
        prompt["cache_write_tokens"] = written
    output = usage.output_tokens + usage.audio_output_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": output,
        "total_tokens": usage.prompt_tokens + output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
        },
        "cost": msgspec.Raw(cost_usd.encode()),
    }


def _choice(index: int, choice: Choice) -> dict[str, Any]:
    texts = [block.text for block in choice.blocks if isinstance(block, Text)]
    thoughts = [block for block in choice.blocks if isinstance(block, Thinking)]
    calls = [block for block in choice.blocks if isinstance(block, ToolUse)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": choice.refusal or None,
    }
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                **_extra(call.signature),
            }
            for call in calls
        ]
    if thoughts:
        message["reasoning_content"] = "".join(thought.text for thought in thoughts)
        message["reasoning_details"] = [_detail(at, thought) for at, thought in enumerate(thoughts)]
    finish = "stop" if choice.refusal else FINISH[choice.ending.reason]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": finish}


def _detail(index: int, thought: Thinking) -> dict[str, Any]:
    """OpenRouter's form, which clients that know of it send back."""
    if thought.redacted:
        return {"type": "reasoning.encrypted", "data": thought.signature, "format": thought.vendor, "index": index}
    signature = thought.signature or None
    return {
        "type": "reasoning.text",
        "text": thought.text,
        "signature": signature,
        "format": thought.vendor or UNSIGNED,
        "index": index,
    }


def _extra(signature: str) -> dict[str, Any]:
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


class OpenAIWriter:
    """Canonical events as chunks."""

    __slots__ = ("_after", "_before", "_refused", "_running", "_thoughts", "_usage", "_used")

    def __init__(self, model: str, call_id: str, wants_usage: bool) -> None:
        head = {"id": f"chatcmpl-{call_id}", "object": "chat.completion.chunk", "created": now_ms() // 1000}
        self._before = b'data: %b,"model":%b,"choices":[' % (_encode(head)[:-1], _encode(model))
        self._after = b'],"usage":null}\n\n' if wants_usage else b"]}\n\n"
        self._usage = wants_usage
        self._used: set[int] = set()
        self._refused: set[int] = set()
        self._running: dict[int, list[str]] = {}
        """By choice: the pieces of a thought that isn't signed yet."""
        self._thoughts: dict[int, list[Thinking]] = {}
        """By choice: those that are over."""

    def write(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):
            return self._chunk(event.choice, b'{"content":%b}' % _encode(event.text))
        if isinstance(event, ToolDelta):
            piece = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}'
            return self._chunk(event.choice, piece % (event.index, _encode(event.arguments)))
        if isinstance(event, ThinkingDelta):
            self._running.setdefault(event.choice, []).append(event.text)
            return self._chunk(event.choice, b'{"reasoning_content":%b}' % _encode(event.text))
        if isinstance(event, ToolStarted):
            call = {
                "index": event.index,
                "id": event.id,
                "type": "function",
                "function": {"name": event.name, "arguments": ""},
                **_extra(event.signature),
            }
            return self._chunk(event.choice, _encode({"tool_calls": [call]}))
        if isinstance(event, ThinkingSigned):
            self._signed(event)
            return b""
        if isinstance(event, RefusalDelta):
            self._refused.add(event.choice)
            return self._chunk(event.choice, b'{"refusal":%b}' % _encode(event.text))
        return b""

    def finish(self, endings: dict[int, Ending], usage: Usage | None, service_tier: str, cost_usd: str) -> bytes:
        if service_tier:
            self._after = b'],"service_tier":%b%b' % (_encode(tier_of(service_tier)), self._after[1:])
        parts: list[bytes] = []
        for choice, ending in sorted(endings.items()):
            reason = "stop" if choice in self._refused else FINISH[ending.reason]
            parts += [self._details(choice), self._chunk(choice, b"{}", reason)]
        if self._usage and usage is not None:
            told = self._after.replace(b'"usage":null', b'"usage":%b' % _encode(usage_of(usage, cost_usd)))
            parts.append(self._before + told)
        parts.append(b"data: [DONE]\n\n")
        return b"".join(parts)

    def _signed(self, event: ThinkingSigned) -> None:
        thoughts = self._thoughts.setdefault(event.choice, [])
        text = "".join(self._running.pop(event.choice, ()))
        if event.redacted and text:
            thoughts.append(Thinking(text=text))
            text = ""
        thoughts.append(Thinking(text=text, signature=event.signature, vendor=event.vendor, redacted=event.redacted))

    def _details(self, choice: int) -> bytes:
        """All thoughts in one delta: OpenAI's SDK for Node keeps only the last delta's value of a field that it doesn't know."""
        thoughts = self._thoughts.pop(choice, [])
        if choice in self._running:
            thoughts.append(Thinking(text="".join(self._running.pop(choice))))
        if not thoughts:
            return b""
        details = [_detail(at, thought) for at, thought in enumerate(thoughts)]
        return self._chunk(choice, _encode({"reasoning_details": details}))

    def _chunk(self, choice: int, delta: bytes, finish: str | None = None) -> bytes:
        first = b""
        if choice not in self._used:
            self._used.add(choice)
            first = self._chunk(choice, b'{"role":"assistant","content":"","refusal":null}')
        body = b'{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b}' % (choice, delta, _encode(finish))
        return first + self._before + body + self._after
