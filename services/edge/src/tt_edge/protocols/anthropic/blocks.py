"""Canonical turns as Anthropic's messages: roles alternate, results of tools come first, nothing is empty, every id is one it takes.

What Anthropic would refuse for its form alone is repaired here; what it has no words for raises Inexpressible.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from itertools import chain, count
from typing import Any, Final

import msgspec

from tt_edge.protocols.anthropic.thinking import is_own
from tt_edge.protocols.canonical.request import (
    Audio,
    Block,
    CacheMark,
    ChatRequest,
    Document,
    Image,
    Inexpressible,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

Json = dict[str, Any]
TOOL_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF: Final = "application/pdf"
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def system_of(asked: ChatRequest) -> list[Json]:
    """The system prompt's blocks."""
    return [block for text in asked.system for block in _text(text)]


def messages_of(asked: ChatRequest) -> list[Json]:
    """The messages. Raises Inexpressible."""
    messages: list[Json] = []
    ids = _Ids()
    for turn in asked.turns:
        blocks = [block for part in turn.blocks for block in _blocks(part, ids)]
        if not blocks:
            continue
        if messages and messages[-1]["role"] == turn.role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": turn.role, "content": blocks})
    for message in messages:
        if message["role"] == "user":
            message["content"].sort(key=lambda block: block["type"] != "tool_result")
    if not messages:
        raise Inexpressible("turns", "nothing is said in them.")
    last = messages[-1]["content"][-1]
    if messages[-1]["role"] == "assistant" and last["type"] == "text":
        last["text"] = last["text"].rstrip()  # a beginning for the model to go on with
    return messages


def marked(block: Json, cache: CacheMark | None) -> Json:
    """The block as the end of a cached prefix, if it is one."""
    if cache is not None:
        block["cache_control"] = {"type": "ephemeral", **({"ttl": "1h"} if cache == "1h" else {})}
    return block


def marks_an_hour(asked: ChatRequest) -> bool:
    """Whether anything is to be cached for an hour."""
    blocks = [block for turn in asked.turns for block in turn.blocks]
    within = [part for block in blocks if isinstance(block, ToolResult) for part in block.content]
    return any(getattr(one, "cache", None) == "1h" for one in (*asked.system, *asked.tools, *blocks, *within))


class _Ids:
    """Ids that Anthropic takes: of its letters, and each call's its own. Some providers count the calls of every turn from 0 again."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._calls: dict[str, str] = {}
        """By the client's id: that of its last call."""

    def of_call(self, call_id: str) -> str:
        plain = tool_id(call_id)
        told = next(name for name in chain([plain], numbered(plain)) if name not in self._told)
        self._told.add(told)
        self._calls[call_id] = told
        return told

    def of_result(self, call_id: str) -> str:
        return self._calls.get(call_id) or tool_id(call_id)


def _blocks(block: Block, ids: _Ids) -> Iterator[Json]:
    match block:
        case Text():
            yield from _text(block)
        case Image():
            yield _image(block)
        case Document():
            yield _document(block)
        case Audio():
            raise Inexpressible("turns", "Claude takes no audio.")
        case Thinking() if not is_own(block):
            return  # another vendor's signature would be refused
        case Thinking() if block.redacted:
            yield {"type": "redacted_thinking", "data": block.signature}
        case Thinking():
            yield {"type": "thinking", "thinking": block.text, "signature": block.signature}
        case ToolUse():
            call = {"type": "tool_use", "id": ids.of_call(block.id), "name": block.name, "input": _input(block)}
            yield marked(call, block.cache)
        case ToolResult():
            yield _result(block, ids)


def _text(text: Text) -> Iterator[Json]:
    if text.text.strip():
        yield marked({"type": "text", "text": text.text}, text.cache)


def _image(image: Image) -> Json:
    if image.url:
        return marked({"type": "image", "source": {"type": "url", "url": image.url}}, image.cache)
    if image.media_type not in IMAGE_TYPES:
        raise Inexpressible("turns", f"pictures must be {', '.join(IMAGE_TYPES)}.")
    source = {"type": "base64", "media_type": image.media_type, "data": image.data}
    return marked({"type": "image", "source": source}, image.cache)


def _document(document: Document) -> Json:
    if document.url:
        source: Json = {"type": "url", "url": document.url}
    elif document.text:
        source = {"type": "text", "media_type": "text/plain", "data": document.text}
    elif document.media_type == PDF:
        source = {"type": "base64", "media_type": PDF, "data": document.data}
    elif document.media_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": _decoded(document.data)}
    else:
        raise Inexpressible("turns", "documents must be PDF or text.")
    title = {"title": document.title} if document.title else {}
    return marked({"type": "document", "source": source, **title}, document.cache)


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Inexpressible("turns", "a text document must be base64 of UTF-8.") from None


def _result(result: ToolResult, ids: _Ids) -> Json:
    content = [block for part in result.content for block in _blocks(part, ids)]
    block: Json = {"type": "tool_result", "tool_use_id": ids.of_result(result.id)}
    if content:
        block["content"] = content
    if result.is_error:
        block["is_error"] = True
    return marked(block, result.cache)


def numbered(name: str) -> Iterator[str]:
    """The name with 2, 3 and so on behind it."""
    return (f"{name}_{number}" for number in count(2))


def tool_id(call_id: str) -> str:
    """An id that Anthropic takes, the same for a call and its result."""
    return call_id if TOOL_ID.fullmatch(call_id) else f"toolu_{hashlib.sha256(call_id.encode()).hexdigest()[:24]}"


def _input(call: ToolUse) -> msgspec.Raw:
    text = call.arguments.strip() or "{}"
    try:
        _object_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise Inexpressible("turns", f"the arguments of the call '{call.name}' are no JSON object.") from None
    return msgspec.Raw(text.encode())
