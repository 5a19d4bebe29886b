"""The blocks of Anthropic's messages in the canonical form. Fields that mean something and have no form are refused by name.

An empty text says nothing and is left out; a thinking block that carries another vendor's signature of a call joins that call.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.anthropic.signatures import read_carried
from tt_edge.protocols.canonical.read import Json, bool_at, check_known, list_at, object_at, one_of, text_at
from tt_edge.protocols.canonical.request import (
    Block,
    CacheMark,
    Document,
    Image,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

FIELDS: Final = {
    "text": ("text", "citations"),
    "image": ("source",),
    "document": ("source", "title"),
    "search_result": ("content", "source", "title"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name", "input", "caller"),
    "tool_result": ("tool_use_id", "content", "is_error"),
}
"""By kind of block. Citations of an answer that is sent back, and who called a tool, change nothing."""
NEUTRAL: Final = {"citations": (None, {"enabled": False}), "context": (None, "")}
"""Fields of documents without a canonical form, with the values that ask for nothing."""
WITHIN_RESULTS: Final = ("text", "image", "document", "search_result")


class Contents:
    """Reads the blocks of one conversation; knows which call has which name."""

    def __init__(self, names: dict[str, str] | None = None) -> None:
        self._names: dict[str, str] = {} if names is None else names

    def blocks(self, value: Any, path: str) -> list[Block]:
        """Content as a string or an array of blocks. Raises invalid_request."""
        if isinstance(value, str):
            return [Text(text=value)] if value else []
        blocks: list[Block] = []
        signature = ""
        for at, item in enumerate(list_at(value, path)):
            where = f"{path}.{at}"
            for block in self._block(object_at(item, where), where):
                if isinstance(block, _CallSignature):
                    signature = block.signature
                    continue
                if isinstance(block, ToolUse) and signature:
                    block, signature = msgspec.structs.replace(block, signature=signature), ""
                blocks.append(block)
        return blocks

    def block(self, block: Json, path: str) -> list[Block]:
        """One block by itself. Raises invalid_request."""
        return [found for found in self._block(block, path) if not isinstance(found, _CallSignature)]

    def _block(self, block: Json, path: str) -> Iterator["Block | _CallSignature"]:
        kind = one_of(block.get("type"), f"{path}.type", FIELDS)
        known = {name: value for name, value in block.items() if value not in NEUTRAL.get(name, ())}
        check_known(known, (*FIELDS[kind], "type", "cache_control"), f"{path}.")
        match kind:
            case "tool_use":
                yield self._call(block, path)
            case "tool_result":
                yield self._result(block, path)
            case "thinking":
                yield _thought(block, path)
            case "redacted_thinking":
                kept = read_carried(text_at(block.get("data"), f"{path}.data"))
                yield Thinking(signature=kept.signature, vendor=kept.vendor, redacted=True)
            case _:
                yield from _shown(block, path)

    def _call(self, block: Json, path: str) -> ToolUse:
        call_id = text_at(block.get("id"), f"{path}.id")
        name = self._names[call_id] = text_at(block.get("name"), f"{path}.name")
        arguments = msgspec.json.encode(object_at(block.get("input"), f"{path}.input")).decode()
        return ToolUse(id=call_id, name=name, arguments=arguments, cache=mark_of(block))

    def _result(self, block: Json, path: str) -> ToolResult:
        call_id = text_at(block.get("tool_use_id"), f"{path}.tool_use_id")
        content: list[Text | Image | Document] = []
        value = block.get("content")
        if isinstance(value, str):
            content = [Text(text=value)] if value else []
        elif value is not None:
            for at, item in enumerate(list_at(value, f"{path}.content")):
                where = f"{path}.content.{at}"
                one_of(object_at(item, where).get("type"), f"{where}.type", WITHIN_RESULTS)
                content += _shown(item, where)
        failed = block.get("is_error")
        return ToolResult(
            id=call_id,
            name=self._names.get(call_id, ""),
            content=tuple(content),
            is_error=failed is not None and bool_at(failed, f"{path}.is_error"),
            cache=mark_of(block),
        )


class _CallSignature(msgspec.Struct, frozen=True):
    """A signature of the call that follows."""

    signature: str


def mark_of(block: Json) -> CacheMark | None:
    """The cache breakpoint behind a block or a tool."""
    control = block.get("cache_control")
    if not isinstance(control, dict):
        return None
    return "1h" if control.get("ttl") == "1h" else "5m"


def _thought(block: Json, path: str) -> Thinking | _CallSignature:
    kept = read_carried(text_at(block.get("signature") or "", f"{path}.signature"))
    if kept.of == "call":
        return _CallSignature(kept.signature)
    text = text_at(block.get("thinking"), f"{path}.thinking")
    return Thinking(text=text, signature=kept.signature, vendor=kept.vendor)


def _shown(block: Json, path: str) -> Iterator[Text | Image | Document]:
    """Text, pictures and documents, as they stand in turns and in results of tools."""
    mark = mark_of(block)
    match block["type"]:
        case "text":
            if text := text_at(block.get("text"), f"{path}.text"):
                yield Text(text=text, cache=mark)
        case "image":
            yield _image(object_at(block.get("source"), f"{path}.source"), f"{path}.source", mark)
        case "document":
            title = text_at(block.get("title") or "", f"{path}.title")
            yield _document(object_at(block.get("source"), f"{path}.source"), f"{path}.source", title, mark)
        case _:
            found = _joined(block.get("content"), f"{path}.content")
            title = f"{text_at(block.get('title'), f'{path}.title')} ({text_at(block.get('source'), f'{path}.source')})"
            yield Document(text=found, title=title, cache=mark)


def _image(source: Json, path: str, mark: CacheMark | None) -> Image:
    if one_of(source.get("type"), f"{path}.type", ("base64", "url")) == "url":
        return Image(url=text_at(source.get("url"), f"{path}.url"), cache=mark)
    media_type = text_at(source.get("media_type"), f"{path}.media_type")
    return Image(media_type=media_type, data=text_at(source.get("data"), f"{path}.data"), cache=mark)


def _document(source: Json, path: str, title: str, mark: CacheMark | None) -> Document:
    match one_of(source.get("type"), f"{path}.type", ("base64", "text", "url", "content")):
        case "url":
            return Document(url=text_at(source.get("url"), f"{path}.url"), title=title, cache=mark)
        case "text":
            return Document(text=text_at(source.get("data"), f"{path}.data"), title=title, cache=mark)
        case "content":
            return Document(text=_joined(source.get("content"), f"{path}.content"), title=title, cache=mark)
        case _:
            media_type = text_at(source.get("media_type"), f"{path}.media_type")
            data = text_at(source.get("data"), f"{path}.data")
            return Document(media_type=media_type, data=data, title=title, cache=mark)


def _joined(value: Any, path: str) -> str:
    """The texts of a document's own content."""
    if isinstance(value, str):
        return value
    texts: list[str] = []
    for at, item in enumerate(list_at(value, path)):
        if object_at(item, f"{path}.{at}").get("type") != "text":
            raise invalid_request(f"'{path}.{at}': only text can be translated here.", f"{path}.{at}")
        texts.append(text_at(item.get("text"), f"{path}.{at}.text"))
    return "\n".join(texts)
