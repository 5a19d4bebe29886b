"""Requests, answers and streams as they are on the wire, with about everything in them that each protocol has."""

from typing import Any

PNG = "iVBORw0KGgo="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
DATA_URL = f"data:image/png;base64,{PNG}"

_OPENAI: dict[str, Any] = {
    "model": "asked",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me see.",
            "reasoning_content": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "c2ln", "format": "gemini", "index": 0},
                {"type": "reasoning.encrypted", "data": "c2ln", "format": "anthropic", "index": 1},
            ],
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"city":"Oslo"}'},
                    "extra_content": {"google": {"thought_signature": "c2ln"}},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "4 degrees"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "5 degrees"},
        {"role": "developer", "content": "In English."},
        {"role": "user", "content": "And now?"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "look", "description": "Looks", "parameters": SCHEMA, "strict": True}}
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": False,
    "max_completion_tokens": 3000,
    "temperature": 1,
    "top_p": 0.9,
    "stop": ["END"],
    "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}},
    "reasoning_effort": "low",
    "user": "u1",
    "service_tier": "default",
    "metadata": {"a": "b"},
}
_RESPONSES: dict[str, Any] = {
    "model": "asked",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "In English."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": DATA_URL, "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "x",
        },
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"city":"Oslo"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "4 degrees"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Cold."}]},
        {"role": "user", "content": "And now?"},
    ],
    "tools": [{"type": "function", "name": "look", "description": "Looks", "parameters": SCHEMA, "strict": True}],
    "tool_choice": "required",
    "parallel_tool_calls": True,
    "max_output_tokens": 3000,
    "temperature": 1,
    "top_p": 0.9,
    "text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}},
    "reasoning": {"effort": "low", "summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
}
_ANTHROPIC: dict[str, Any] = {
    "model": "asked",
    "max_tokens": 3000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {
                    "type": "document",
                    "title": "a",
                    "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "c2ln"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"city": "Oslo"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "4 degrees"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    ],
                },
                {"type": "text", "text": "And now?", "cache_control": {"type": "ephemeral"}},
            ],
        },
    ],
    "tools": [{"name": "look", "description": "Looks", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "metadata": {"user_id": "u1"},
    "service_tier": "auto",
}
_GEMINI: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "What is this?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "1", "name": "look", "args": {"city": "Oslo"}}, "thoughtSignature": "c2ln"},
            ],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "1", "name": "look", "response": {"output": "4 degrees"}}}],
        },
        {"role": "model", "parts": [{"text": "Cold."}]},
        {"role": "user", "parts": [{"text": "And now?"}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "look", "description": "Looks", "parametersJsonSchema": SCHEMA}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "generationConfig": {
        "temperature": 1,
        "topP": 0.9,
        "maxOutputTokens": 3000,
        "stopSequences": ["END"],
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "low"},
    },
}
_ASK = {"role": "user", "content": "hi"}
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "openai": (_OPENAI, {"model": "asked", "messages": [_ASK]}),
    "responses": (_RESPONSES, {"model": "asked", "input": "hi"}),
    "anthropic": (_ANTHROPIC, {"model": "asked", "max_tokens": 100, "messages": [_ASK]}),
    "gemini": (_GEMINI, {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
}
"""By client: one with everything, and a small one."""

_OPENAI_USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 7,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
_ANTHROPIC_USAGE = {
    "input_tokens": 6,
    "output_tokens": 7,
    "cache_read_input_tokens": 3,
    "cache_creation_input_tokens": 2,
    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 0},
    "service_tier": "standard",
}
_GEMINI_USAGE = {
    "promptTokenCount": 9,
    "cachedContentTokenCount": 3,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 2,
    "totalTokenCount": 16,
    "trafficType": "ON_DEMAND",
}
_CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city":"Oslo"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
]
_MESSAGE = {
    "role": "assistant",
    "content": "Grüße \U0001f600",
    "reasoning_content": "hm",
    "refusal": None,
    "tool_calls": _CALLS,
}
_BLOCKS: list[Any] = [
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "c2ln"},
    {"type": "text", "text": "Grüße \U0001f600"},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"city": "Oslo"}},
    {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
]
_PARTS: list[Any] = [
    {"text": "hm", "thought": True},
    {"text": "Grüße \U0001f600", "thoughtSignature": "c2ln"},
    {"functionCall": {"name": "look", "args": {"city": "Oslo"}, "id": "1"}, "thoughtSignature": "c2ln"},
    {"functionCall": {"name": "look", "id": "2"}},
]
ANSWERS: dict[str, dict[str, Any]] = {
    "openai": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "upstream",
        "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "tool_calls", "logprobs": None}],
        "usage": _OPENAI_USAGE,
        "service_tier": "default",
    },
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "upstream",
        "content": _BLOCKS,
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": _ANTHROPIC_USAGE,
    },
    "gemini": {
        "candidates": [{"index": 0, "content": {"role": "model", "parts": _PARTS}, "finishReason": "STOP"}],
        "usageMetadata": _GEMINI_USAGE,
        "modelVersion": "upstream",
        "responseId": "r",
    },
}


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> tuple[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return "", {"id": "1", "object": "chat.completion.chunk", "model": "upstream", "choices": [choice], **more}


def _call(index: int, **function: str) -> dict[str, Any]:
    head = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def _block(index: int, block: dict[str, Any], *deltas: dict[str, Any]) -> list[tuple[str, Any]]:
    begun = {"type": "content_block_start", "index": index, "content_block": block}
    said = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    events = [begun, *said, {"type": "content_block_stop", "index": index}]
    return [(str(event["type"]), event) for event in events]


def _piece(*parts: Any, finish: str | None = None) -> tuple[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    if finish is not None:
        candidate["finishReason"] = finish
    return "", {"candidates": [candidate], "usageMetadata": _GEMINI_USAGE, "modelVersion": "upstream"}


_STARTED = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "upstream",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {**_ANTHROPIC_USAGE, "output_tokens": 1},
}
STREAMS: dict[str, list[tuple[str, Any]]] = {
    "openai": [
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"reasoning_content": "hm"}),
        _chunk({"content": "Grüße "}),
        _chunk({"content": "\U0001f600"}),
        _chunk(_call(0, name="look", arguments="")),
        _chunk(_call(0, arguments='{"city":')),
        _chunk(_call(1, name="look", arguments="{}")),
        _chunk(_call(0, arguments='"Oslo"}')),
        _chunk({}, "tool_calls"),
        (
            "",
            {"id": "1", "object": "chat.completion.chunk", "model": "upstream", "choices": [], "usage": _OPENAI_USAGE},
        ),
    ],
    "anthropic": [
        ("message_start", {"type": "message_start", "message": _STARTED}),
        *_block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": "c2ln"},
        ),
        *_block(1, {"type": "redacted_thinking", "data": "c2ln"}),
        *_block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Grüße \U0001f600"}),
        ("ping", {"type": "ping"}),
        *_block(
            3,
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"city":'},
            {"type": "input_json_delta", "partial_json": '"Oslo"}'},
        ),
        *_block(4, {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}}),
        (
            "message_delta",
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use", "stop_sequence": None},
                "usage": _ANTHROPIC_USAGE,
            },
        ),
        ("message_stop", {"type": "message_stop"}),
    ],
    "gemini": [
        _piece({"text": "hm", "thought": True}),
        _piece({"text": "Grüße "}),
        _piece({"text": "\U0001f600"}, _PARTS[2]),
        _piece(_PARTS[3]),
        _piece({"text": ""}, finish="STOP"),
    ],
}
"""By dialect: the name and the data of each event."""
