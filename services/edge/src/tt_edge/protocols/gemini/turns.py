"""Gemini's contents as canonical turns. Calls without an id get one, and responses find their calls by id or by name, in order.

A model's pieces as a stream delivered them, which clients send back one by one, become whole blocks again: that is how a thought and its
signature stay one.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.canonical.read import Json, object_at, one_of, only, text_at
from tt_edge.protocols.canonical.request import (
    Audio,
    Block,
    Document,
    Image,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from tt_edge.protocols.gemini.fields import fields_of, items_at
from tt_edge.protocols.gemini.seals import unsealed

PART: Final = frozenset(
    {"text", "thought", "thoughtSignature", "inlineData", "fileData", "functionCall", "functionResponse"}
)
PART_HINTS: Final = frozenset({"mediaResolution", "partMetadata"})
ROLES: Final = ("user", "model", "function")
GOOGLES_FILES: Final = ("gs://", "https://generativelanguage.googleapis.com/")
TEXTS: Final = ("text/", "application/json", "application/xml")
PLAIN_KEYS: Final = ("output", "result")
_encode = msgspec.json.encode


def read_turns(contents: list[tuple[Any, str]]) -> tuple[Turn, ...]:
    """Raises invalid_request naming the part that can't be translated."""
    calls = _Calls()
    turns: list[Turn] = []
    for value, path in contents:
        content = fields_of(value, path, frozenset({"role", "parts"}))
        role = one_of(content.get("role", "user"), f"{path}.role", ROLES)
        blocks = [
            block
            for part, where in items_at(content.get("parts"), f"{path}.parts")
            for block in _blocks(fields_of(part, where, PART, PART_HINTS), where, calls)
        ]
        if role != "model":
            turns.append(Turn(role="user", blocks=tuple(blocks)))
        elif turns and turns[-1].role == "assistant":
            turns[-1] = Turn(role="assistant", blocks=_joined([*turns[-1].blocks, *blocks]))
        else:
            turns.append(Turn(role="assistant", blocks=_joined(blocks)))
    return tuple(turns)


class _Calls:
    """The calls that were made, and which of them have no response yet."""

    def __init__(self) -> None:
        self._made = 0
        self._waiting: list[tuple[str, str]] = []
        """Id and name."""

    def make(self, call: Json, path: str) -> tuple[str, str]:
        self._made += 1
        name = text_at(call.get("name"), f"{path}.name")
        call_id = text_at(call.get("id") or f"call_{self._made}", f"{path}.id")
        self._waiting.append((call_id, name))
        return call_id, name

    def answer(self, response: Json, path: str) -> tuple[str, str]:
        """Id and name of the call that this answers; its own where no such call was made."""
        name = text_at(response.get("name", ""), f"{path}.name")
        given = text_at(response.get("id") or "", f"{path}.id")
        for waiting in self._waiting:
            if waiting[0] == given or (not given and waiting[1] == name):
                self._waiting.remove(waiting)
                return waiting
        self._made += 1
        return given or f"call_{self._made}", ""


def _joined(blocks: list[Block]) -> tuple[Block, ...]:
    """Neighbouring pieces of a text or of a thought as one; a signature ends its thought."""
    whole: list[Block] = []
    for block in blocks:
        last = whole[-1] if whole else None
        if isinstance(block, Text) and isinstance(last, Text):
            whole[-1] = Text(text=last.text + block.text)
        elif isinstance(block, Thinking) and isinstance(last, Thinking) and not last.signature and not block.redacted:
            whole[-1] = msgspec.structs.replace(block, text=last.text + block.text)
        else:
            whole.append(block)
    return tuple(whole)


def _blocks(part: Json, path: str, calls: _Calls) -> Iterator[Block]:
    signature = text_at(part.get("thoughtSignature", ""), f"{path}.thoughtSignature")
    thought = part.get("thought") is True
    if "functionCall" in part:
        call = fields_of(part["functionCall"], f"{path}.functionCall", frozenset({"id", "name", "args"}))
        call_id, name = calls.make(call, f"{path}.functionCall")
        arguments = _encode(object_at(call.get("args", {}), f"{path}.functionCall.args")).decode()
        seal = unsealed(signature, redacted=True)
        yield ToolUse(
            id=call_id, name=name, arguments=arguments, signature=signature if seal.vendor == "gemini" else ""
        )
        return
    if "functionResponse" in part:
        yield _result(part["functionResponse"], f"{path}.functionResponse", calls)
        return
    text = text_at(part.get("text", ""), f"{path}.text")
    if thought:
        seal = unsealed(signature, redacted=False) if signature else None
        yield Thinking(
            text=text,
            signature=seal.signature if seal else "",
            vendor=seal.vendor if seal else None,
            redacted=seal.redacted if seal else False,
        )
        return
    if text:
        yield Text(text=text)
    yield from _media(part, path)
    if signature:
        seal = unsealed(signature, redacted=True)
        yield Thinking(signature=seal.signature, vendor=seal.vendor, redacted=True)


def _result(value: Any, path: str, calls: _Calls) -> ToolResult:
    known = frozenset({"id", "name", "response", "parts"})
    response = fields_of(value, path, known, frozenset({"willContinue", "scheduling"}))
    call_id, name = calls.answer(response, path)
    said = object_at(response.get("response", {}), f"{path}.response")
    content: list[Text | Image | Document] = [Text(text=_said(said))]
    for part, where in items_at(response.get("parts"), f"{path}.parts"):
        media = fields_of(part, where, frozenset({"inlineData", "fileData"}))
        rule = "a result holds text, pictures and files"
        content += [only(block, (Text, Image, Document), where, rule) for block in _media(media, where)]
    is_error = set(said) == {"error"}
    return ToolResult(id=call_id, name=name, content=tuple(content), is_error=is_error)


def _said(response: Json) -> str:
    """The text of a response that is nothing but a text, under one of the keys that Google names; else its JSON."""
    if len(response) == 1:
        [(key, value)] = response.items()
        if isinstance(value, str) and key in (*PLAIN_KEYS, "error"):
            return value
    return _encode(response).decode()


def _media(part: Json, path: str) -> Iterator[Block]:
    if "inlineData" in part:
        path = f"{path}.inlineData"
        blob = fields_of(part["inlineData"], path, frozenset({"mimeType", "data", "displayName"}))
        kind = text_at(blob.get("mimeType"), f"{path}.mimeType")
        data = text_at(blob.get("data"), f"{path}.data").replace("-", "+").replace("_", "/")
        if kind.startswith("image/"):
            yield Image(media_type=kind, data=data)
        elif kind.startswith("audio/"):
            yield Audio(format=kind.removeprefix("audio/").removeprefix("x-").replace("mpeg", "mp3"), data=data)
        elif kind == "application/pdf":
            yield Document(media_type=kind, data=data, title=text_at(blob.get("displayName", ""), path))
        elif kind.startswith(TEXTS):
            yield Document(media_type=kind, text=_decoded(data, path), title=text_at(blob.get("displayName", ""), path))
        else:
            raise invalid_request(f"'{path}.mimeType': {kind} can't be translated for this model.", f"{path}.mimeType")
    elif "fileData" in part:
        path = f"{path}.fileData"
        file = fields_of(part["fileData"], path, frozenset({"mimeType", "fileUri"}), frozenset({"displayName"}))
        uri = text_at(file.get("fileUri"), f"{path}.fileUri")
        kind = text_at(file.get("mimeType", ""), f"{path}.mimeType")
        if uri.startswith(GOOGLES_FILES) or not uri.startswith(("http://", "https://")):
            message = f"'{path}.fileUri': a file that Google keeps can't be read by this model; send its data."
            raise invalid_request(message, f"{path}.fileUri")
        yield Image(media_type=kind, url=uri) if kind.startswith("image/") else Document(media_type=kind, url=uri)


def _decoded(data: str, path: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid_request(f"'{path}.data' must be text in base64.", f"{path}.data") from None
