"""What this gateway told an OpenAI client of other vendors' thoughts, taken out again where the chat goes on with an OpenAI model.

Clients send messages back as they came; OpenAI refuses one that has a field it doesn't know. Never touches what it did not make itself:
`reasoning_content` alone is DeepSeek's, `reasoning_details` of other formats are OpenRouter's.
"""

from typing import Any, Final

import msgspec

from tt_edge.protocols.bodies import value_of

UNSIGNED: Final = "none"
"""The format of a thought that nobody signed."""
FORMATS: Final = ("anthropic", "gemini", UNSIGNED)
MARKS: Final = (b'"reasoning_details"', b'"extra_content"')
GOOGLES: Final = "gemini"
"""In the name of a model that Google serves in OpenAI's dialect: it wants its signatures back."""


def without_foreign_thoughts(raw: msgspec.Raw, upstream_model: str) -> msgspec.Raw:
    """The messages for a provider of this dialect; as they are where they hold nothing of the kind."""
    text = bytes(raw)
    if not any(mark in text for mark in MARKS):
        return raw
    messages: list[Any] = value_of(raw, "messages")
    changed = False
    for message in messages:
        if isinstance(message, dict):
            changed |= _thoughts_removed(message)
            if GOOGLES not in upstream_model:
                changed |= _signatures_removed(message.get("tool_calls"))
    return msgspec.Raw(msgspec.json.encode(messages)) if changed else raw


def _thoughts_removed(message: dict[str, Any]) -> bool:
    details = message.get("reasoning_details")
    if not isinstance(details, list) or not any(_is_ours(detail) for detail in details):
        return False
    for name in ("reasoning_details", "reasoning_content"):
        message.pop(name, None)
    return True


def _is_ours(detail: Any) -> bool:
    return isinstance(detail, dict) and detail.get("format") in FORMATS


def _signatures_removed(calls: Any) -> bool:
    signed = (
        [call for call in calls if isinstance(call, dict) and "extra_content" in call]
        if isinstance(calls, list)
        else []
    )
    for call in signed:
        del call["extra_content"]
    return bool(signed)
