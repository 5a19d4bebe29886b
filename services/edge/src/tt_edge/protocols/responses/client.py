"""The Responses API as the client's side of a translation: canonical answers as responses, whole or as events."""

from typing import Any, Final

import msgspec

from tt_common.clock import now_ms
from tt_common.rating import Usage
from tt_edge.protocols.canonical.answer import (
    ChatAnswer,
    Ending,
    Event,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
)
from tt_edge.protocols.canonical.request import ChatRequest, Text, Thinking
from tt_edge.protocols.openai.client import tier_of
from tt_edge.protocols.port import Request
from tt_edge.protocols.responses.canonical import canonical_of
from tt_edge.protocols.responses.request import ResponsesRequest
from tt_edge.protocols.responses.seals import Seal, sealed
from tt_edge.protocols.responses.usage import usage_of

FIELDS: Final = {
    "output_limit": "max_output_tokens",
    "parallel_tools": "parallel_tool_calls",
    "format": "text.format",
    "end_user": "user",
    "turns": "input",
    "system": "instructions",
}
ECHOED: Final[dict[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Fields of the request that a response repeats, with what they are where the request has none."""
INCOMPLETE: Final = {"length": "max_output_tokens", "refusal": "content_filter"}
Json = dict[str, Any]
_encode = msgspec.json.encode


class ResponsesClient:
    """See `ClientSide`."""

    def canonical(self, request: Request) -> ChatRequest:
        assert isinstance(request, ResponsesRequest)
        return canonical_of(request)

    def field(self, canonical: str) -> str:
        return FIELDS.get(canonical, canonical)

    def whole(self, answer: ChatAnswer, request: Request, model: str, call_id: str, cost_usd: str) -> bytes:
        choice = answer.choices[0]
        writer = ResponsesWriter(request, call_id)
        for block in choice.blocks:
            if isinstance(block, Text):
                writer.write(TextDelta(block.text))
            elif isinstance(block, Thinking):
                if block.text:
                    writer.write(ThinkingDelta(block.text))
                if block.signature and block.vendor is not None:
                    writer.write(ThinkingSigned(block.signature, block.vendor, block.redacted))
            else:
                writer.write(ToolStarted(writer.calls, block.id, block.name, block.signature))
                writer.write(ToolDelta(writer.calls - 1, block.arguments))
        if choice.refusal:
            writer.write(RefusalDelta(choice.refusal))
        return _encode(writer.response(choice.ending, answer.usage, answer.service_tier, cost_usd))

    def writer(self, request: Request, call_id: str) -> "ResponsesWriter":
        return ResponsesWriter(request, call_id)


PIECE: Final = {
    "text": "response.output_text.delta",
    "refusal": "response.refusal.delta",
    "reasoning": "response.reasoning_summary_text.delta",
    "call": "response.function_call_arguments.delta",
}


class _Item:
    """An output item on its way; `text` is what of it comes in pieces."""

    __slots__ = ("body", "head", "index", "kind", "pieces")

    def __init__(self, kind: str, index: int, body: Json) -> None:
        self.kind = kind
        self.index = index
        self.body = body
        self.head = _delta_head(self) if kind in PIECE else b""
        """The start of its next delta, up to the piece."""
        self.pieces: list[str] = []


class ResponsesWriter:
    """Canonical events as a response's events. Text and thoughts close where another kind begins, calls at the end."""

    __slots__ = ("_base", "_begun", "_calls", "_id", "_items", "_number", "_open", "calls")

    def __init__(self, request: Request, call_id: str) -> None:
        self._id = call_id
        self._base: Json = {
            "id": f"resp_{call_id}",
            "object": "response",
            "created_at": now_ms() // 1000,
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": request.model,
            "output": [],
            "previous_response_id": None,
            "service_tier": "default",
            "store": False,
            "usage": None,
            **ECHOED,
            **{name: raw for name, raw in request.fields.items() if name in ECHOED and bytes(raw) != b"null"},
        }
        self._number = 0
        self._begun = False
        self._items: list[_Item] = []
        self._open: _Item | None = None
        self._calls: dict[int, _Item] = {}
        self.calls = 0

    def write(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):
            return self._piece("text", event.text)
        if isinstance(event, ToolDelta):
            item = self._calls[event.index]
            item.pieces.append(event.arguments)
            return self._delta(item.head, event.arguments)
        if isinstance(event, ThinkingDelta):
            return self._piece("reasoning", event.text)
        if isinstance(event, ToolStarted):
            return self._call(event)
        if isinstance(event, ThinkingSigned):
            return self._signed(Seal(event.vendor, event.signature, event.redacted))
        if isinstance(event, RefusalDelta):
            return self._piece("refusal", event.text)
        return b""

    def finish(self, endings: dict[int, Ending], usage: Usage | None, service_tier: str, cost_usd: str) -> bytes:
        ending = endings.get(0, Ending(reason="end"))
        out = self._begin() + self._close()
        out += b"".join(self._done(item) for item in self._calls.values())
        response = self.response(ending, usage, service_tier, cost_usd)
        return out + self._event(f"response.{response['status']}", response=response)

    def response(self, ending: Ending, usage: Usage | None, service_tier: str, cost_usd: str) -> Json:
        """The response as it ended."""
        reason = INCOMPLETE.get(ending.reason)
        if reason == "content_filter" and any(item.kind == "refusal" for item in self._items):
            reason = None
        return {
            **self._base,
            "status": "completed" if reason is None else "incomplete",
            "incomplete_details": None if reason is None else {"reason": reason},
            "output": [_whole(item) for item in self._items],
            "service_tier": tier_of(service_tier) if service_tier else "default",
            "usage": None if usage is None else usage_of(usage, cost_usd),
        }

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._event("response.created", response=self._base) + self._event(
            "response.in_progress", response=self._base
        )

    def _piece(self, kind: str, text: str) -> bytes:
        item, out = self._open, b""
        if item is None or item.kind != kind:
            out = self._begin() + self._close() + self._add(kind)
            item = self._open
            assert item is not None
        item.pieces.append(text)
        return out + self._delta(item.head, text)

    def _delta(self, head: bytes, text: str) -> bytes:
        self._number += 1
        return b'%b%b,"sequence_number":%d}\n\n' % (head, _encode(text), self._number - 1)

    def _add(self, kind: str) -> bytes:
        index = len(self._items)
        if kind == "reasoning":
            body: Json = {"id": f"rs_{self._id}_{index}", "type": "reasoning", "summary": [], "status": "in_progress"}
        else:
            body = {
                "id": f"msg_{self._id}_{index}",
                "type": "message",
                "role": "assistant",
                "status": "in_progress",
                "content": [],
            }
        item = self._open = _Item(kind, index, body)
        self._items.append(item)
        return self._event("response.output_item.added", output_index=index, item=body) + self._event(
            _part_event(kind, "added"), **_place(item), part=_part(kind, "")
        )

    def _close(self) -> bytes:
        """What is open, but for calls."""
        item, self._open = self._open, None
        if item is None:
            return b""
        text, kind = "".join(item.pieces), item.kind
        name = {"text": "text", "refusal": "refusal", "reasoning": "text"}[kind]
        extra: Json = {"logprobs": []} if kind == "text" else {}
        return (
            self._event(PIECE[kind].removesuffix("delta") + "done", **_place(item), **extra, **{name: text})
            + self._event(_part_event(kind, "done"), **_place(item), part=_part(kind, text))
            + self._done(item)
        )

    def _done(self, item: _Item) -> bytes:
        whole, out = _whole(item), b""
        if item.kind == "call":
            arguments = whole["arguments"]
            out = self._event(
                "response.function_call_arguments.done", **_place(item), name=whole["name"], arguments=arguments
            )
        return out + self._event("response.output_item.done", output_index=item.index, item=whole)

    def _call(self, event: ToolStarted) -> bytes:
        out = self._begin()
        if event.signature:
            out += self._signed(Seal("gemini", event.signature, call=True))
        out += self._close()
        index = len(self._items)
        body = {
            "id": f"fc_{self._id}_{index}",
            "type": "function_call",
            "status": "in_progress",
            "call_id": event.id,
            "name": event.name,
            "arguments": "",
        }
        item = self._calls[event.index] = _Item("call", index, body)
        self._items.append(item)
        self.calls += 1
        return out + self._event("response.output_item.added", output_index=index, item=body)

    def _signed(self, seal: Seal) -> bytes:
        """The signature goes with the thought that is open, or with an item of its own."""
        out = b""
        if self._open is None or self._open.kind != "reasoning" or seal.redacted or seal.call:
            out = self._begin() + self._close()
            index = len(self._items)
            body: Json = {"id": f"rs_{self._id}_{index}", "type": "reasoning", "summary": [], "status": "in_progress"}
            item = _Item("seal", index, {**body, "encrypted_content": sealed(seal)})
            self._items.append(item)
            return out + self._event("response.output_item.added", output_index=index, item=body) + self._done(item)
        self._open.body["encrypted_content"] = sealed(seal)
        return self._close()

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._number += 1
        payload = _encode({"type": kind, **fields, "sequence_number": self._number - 1})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), payload)


def _place(item: _Item) -> Json:
    place = {"item_id": item.body["id"], "output_index": item.index}
    if item.kind == "call":
        return place
    return {**place, "summary_index" if item.kind == "reasoning" else "content_index": 0}


def _delta_head(item: _Item) -> bytes:
    fields: Json = {"type": PIECE[item.kind], **_place(item)}
    if item.kind == "text":
        fields["logprobs"] = []
    return b'event: %b\ndata: %b,"delta":' % (PIECE[item.kind].encode(), _encode(fields)[:-1])


def _part_event(kind: str, what: str) -> str:
    return f"response.{'reasoning_summary' if kind == 'reasoning' else 'content'}_part.{what}"


def _part(kind: str, text: str) -> Json:
    if kind == "reasoning":
        return {"type": "summary_text", "text": text}
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _whole(item: _Item) -> Json:
    text, body = "".join(item.pieces), {**item.body, "status": "completed"}
    if item.kind == "call":
        return {**body, "arguments": text or "{}"}
    if item.kind == "reasoning":
        return {**body, "summary": [_part(item.kind, text)]}
    return body if item.kind == "seal" else {**body, "content": [_part(item.kind, text)]}
