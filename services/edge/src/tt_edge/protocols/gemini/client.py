"""Gemini as the client's side of a translation: canonical answers and events in its form.

Thoughts that another vendor signed travel as parts with a sealed thoughtSignature. Calls come whole, so the pieces of theirs wait for the
end of the stream.
"""

from typing import Any, Final

import msgspec

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
from tt_edge.protocols.gemini.canonical import canonical_of
from tt_edge.protocols.gemini.seals import UNSIGNED, Seal, sealed
from tt_edge.protocols.port import Request

FINISH: Final = {
    "end": "STOP",
    "stop_sequence": "STOP",
    "pause": "STOP",
    "length": "MAX_TOKENS",
    "tool_use": "STOP",
    "refusal": "SAFETY",
}
FIELDS: Final = {
    "turns": "contents",
    "system": "systemInstruction",
    "tool_choice": "toolConfig.functionCallingConfig",
    "parallel_tools": "toolConfig",
    "output_limit": "generationConfig.maxOutputTokens",
    "choices": "generationConfig.candidateCount",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "presence_penalty": "generationConfig.presencePenalty",
    "format": "generationConfig.responseSchema",
    "reasoning": "generationConfig.thinkingConfig",
    "service_tier": "serviceTier",
}
_encode = msgspec.json.encode


class GeminiClient:
    """See `ClientSide`."""

    def canonical(self, request: Request) -> ChatRequest:
        return canonical_of(request)

    def field(self, canonical: str) -> str:
        return FIELDS.get(canonical, canonical)

    def whole(self, answer: ChatAnswer, request: Request, model: str, call_id: str, cost_usd: str) -> bytes:
        body: dict[str, Any] = {
            "candidates": [_candidate(index, choice) for index, choice in enumerate(answer.choices)]
        }
        if answer.usage is not None:
            body["usageMetadata"] = usage_of(answer.usage, cost_usd)
        return _encode({**body, "modelVersion": model, "responseId": call_id})

    def writer(self, request: Request, call_id: str) -> "GeminiWriter":
        return GeminiWriter(request.model, call_id)


def usage_of(usage: Usage, cost_usd: str) -> dict[str, Any]:
    """Google's usage object: the prompt includes what was cached, thoughts stand beside the candidates."""
    output = usage.output_tokens + usage.audio_output_tokens
    thoughts = min(usage.reasoning_tokens, output)
    found: dict[str, Any] = {
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": usage.prompt_tokens + output,
        "promptTokensDetails": _modalities(usage.prompt_tokens - usage.audio_input_tokens, usage.audio_input_tokens),
    }
    if usage.cache_read_tokens:
        found["cachedContentTokenCount"] = usage.cache_read_tokens
    if thoughts:
        found["thoughtsTokenCount"] = thoughts
    return {**found, "cost": msgspec.Raw(cost_usd.encode())}


def _modalities(text: int, audio: int) -> list[dict[str, Any]]:
    counts = (("TEXT", text), ("AUDIO", audio))
    return [{"modality": modality, "tokenCount": count} for modality, count in counts if count]


def _candidate(index: int, choice: Choice) -> dict[str, Any]:
    parts = [_part(block) for block in choice.blocks]
    if choice.refusal:
        parts.append({"text": choice.refusal})
    return _ended(index, parts, choice.ending)


def _ended(index: int, parts: list[Any], ending: Ending) -> dict[str, Any]:
    content = {"parts": parts or [{"text": ""}], "role": "model"}
    return {"content": content, "finishReason": FINISH[ending.reason], "index": index}


def _part(block: Text | Thinking | ToolUse) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"text": block.text}
    if isinstance(block, ToolUse):
        return _call(block.id, block.name, block.arguments, block.signature)
    part: dict[str, Any] = {"text": block.text, "thought": True}
    if block.signature and block.vendor is not None:
        part["thoughtSignature"] = sealed(Seal(block.vendor, block.signature, block.redacted))
    return part


def _call(call_id: str, name: str, arguments: str, signature: str) -> dict[str, Any]:
    """A call that nobody signed has an empty seal, so that it is known again where the conversation goes on with Gemini."""
    call: dict[str, Any] = {"functionCall": {"name": name, "args": _object(arguments), "id": call_id}}
    return {**call, "thoughtSignature": signature or UNSIGNED}


def _object(arguments: str) -> Any:
    """The arguments as the object that Google's clients read; what a model wrote otherwise is told under a name."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {"arguments": arguments}
    return value if isinstance(value, dict) else {"arguments": value}


class GeminiWriter:
    """See `StreamWriter`: canonical events as events of Gemini's."""

    __slots__ = ("_after", "_calls", "_envelope")

    def __init__(self, model: str, call_id: str) -> None:
        self._envelope = b'"modelVersion":%b,"responseId":%b}\n\n' % (_encode(model), _encode(call_id))
        self._after = b'],"role":"model"},"index":%d}],' + self._envelope.replace(b"%", b"%%")
        self._calls: dict[tuple[int, int], tuple[ToolStarted, list[str]]] = {}
        """By choice and index: the call, and the pieces of its arguments."""

    def write(self, event: Event) -> bytes:
        if isinstance(event, (TextDelta, RefusalDelta)):
            return self._piece(b'{"text":%b}' % _encode(event.text), event.choice)
        if isinstance(event, ToolDelta):
            self._calls[event.choice, event.index][1].append(event.arguments)
        elif isinstance(event, ThinkingDelta):
            return self._piece(b'{"text":%b,"thought":true}' % _encode(event.text), event.choice)
        elif isinstance(event, ToolStarted):
            self._calls[event.choice, event.index] = (event, [])
        elif isinstance(event, ThinkingSigned):
            thought = Thinking(signature=event.signature, vendor=event.vendor, redacted=event.redacted)
            return self._piece(_encode(_part(thought)), event.choice)
        return b""

    def finish(self, endings: dict[int, Ending], usage: Usage | None, service_tier: str, cost_usd: str) -> bytes:
        calls: dict[int, list[Any]] = {}
        for (choice, _), (call, pieces) in sorted(self._calls.items()):
            part = _call(call.id, call.name, "".join(pieces), call.signature)
            calls.setdefault(choice, []).append(part)
        unsaid = Ending(reason="end")
        candidates = [
            _ended(choice, calls.get(choice, []), endings.get(choice, unsaid))
            for choice in sorted({*endings, *calls} or {0})
        ]
        used = b'"usageMetadata":%b,' % _encode(usage_of(usage, cost_usd)) if usage is not None else b""
        return b'data: {"candidates":%b,%b%b' % (_encode(candidates), used, self._envelope)

    def _piece(self, part: bytes, choice: int) -> bytes:
        return b'data: {"candidates":[{"content":{"parts":[' + part + self._after % choice
