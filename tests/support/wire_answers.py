"""Answers and streams as they are on the wire, with about everything in them that each dialect has."""

import json
from typing import Any

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


def stream_of(dialect: str, events: list[tuple[str, Any]]) -> bytes:
    """The bytes of a stream, to its end."""
    frames = [
        (f"event: {kind}\n" if kind else "") + f"data: {json.dumps(payload, ensure_ascii=False)}\n\n"
        for kind, payload in events
    ]
    return "".join([*frames, "data: [DONE]\n\n" * (dialect == "openai")]).encode()
