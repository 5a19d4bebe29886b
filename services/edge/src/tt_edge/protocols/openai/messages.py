"""The messages of an OpenAI chat request as canonical turns, and the content of each. What has no form is refused by its place.

Fields of a message that say nothing to a model (`name`, `annotations`, whatever a client keeps beside its own messages) are left out.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final, cast

from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.anthropic.blocks import numbered
from tt_edge.protocols.anthropic.contents import Contents, mark_of
from tt_edge.protocols.canonical.read import Json, data_url, list_at, object_at, one_of, only, text_at
from tt_edge.protocols.canonical.request import (
    Audio,
    Block,
    CacheMark,
    Document,
    Image,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
    Vendor,
)

ANTHROPICS: Final = ("tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document")
"""Blocks that some coding clients send here as Anthropic has them, where the model's name says claude."""
ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
VENDORS: Final = ("openai", "anthropic", "gemini")


def messages_of(messages: list[Any]) -> tuple[list[Text], list[Turn]]:
    """What system messages say, wherever they stand, and the turns. Raises invalid_request."""
    reader = _Reader()
    for at, value in enumerate(messages):
        path = f"messages[{at}]"
        reader.read(object_at(value, path), path)
    return reader.system, reader.turns


class _Reader:
    """Reads the messages of one conversation; knows which call has which name."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self._names: dict[str, str] = {}
        self._old_calls: dict[str, str] = {}
        """The id of the last call of a function as calls were written in 2023, by the function's name."""

    def read(self, message: Json, path: str) -> None:
        role = one_of(message.get("role"), f"{path}.role", ROLES)
        if role in ("system", "developer"):
            where = f"{path}.content"
            blocks = self._content(message.get("content"), where)
            self.system += [only(block, (Text,), where, "a system message holds text alone") for block in blocks]
        elif role == "assistant":
            self.turns.append(Turn(role="assistant", blocks=tuple(self._assistant(message, path))))
        elif role == "user":
            blocks = self._content(message.get("content"), f"{path}.content")
            self.turns.append(Turn(role="user", blocks=tuple(blocks)))
        else:
            self.turns.append(Turn(role="user", blocks=(self._result(message, path, old=role == "function"),)))

    def _result(self, message: Json, path: str, *, old: bool) -> ToolResult:
        call_id = text_at(message.get("name" if old else "tool_call_id"), f"{path}.{'name' if old else 'tool_call_id'}")
        call_id = self._old_calls.get(call_id, call_id) if old else call_id
        where = f"{path}.content"
        content = [
            only(block, (Text, Image, Document), where, "a result holds text, pictures and files")
            for block in self._content(message.get("content"), where)
        ]
        return ToolResult(id=call_id, name=self._names.get(call_id, ""), content=tuple(content), cache=mark_of(message))

    def _assistant(self, message: Json, path: str) -> Iterator[Block]:
        if message.get("audio") is not None:
            raise invalid_request(f"'{path}.audio': a sound that OpenAI keeps can't be translated.", f"{path}.audio")
        for at, detail in enumerate(list_at(message.get("reasoning_details") or [], f"{path}.reasoning_details")):
            where = f"{path}.reasoning_details[{at}]"
            yield from _thought(object_at(detail, where), where)
        yield from self._content(message.get("content"), f"{path}.content")
        if message.get("refusal"):
            yield Text(text=text_at(message["refusal"], f"{path}.refusal"))
        if message.get("function_call") is not None:
            yield self._old_call(object_at(message["function_call"], f"{path}.function_call"), f"{path}.function_call")
        for at, value in enumerate(list_at(message.get("tool_calls") or [], f"{path}.tool_calls")):
            yield self._call(object_at(value, f"{path}.tool_calls[{at}]"), f"{path}.tool_calls[{at}]")

    def _call(self, call: Json, path: str) -> ToolUse:
        function = object_at(call.get("function"), f"{path}.function")
        call_id = text_at(call.get("id"), f"{path}.id")
        name = self._names[call_id] = text_at(function.get("name"), f"{path}.function.name")
        where = f"{path}.extra_content"
        extra = object_at(object_at(call.get("extra_content") or {}, where).get("google") or {}, f"{where}.google")
        return ToolUse(
            id=call_id,
            name=name,
            arguments=text_at(function.get("arguments") or "{}", f"{path}.function.arguments"),
            signature=text_at(extra.get("thought_signature") or "", f"{where}.google.thought_signature"),
        )

    def _old_call(self, function: Json, path: str) -> ToolUse:
        """As calls were written in 2023, one at a time and without an id: the name stands for it, numbered where it comes again."""
        name = text_at(function.get("name"), f"{path}.name")
        call_id = next(one for one in chain([name], numbered(name)) if one not in self._names)
        self._names[call_id] = name
        self._old_calls[name] = call_id
        arguments = text_at(function.get("arguments") or "{}", f"{path}.arguments")
        return ToolUse(id=call_id, name=name, arguments=arguments)

    def _content(self, value: Any, path: str) -> list[Block]:
        if value is None:
            return []
        if isinstance(value, str):
            return [Text(text=value)] if value else []
        blocks: list[Block] = []
        foreign = Contents(self._names)
        for at, item in enumerate(list_at(value, path)):
            where = f"{path}[{at}]"
            part = object_at(item, where)
            blocks += foreign.block(part, where) if part.get("type") in ANTHROPICS else _part(part, where)
        return blocks


def _thought(detail: Json, path: str) -> Iterator[Thinking]:
    vendor = cast("Vendor | None", detail.get("format") if detail.get("format") in VENDORS else None)
    if detail.get("type") == "reasoning.encrypted":
        yield Thinking(signature=text_at(detail.get("data") or "", f"{path}.data"), vendor=vendor, redacted=True)
    elif detail.get("type") == "reasoning.text":
        signature = text_at(detail.get("signature") or "", f"{path}.signature")
        yield Thinking(text=text_at(detail.get("text") or "", f"{path}.text"), signature=signature, vendor=vendor)


def _part(part: Json, path: str) -> Iterator[Block]:
    kind = one_of(part.get("type"), f"{path}.type", ("text", "refusal", "image_url", "input_audio", "file"))
    mark = mark_of(part)
    if kind in ("text", "refusal"):
        text = text_at(part.get(kind), f"{path}.{kind}")
        if text:
            yield Text(text=text, cache=mark)
    elif kind == "image_url":
        image = part.get("image_url")
        image = {"url": image} if isinstance(image, str) else object_at(image, f"{path}.image_url")
        url = text_at(image.get("url"), f"{path}.image_url.url")
        inline = data_url(url)
        if inline is None:
            yield Image(url=url, detail=image.get("detail"), cache=mark)
        else:
            yield Image(media_type=inline[0], data=inline[1], detail=image.get("detail"), cache=mark)
    elif kind == "input_audio":
        audio = object_at(part.get("input_audio"), f"{path}.input_audio")
        yield Audio(
            format=text_at(audio.get("format"), f"{path}.input_audio.format"),
            data=text_at(audio.get("data"), f"{path}.input_audio.data"),
        )
    else:
        yield _file(object_at(part.get("file"), f"{path}.file"), f"{path}.file", mark)


def _file(file: Json, path: str, mark: CacheMark | None) -> Document:
    if "file_data" not in file:
        raise invalid_request(f"'{path}': uploaded files can't be translated; send 'file_data'.", path)
    inline = data_url(text_at(file["file_data"], f"{path}.file_data"))
    if inline is None:
        raise invalid_request(f"'{path}.file_data' must be a data URL.", f"{path}.file_data")
    return Document(media_type=inline[0], data=inline[1], title=str(file.get("filename") or ""), cache=mark)
