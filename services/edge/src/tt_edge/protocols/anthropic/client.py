"""Anthropic's messages as the client's side of a translation: canonical answers as whole messages. Streams are written in `writer`."""

from typing import Any, Final

import msgspec

from tt_edge.protocols.anthropic.canonical import canonical_of
from tt_edge.protocols.anthropic.signatures import carried
from tt_edge.protocols.anthropic.writer import AnthropicWriter, ended, usage_of
from tt_edge.protocols.canonical.answer import ChatAnswer, Choice
from tt_edge.protocols.canonical.request import ChatRequest, Text, Thinking, ToolUse
from tt_edge.protocols.port import Request

FIELDS: Final = {
    "output_limit": "max_tokens",
    "stop": "stop_sequences",
    "format": "output_config.format",
    "reasoning": "thinking",
    "end_user": "metadata.user_id",
    "parallel_tools": "tool_choice.disable_parallel_tool_use",
    "turns": "messages",
}
Json = dict[str, Any]
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class AnthropicClient:
    """See `ClientSide`."""

    def canonical(self, request: Request) -> ChatRequest:
        return canonical_of(request)

    def field(self, canonical: str) -> str:
        return FIELDS.get(canonical, canonical)

    def whole(self, answer: ChatAnswer, request: Request, model: str, call_id: str, cost_usd: str) -> bytes:
        choice = answer.choices[0]
        calls = any(isinstance(block, ToolUse) for block in choice.blocks)
        body: Json = {
            "id": f"msg_{call_id}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": _content(choice),
            **ended(choice.ending, refused=bool(choice.refusal), calls=calls),
            "usage": usage_of(answer.usage, answer.service_tier, cost_usd),
        }
        return msgspec.json.encode(body)

    def writer(self, request: Request, call_id: str) -> AnthropicWriter:
        return AnthropicWriter(request.model, call_id)


def _content(choice: Choice) -> list[Json]:
    blocks: list[Json] = []
    for block in choice.blocks:
        match block:
            case Text():
                blocks.append({"type": "text", "text": block.text})
            case Thinking() if block.redacted:
                blocks.append({"type": "redacted_thinking", "data": carried(block.signature, block.vendor)})
            case Thinking():
                signature = carried(block.signature, block.vendor)
                blocks.append({"type": "thinking", "thinking": block.text, "signature": signature})
            case ToolUse():
                if block.signature:
                    signature = carried(block.signature, "gemini", "call")
                    blocks.append({"type": "thinking", "thinking": "", "signature": signature})
                blocks.append(
                    {"type": "tool_use", "id": block.id, "name": block.name, "input": _input(block.arguments)}
                )
    if choice.refusal:
        blocks.append({"type": "text", "text": choice.refusal})
    return blocks


def _input(arguments: str) -> Any:
    """An object; arguments that are none, which a model can make, are kept as one's only field."""
    try:
        _object_decoder.decode(arguments)
    except (msgspec.MsgspecError, RecursionError):
        return {"_unparsed": arguments}
    return msgspec.Raw(arguments.encode())
