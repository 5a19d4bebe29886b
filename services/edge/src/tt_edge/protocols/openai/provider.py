"""OpenAI-compatible providers as the provider's side of a translation."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tt_edge.clients.answers import UpstreamRequest
from tt_edge.protocols.canonical.answer import ChatAnswer
from tt_edge.protocols.canonical.request import (
    Audio,
    Block,
    ChatRequest,
    Document,
    Image,
    Inexpressible,
    Reasoning,
    Text,
    Thinking,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from tt_edge.protocols.errors import refusal_message
from tt_edge.protocols.openai.reader import OpenAIReader, read_answer
from tt_edge.protocols.port import Attempted

STOPS_MAX: Final = 4
END_USER_CHARS_MAX: Final = 64
THOUGHTLESS: Final = re.compile(r"gpt-(3\.5|4)")
"""OpenAI's own models before its thinking ones: they refuse an effort, which coding clients send whatever the model is."""
AUDIO_FORMATS: Final = ("wav", "mp3")
LOW_BUDGET_TOKENS: Final = 4096
MEDIUM_BUDGET_TOKENS: Final = 16_384
Json = dict[str, Any]


class OpenAIProvider:
    """See `ProviderSide`."""

    def outgoing(self, asked: ChatRequest, attempted: Attempted) -> UpstreamRequest:
        if asked.top_k is not None:
            raise Inexpressible("top_k", "OpenAI-compatible models don't have it.")
        if len(asked.stop) > STOPS_MAX:
            raise Inexpressible("stop", f"at most {STOPS_MAX} stop sequences.")
        body: Json = {"model": attempted.upstream_model, "messages": list(_messages(asked))}
        if asked.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        limit = attempted.output_limit if attempted.output_limit is not None else asked.output_limit
        optional = {
            "max_completion_tokens": limit,
            "n": asked.choices if asked.choices > 1 else None,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "stop": list(asked.stop) or None,
            "seed": asked.seed,
            "frequency_penalty": asked.frequency_penalty,
            "presence_penalty": asked.presence_penalty,
            "response_format": _format(asked),
            "reasoning_effort": _effort(asked.reasoning, attempted.upstream_model),
            "user": _end_user(asked.end_user),
            "service_tier": "default" if asked.service_tier == "standard" else asked.service_tier,
            "parallel_tool_calls": asked.parallel_tools if asked.tools else None,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        if asked.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        **({"description": tool.description} if tool.description else {}),
                        **({"parameters": _parameters(tool.schema)} if tool.schema is not None else {}),
                        **({"strict": tool.strict} if tool.strict is not None else {}),
                    },
                }
                for tool in asked.tools
            ]
            if asked.tool_choice is not None:
                body["tool_choice"] = _tool_choice(asked.tool_choice)
        return UpstreamRequest("/chat/completions", msgspec.json.encode(body))

    def answer(self, body: bytes, asked: ChatRequest) -> ChatAnswer | None:
        return read_answer(body)

    def reader(self, asked: ChatRequest) -> "OpenAIReader":
        return OpenAIReader()

    def refusal_message(self, status: int, body: bytes) -> str:
        return refusal_message(status, body)


def _parameters(schema: dict[str, object]) -> dict[str, object]:
    """OpenAI refuses an object without `properties`, which is how many a tool says that it takes nothing."""
    plain = schema.get("type", "object") == "object" and not schema.keys() & {"properties", "$ref", "anyOf"}
    return {"type": "object", "properties": {}, **schema} if plain else schema


def _format(asked: ChatRequest) -> Json | None:
    if asked.format is None:
        return None
    if asked.format.schema is None:
        return {"type": "json_object"}
    described: Json = {"name": asked.format.name, "schema": asked.format.schema}
    if asked.format.strict is not None:
        described["strict"] = asked.format.strict
    return {"type": "json_schema", "json_schema": described}


def _end_user(name: str | None) -> str | None:
    """Claude Code's are longer than OpenAI takes: those are hashed, so that each stays one of its own."""
    if name is None or len(name) <= END_USER_CHARS_MAX:
        return name
    return hashlib.sha256(name.encode()).hexdigest()


def _effort(reasoning: Reasoning | None, model: str) -> str | None:
    """By budget where no effort was named. A model that can't think is not told to, nor one to think less that can't."""
    if reasoning is None or reasoning.off or THOUGHTLESS.match(model):
        return None
    if reasoning.effort is not None:
        return reasoning.effort
    budget = reasoning.budget_tokens
    if budget is None:
        return "medium"
    return "low" if budget <= LOW_BUDGET_TOKENS else "medium" if budget <= MEDIUM_BUDGET_TOKENS else "high"


def _tool_choice(choice: ToolChoice) -> Any:
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.names[0]}}
    mode = "required" if choice.mode == "any" else choice.mode
    if not choice.names:
        return mode
    tools = [{"type": "function", "function": {"name": name}} for name in choice.names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def _messages(asked: ChatRequest) -> Iterator[Json]:
    if asked.system:
        yield {"role": "system", "content": "\n\n".join(text.text for text in asked.system)}
    hoisted: list[Json] = []
    for turn in asked.turns:
        if hoisted and not (turn.blocks and isinstance(turn.blocks[0], ToolResult)):
            yield {"role": "user", "content": hoisted}
            hoisted = []
        yield from _assistant(turn) if turn.role == "assistant" else _user(turn, hoisted)
    if hoisted:
        yield {"role": "user", "content": hoisted}


def _assistant(turn: Turn) -> Iterator[Json]:
    """Thoughts are left out: OpenAI's chat takes none back."""
    text = "".join(block.text for block in turn.blocks if isinstance(block, Text))
    calls = [
        {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": block.arguments}}
        for block in turn.blocks
        if isinstance(block, ToolUse)
    ]
    if text or calls:
        yield {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}


def _user(turn: Turn, hoisted: list[Json]) -> Iterator[Json]:
    """Results of tools first, each a message; their pictures wait in `hoisted` until all results in a row were said."""
    parts: list[Json] = []
    for block in turn.blocks:
        if isinstance(block, ToolResult):
            yield _result(block, hoisted)
        else:
            parts += _parts(block)
    if not parts:
        return
    parts = [*hoisted, *parts]
    hoisted.clear()
    plain = len(parts) == 1 and parts[0]["type"] == "text"
    yield {"role": "user", "content": parts[0]["text"] if plain else parts}


def _result(result: ToolResult, hoisted: list[Json]) -> Json:
    texts: list[str] = ["Error:"] if result.is_error else []
    for block in result.content:
        if isinstance(block, Text):
            texts.append(block.text)
        else:
            if not hoisted or hoisted[-1].get("text") != _picture_of(result):
                hoisted.append({"type": "text", "text": _picture_of(result)})
            hoisted += _parts(block)
    if not texts and result.content:
        texts.append("The result is attached to the next message.")
    return {"role": "tool", "tool_call_id": result.id, "content": "\n".join(texts)}


def _picture_of(result: ToolResult) -> str:
    return f"Attached to the result of tool call {result.id}:"


def _parts(block: Block) -> list[Json]:
    match block:
        case Text():
            return [{"type": "text", "text": block.text}]
        case Image():
            url = block.url or f"data:{block.media_type};base64,{block.data}"
            return [
                {"type": "image_url", "image_url": {"url": url, **({"detail": block.detail} if block.detail else {})}}
            ]
        case Document() if block.text:
            return [{"type": "text", "text": f"{block.title}\n{block.text}" if block.title else block.text}]
        case Document() if block.data:
            data = f"data:{block.media_type};base64,{block.data}"
            return [{"type": "file", "file": {"filename": block.title or "document", "file_data": data}}]
        case Document():
            raise Inexpressible("turns", "a document by URL; send its content.")
        case Audio():
            if block.format not in AUDIO_FORMATS:
                raise Inexpressible("turns", f"audio must be {' or '.join(AUDIO_FORMATS)}.")
            return [{"type": "input_audio", "input_audio": {"data": block.data, "format": block.format}}]
        case Thinking() | ToolUse() | ToolResult():
            return []
