"""What OpenAI-compatible providers answer, whole or as a stream, in the canonical form."""

from typing import Final

import msgspec

from tt_edge.protocols.canonical.answer import (
    ChatAnswer,
    Choice,
    Ended,
    Ending,
    Event,
    Failed,
    Finished,
    Metered,
    Reason,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStarted,
)
from tt_edge.protocols.canonical.request import Text, Thinking, ToolUse
from tt_edge.protocols.errors import refusal_message
from tt_edge.protocols.framed import FramedReader
from tt_edge.protocols.openai.usage import parse_usage

REASONS: Final[dict[str | None, Reason]] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Said(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None


_answer_decoder = msgspec.json.Decoder(_Answer)


def read_answer(body: bytes) -> ChatAnswer | None:
    """None where the body is no answer."""
    try:
        whole = _answer_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not whole.choices:
        return None
    usage = parse_usage(whole.usage) if bytes(whole.usage)[:1] == b"{" else None
    choices = tuple(_choice(choice) for choice in whole.choices)
    return ChatAnswer(choices=choices, usage=usage, service_tier=whole.service_tier or "")


def _choice(choice: _Choice) -> Choice:
    said = choice.message or _Said()
    blocks: list[Text | Thinking | ToolUse] = []
    if thought := said.reasoning_content or said.reasoning:
        blocks.append(Thinking(text=thought))
    if said.content:
        blocks.append(Text(text=said.content))
    for at, call in enumerate(said.tool_calls or ()):
        function = call.function or _Function()
        blocks.append(
            ToolUse(id=call.id or f"call_{at}", name=function.name or "", arguments=function.arguments or "{}")
        )
    ending = _ending(choice.finish_reason, called=bool(said.tool_calls), refused=bool(said.refusal))
    return Choice(blocks=tuple(blocks), ending=ending, refusal=said.refusal or "")


def _ending(finish: str | None, *, called: bool, refused: bool) -> Ending:
    """A call that `tool_choice` named and a refusal in words both end with `stop`."""
    reason = REASONS.get(finish, "end")
    if reason == "end" and (called or refused):
        reason = "tool_use" if called else "refusal"
    return Ending(reason=reason, detail=finish or "")


class OpenAIReader(FramedReader):
    """Chunks of a chat stream as events. A tool call starts where its name came; its state is kept by choice and index."""

    __slots__ = ("_calls", "_ended", "_refused")

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[tuple[int, int], int] = {}
        """By choice and the provider's index: which call of the choice it is."""
        self._ended = False
        self._refused: set[int] = set()

    def _ended_with(self, events: list[Event]) -> None:
        if self._ended:
            events.append(Finished())

    def _read(self, payload: bytes, events: list[Event]) -> None:
        if payload == b"[DONE]":
            events.append(Finished())
            return
        try:
            chunk = _answer_decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if bytes(chunk.error)[:4] not in (b"", b"null"):
            message = refusal_message(500, b'{"error":%b}' % bytes(chunk.error))
            events.append(Failed(message))
            return
        for choice in chunk.choices or ():
            self._choice(choice, events)
        if bytes(chunk.usage)[:1] == b"{" and (usage := parse_usage(chunk.usage)) is not None:
            events.append(Metered(usage, chunk.service_tier or ""))

    def _choice(self, choice: _Choice, events: list[Event]) -> None:
        said, index = choice.delta, choice.index
        if said is not None:
            if said.content:
                events.append(TextDelta(said.content, index))
            if thought := said.reasoning_content or said.reasoning:
                events.append(ThinkingDelta(thought, index))
            if said.refusal:
                self._refused.add(index)
                events.append(RefusalDelta(said.refusal, index))
            for call in said.tool_calls or ():
                self._call(call, index, events)
        if choice.finish_reason is not None:
            self._ended = True
            called = any(known == index for known, _ in self._calls)
            ending = _ending(choice.finish_reason, called=called, refused=index in self._refused)
            events.append(Ended(ending, index))

    def _call(self, call: _Call, choice: int, events: list[Event]) -> None:
        function = call.function or _Function()
        key = (choice, call.index)
        at = self._calls.get(key)
        if at is None:
            at = self._calls[key] = sum(1 for known, _ in self._calls if known == choice)
            events.append(ToolStarted(at, call.id or f"call_{at}", function.name or "", choice=choice))
        if function.arguments:
            events.append(ToolDelta(at, function.arguments, choice))
