"""Anthropic-dialect providers as the provider's side of a translation: the request. What comes back is read in `reader`."""

import re
from typing import Any, Final

import msgspec

from tt_edge.clients.answers import UpstreamRequest
from tt_edge.protocols.anthropic.blocks import marked, marks_an_hour, messages_of, system_of
from tt_edge.protocols.anthropic.reader import AnthropicReader, read_answer
from tt_edge.protocols.anthropic.request import VERSION
from tt_edge.protocols.anthropic.thinking import thinking_of
from tt_edge.protocols.canonical.answer import ChatAnswer
from tt_edge.protocols.canonical.request import ChatRequest, Inexpressible, Tool
from tt_edge.protocols.errors import refusal_message
from tt_edge.protocols.port import Attempted

Json = dict[str, Any]
TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
TEMPERATURE_MAX: Final = 1.0
SCHEMAS_WITHIN: Final = ("properties", "$defs", "definitions")
HEADERS: Final = (("anthropic-version", VERSION),)


class AnthropicProvider:
    """See `ProviderSide`."""

    def outgoing(self, asked: ChatRequest, attempted: Attempted) -> UpstreamRequest:
        _check(asked)
        limit = min(asked.output_limit or attempted.output_limit_max, attempted.output_limit_max)
        if attempted.output_limit is not None:
            limit = min(limit, attempted.output_limit)
        thinking, effort = thinking_of(asked, attempted.upstream_model, limit)
        body: Json = {"model": attempted.upstream_model, "max_tokens": limit, "messages": messages_of(asked)}
        optional: Json = {
            "system": system_of(asked) or None,
            "stream": asked.stream or None,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "top_k": asked.top_k,
            "stop_sequences": list(asked.stop) or None,
            "thinking": thinking,
            "output_config": _output_config(asked, effort) or None,
            "metadata": {"user_id": asked.end_user} if asked.end_user is not None else None,
            "service_tier": "standard_only" if asked.service_tier == "standard" else None,
            "tools": [_tool(tool) for tool in _offered(asked)] or None,
            "tool_choice": _tool_choice(asked) if asked.tools else None,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        return UpstreamRequest("/messages", msgspec.json.encode(body), HEADERS)

    def answer(self, body: bytes, asked: ChatRequest) -> ChatAnswer | None:
        return read_answer(body, hour_cache=marks_an_hour(asked))

    def reader(self, asked: ChatRequest) -> AnthropicReader:
        return AnthropicReader(hour_cache=marks_an_hour(asked))

    def refusal_message(self, status: int, body: bytes) -> str:
        return refusal_message(status, body)


def _check(asked: ChatRequest) -> None:
    """Raises Inexpressible for what Claude lacks."""
    if asked.choices > 1:
        raise Inexpressible("choices", "Claude gives one answer to a request.")
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if getattr(asked, name) is not None:
            raise Inexpressible(name, "Claude doesn't have it.")
    if asked.temperature is not None and asked.temperature > TEMPERATURE_MAX:
        raise Inexpressible("temperature", "Claude takes 0 to 1.")
    if not all(sequence.strip() for sequence in asked.stop):
        raise Inexpressible("stop", "Claude needs more than white space in each.")
    if asked.service_tier not in (None, "standard"):
        raise Inexpressible("service_tier", "Claude has no such tier.")
    if asked.format is not None and asked.format.schema is None:
        raise Inexpressible("format", "Claude needs a JSON schema.")
    for tool in asked.tools:
        if not TOOL_NAME.fullmatch(tool.name):
            raise Inexpressible("tools", f"the name '{tool.name}' may only have letters, digits, _ and -.")


def _output_config(asked: ChatRequest, effort: str | None) -> Json:
    config: Json = {"effort": effort} if effort is not None else {}
    if asked.format is not None and asked.format.schema is not None:
        config["format"] = {"type": "json_schema", "schema": closed(asked.format.schema)}
    return config


def closed(schema: Any) -> Any:
    """The schema with every object closed to unnamed properties, as Anthropic insists that output schemas say."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shut: Json = {}
    for name, value in schema.items():
        if name in SCHEMAS_WITHIN and isinstance(value, dict):
            shut[name] = {key: closed(inner) for key, inner in value.items()}
        else:
            shut[name] = value if name in ("enum", "const", "default", "examples") else closed(value)
    if shut.get("type") == "object" or "properties" in shut:
        shut["additionalProperties"] = False
    return shut


def _offered(asked: ChatRequest) -> list[Tool]:
    """The tools among which the model may choose: a choice among some is the same as offering only those."""
    choice = asked.tool_choice
    if choice is None or choice.mode == "tool" or not choice.names:
        return list(asked.tools)
    return [tool for tool in asked.tools if tool.name in choice.names]


def _tool(tool: Tool) -> Json:
    schema = tool.schema if tool.schema is not None else {"type": "object", "properties": {}}
    described: Json = {"name": tool.name}
    if tool.description:
        described["description"] = tool.description
    described["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
    if tool.strict:
        described["strict"] = True
    return marked(described, tool.cache)


def _tool_choice(asked: ChatRequest) -> Json | None:
    choice = asked.tool_choice
    one = {"disable_parallel_tool_use": True} if asked.parallel_tools is False else {}
    if choice is None:
        return {"type": "auto", **one} if one else None
    if choice.mode == "none":
        return {"type": "none"}
    name = {"name": choice.names[0]} if choice.mode == "tool" else {}
    return {"type": choice.mode, **name, **one}
