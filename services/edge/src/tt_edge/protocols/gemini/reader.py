"""Gemini's answers, whole and streamed, as canonical blocks and events.

A function call comes whole, in one part. That it ended with a call is not what the finish reason says, so it is remembered. The stream
has no terminal marker: it is whole when a reason for its end came and the provider closed it.
"""

from typing import Any, Final

import msgspec

from tt_common.ids import new_id
from tt_common.rating import Usage
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
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
)
from tt_edge.protocols.canonical.request import Text, Thinking, ToolUse
from tt_edge.protocols.errors import refusal_message
from tt_edge.protocols.framed import FramedReader
from tt_edge.protocols.gemini.usage import Grounding, parse_metered, with_searches
from tt_edge.protocols.translate import Refused

REFUSALS: Final = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "IMAGE_OTHER",
        "NO_IMAGE",
        "MODEL_ARMOR",
    }
)
FAILURES: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)
OVERLOADED: Final = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED"})
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Call(msgspec.Struct):
    name: str = ""
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw()


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None
    inline_data: _Blob | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    index: int | None = None
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    grounding_metadata: Grounding | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: msgspec.Raw = msgspec.Raw()
    error: Any = None


_decoder = msgspec.json.Decoder(_Answer)


def read_answer(body: bytes) -> ChatAnswer | None:
    """None where the body is no answer. Raises Refused for a call that the model could not make."""
    try:
        whole = _decoder.decode(body)
    except UNREADABLE:
        return None
    usage, tier = parse_metered(whole.usage_metadata)
    if not whole.candidates:
        blocked = whole.prompt_feedback is not None and whole.prompt_feedback.block_reason
        if not blocked:
            return None
        choice = Choice(blocks=(), ending=Ending(reason="refusal", detail=blocked or ""))
        return ChatAnswer(choices=(choice,), usage=usage, service_tier=tier)
    candidates = sorted(whole.candidates, key=lambda candidate: candidate.index or 0)
    usage = with_searches(usage, [candidate.grounding_metadata for candidate in candidates])
    choices = tuple(_choice(candidate) for candidate in candidates)
    return ChatAnswer(choices=choices, usage=usage, service_tier=tier)


def _choice(candidate: _Candidate) -> Choice:
    if candidate.finish_reason in FAILURES:
        raise Refused(_failure(candidate))
    blocks: list[Text | Thinking | ToolUse] = []
    events: list[Event] = []
    called = _read_parts(candidate, 0, events)
    for event in events:
        last = blocks[-1] if blocks else None
        if isinstance(event, TextDelta):
            before = ""
            if isinstance(last, Text):
                before = last.text
                blocks.pop()
            blocks.append(Text(text=before + event.text))
        elif isinstance(event, ThinkingDelta):
            before = ""
            if isinstance(last, Thinking) and not last.signature:
                before = last.text
                blocks.pop()
            blocks.append(Thinking(text=before + event.text))
        elif isinstance(event, ThinkingSigned):
            text = ""
            if isinstance(last, Thinking) and not last.signature:
                text = last.text
                blocks.pop()
            blocks.append(Thinking(text=text, signature=event.signature, vendor="gemini", redacted=event.redacted))
        elif isinstance(event, ToolStarted):
            blocks.append(ToolUse(id=event.id, name=event.name, arguments="{}", signature=event.signature))
        elif isinstance(event, ToolDelta) and isinstance(last, ToolUse):
            blocks[-1] = msgspec.structs.replace(last, arguments=event.arguments)
    return Choice(blocks=tuple(blocks), ending=_ending(candidate.finish_reason or "", called > 0))


def _read_parts(candidate: _Candidate, called: int, events: list[Event]) -> int:
    """Appends the events of a candidate's parts. `called` calls were made before; how many were made afterwards is returned."""
    choice = candidate.index or 0
    for part in (candidate.content.parts if candidate.content is not None else None) or ():
        call = part.function_call
        if call is not None:
            events.append(
                ToolStarted(called, call.id or new_id("call"), call.name, part.thought_signature or "", choice)
            )
            arguments = bytes(call.args)
            whole = arguments.decode(errors="replace") if arguments[:1] == b"{" else "{}"
            events.append(ToolDelta(called, whole, choice))
            called += 1
            continue
        if part.text:
            events.append(ThinkingDelta(part.text, choice) if part.thought else TextDelta(part.text, choice))
        elif part.inline_data is not None and part.inline_data.data:
            blob = part.inline_data
            events.append(TextDelta(f"![{blob.mime_type}](data:{blob.mime_type};base64,{blob.data})", choice))
        if part.thought_signature:
            shown = bool(part.thought and part.text)
            events.append(ThinkingSigned(part.thought_signature, "gemini", redacted=not shown, choice=choice))
    return called


def _ending(finish: str, called: bool) -> Ending:
    reason: Reason = "end"
    if finish in REFUSALS:
        reason = "refusal"
    elif finish == "MAX_TOKENS":
        reason = "length"
    elif called:
        reason = "tool_use"
    return Ending(reason=reason, detail=finish)


def _failure(candidate: _Candidate) -> str:
    return candidate.finish_message or f"The model's answer was unusable: {candidate.finish_reason}."


class GeminiReader(FramedReader):
    """See `StreamReader`."""

    __slots__ = ("_blocked", "_called", "_finishes", "_groundings", "_metered")

    def __init__(self) -> None:
        super().__init__()
        self._called: dict[int, int] = {}
        """By candidate, how many calls it made."""
        self._finishes: dict[int, str] = {}
        self._groundings: dict[int, Grounding] = {}
        self._blocked = ""
        self._metered: list[tuple[msgspec.Raw, list[Grounding]]] = []
        """What is not read yet: every chunk brings its usage with what was grounded so far, and the last usable one counts."""

    def feed(self, data: bytes) -> list[Event]:
        events = super().feed(data)
        self._meter(events)
        return events

    def _meter(self, events: list[Event]) -> None:
        """The last usable usage, and the last service tier that a usable one names."""
        last: Usage | None = None
        tier = ""
        for raw, groundings in reversed(self._metered):
            if last is not None and b"trafficType" not in bytes(raw):
                continue
            usage, named = parse_metered(raw)
            if usage is not None:
                last = last or with_searches(usage, groundings)
                tier = tier or named
        self._metered.clear()
        if last is not None:
            events.append(Metered(last, tier))

    def _ended_with(self, events: list[Event]) -> None:
        self._meter(events)
        for choice, finish in self._finishes.items():
            events.append(Ended(_ending(finish, self._called.get(choice, 0) > 0), choice))
        if self._blocked and not self._finishes:
            events.append(Ended(Ending(reason="refusal", detail=self._blocked)))
        if self._finishes or self._blocked:
            events.append(Finished())

    def _read(self, payload: bytes, events: list[Event]) -> None:
        try:
            chunk = _decoder.decode(payload)
        except UNREADABLE:
            return
        if chunk.error is not None:
            status = chunk.error.get("status") if isinstance(chunk.error, dict) else None
            overloaded = isinstance(status, str) and status in OVERLOADED
            self._meter(events)
            events.append(Failed(refusal_message(500, payload), overloaded=overloaded))
            return
        for candidate in chunk.candidates or ():
            choice = candidate.index or 0
            if candidate.content is not None:
                self._called[choice] = _read_parts(candidate, self._called.get(choice, 0), events)
            if candidate.finish_reason is not None:
                if candidate.finish_reason in FAILURES:
                    self._meter(events)
                    events.append(Failed(_failure(candidate)))
                    return
                self._finishes[choice] = candidate.finish_reason
            if candidate.grounding_metadata is not None:
                self._groundings[choice] = candidate.grounding_metadata
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self._blocked = chunk.prompt_feedback.block_reason
        if bytes(chunk.usage_metadata)[:1] == b"{":
            self._metered.append((chunk.usage_metadata, list(self._groundings.values())))
