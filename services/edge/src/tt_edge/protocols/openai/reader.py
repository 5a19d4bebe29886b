"""What OpenAI-compatible providers answer, whole or as a stream, in the canonical form."""

from typing import Final

import msgspec

from tt_common.ids import new_id
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
    for call in said.tool_calls or ():
        function = call.function or _Function()
        blocks.append(
            ToolUse(id=call.id or new_id("call"), name=function.name or "", arguments=function.arguments or "{}")
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
    """Chunks of a chat stream as events. The state of a call is kept by choice and index; one starts where its name came.

    Some providers give every parallel call the index 0: another id that comes with a name is another call.
    """

    __slots__ = ("_begun", "_calls", "_ended", "_refused")

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[tuple[int, int], _Begun] = {}
        """By choice and the provider's index: the last call there."""
        self._begun: dict[int, int] = {}
        """By choice that anything was said in, how many calls were begun."""
        self._ended: set[int] = set()
        self._refused: set[int] = set()

    def _ended_with(self, events: list[Event]) -> None:
        if self._ended:
            events.append(Finished())

    def _read(self, payload: bytes, events: list[Event]) -> None:
        if payload == b"[DONE]":
            for choice in (
                self._begun.keys() - self._ended
            ):  # the marker says that all was said, though not why it ended
                self._end(choice, None, events)
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
        self._begun.setdefault(index, 0)
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
            self._end(index, choice.finish_reason, events)

    def _end(self, choice: int, finish: str | None, events: list[Event]) -> None:
        self._ended.add(choice)
        ending = _ending(finish, called=self._begun[choice] > 0, refused=choice in self._refused)
        events.append(Ended(ending, choice))

    def _call(self, piece: _Call, choice: int, events: list[Event]) -> None:
        function = piece.function or _Function()
        call = self._calls.get((choice, piece.index))
        another = call is not None and piece.id and call.id and piece.id != call.id and function.name
        if call is None or another:
            call = self._calls[choice, piece.index] = _Begun()
        call.id = call.id or piece.id or ""
        call.waiting += function.arguments or ""
        if call.at is None and function.name:
            call.at = self._begun[choice]
            self._begun[choice] += 1
            events.append(ToolStarted(call.at, call.id or new_id("call"), function.name, choice=choice))
        if call.at is not None and call.waiting:
            events.append(ToolDelta(call.at, call.waiting, choice))
            call.waiting = ""


class _Begun:
    """A call on its way: `at` counts those of its choice, None until its name came; `waiting` are arguments that came before."""

    __slots__ = ("at", "id", "waiting")

    def __init__(self) -> None:
        self.at: int | None = None
        self.id = ""
        self.waiting = ""
