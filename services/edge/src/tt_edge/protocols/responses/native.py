"""Responses of providers that have the API themselves: passed through, with the model's name mapped, usage tapped and cost added.

The terminal event is held back for `tail`. `error` and `response.failed` are passed on and never a success.
"""

from typing import Any, Final

import msgspec

from tt_common.rating import Usage
from tt_edge.clients.answers import UpstreamRequest
from tt_edge.domain.refusals import upstream_error
from tt_edge.domain.tokens import CHARS_PER_TOKEN, count_tokens
from tt_edge.protocols.openai.errors import refusal_body
from tt_edge.protocols.passthrough import with_cost, with_fields
from tt_edge.protocols.port import Attempted
from tt_edge.protocols.responses.request import ResponsesRequest, build
from tt_edge.protocols.responses.usage import parse_usage
from tt_edge.protocols.sse import FrameSplitter, payload_of

ENDS: Final = frozenset({"response.completed", "response.incomplete"})
FAILURES: Final = frozenset({"response.failed", "error"})


class _Error(msgspec.Struct):
    message: str | None = None


class _Response(msgspec.Struct):
    object: str = ""
    status: str = ""
    model: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None
    service_tier: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: Any = None
    response: msgspec.Raw = msgspec.Raw()


_response_decoder = msgspec.json.Decoder(_Response)
_event_decoder = msgspec.json.Decoder(_Event)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items_decoder = msgspec.json.Decoder(list[dict[str, Any]])
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class NativeBridge:
    """See `Bridge`."""

    __slots__ = ("_request",)

    def __init__(self, request: ResponsesRequest) -> None:
        self._request = request

    def outgoing(self, attempted: Attempted) -> UpstreamRequest:
        body = build(self._request, attempted.upstream_model, attempted.output_limit)
        return UpstreamRequest("/responses", body, self._request.forward)

    def answer(self, body: bytes) -> "NativeAnswer | None":
        """Raises upstream_error for a response that says that it failed."""
        try:
            response = _response_decoder.decode(body)
        except UNREADABLE:
            return None
        if response.object != "response":
            return None
        if response.status == "failed":
            said = response.error.message if response.error is not None else None
            raise upstream_error(said or "The provider could not answer.")
        return NativeAnswer(body, response)

    def tap(self) -> "NativeTap":
        return NativeTap(self._request.model)

    def refusal(self, status: int, body: bytes) -> bytes:
        return refusal_body(status, body)


class NativeAnswer:
    """See `WholeAnswer`."""

    __slots__ = ("_body", "_response", "service_tier", "usage")

    def __init__(self, body: bytes, response: _Response) -> None:
        self._body = body
        self._response = response
        self.usage = _usage(response)
        self.service_tier = response.service_tier if isinstance(response.service_tier, str) else ""

    def texts(self) -> list[str]:
        try:
            items = _items_decoder.decode(self._response.output)
        except UNREADABLE:
            return [bytes(self._response.output).decode(errors="replace")]
        return [text for item in items for text in _item_texts(item)]

    def rendered(self, model: str, cost_usd: str) -> bytes:
        return _rendered(self._body, self._response, model, cost_usd)


class NativeTap:
    """See `Tap`."""

    __slots__ = (
        "_held",
        "_model",
        "_splitter",
        "complete",
        "failed",
        "output_estimate",
        "service_tier",
        "texts",
        "usage",
    )

    prompt: Usage | None = None
    """Counted at the end alone."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._splitter = FrameSplitter()
        self._held: tuple[bytes, _Event, _Response] | None = None
        self.usage: Usage | None = None
        self.service_tier = ""
        self.texts: list[str] = []
        self.output_estimate = 0
        self.complete = False
        self.failed = False

    def feed(self, data: bytes) -> bytes:
        return b"".join([self._frame(frame) for frame in self._splitter.feed(data)])

    def end(self) -> bytes:
        rest = self._splitter.rest()
        return self._frame(rest + b"\n\n") if rest else b""

    def tail(self, cost_usd: str) -> bytes:
        if self._held is None:
            return b""
        payload, event, response = self._held
        try:
            fields = _fields_decoder.decode(payload)
        except (UnicodeDecodeError, RecursionError):
            return _framed(event.type, payload)  # no UTF-8 throughout: it leaves as it came
        fields["response"] = msgspec.Raw(_rendered(bytes(event.response), response, self._model, cost_usd))
        return _framed(event.type, msgspec.json.encode(fields))

    def broken(self, error_event: bytes) -> bytes:
        return error_event

    def recount(self) -> int:
        self.output_estimate = count_tokens(["".join(self.texts)])
        return self.output_estimate

    def _frame(self, frame: bytes) -> bytes:
        if self.complete or self.failed:
            return b""
        payload = payload_of(frame)
        try:
            event = _event_decoder.decode(payload)
        except UNREADABLE:
            return frame
        if isinstance(event.delta, str) and event.type.endswith(".delta"):
            self.texts.append(event.delta)
            self.output_estimate += -(-len(event.delta) // CHARS_PER_TOKEN)
            return frame
        if event.type in FAILURES:
            self.failed = True
            self._read(event)
        elif bytes(event.response):
            response = self._read(event)
            if response is not None and event.type in ENDS:
                self.complete = True
                self._held = payload, event, response
                return b""
            if response is not None and bytes(response.model):
                raw = bytes(event.response)
                return frame.replace(raw, _rendered(raw, response, self._model, None))
        return frame

    def _read(self, event: _Event) -> _Response | None:
        try:
            response = _response_decoder.decode(event.response)
        except UNREADABLE:
            return None
        self.usage = _usage(response) or self.usage
        if isinstance(response.service_tier, str):
            self.service_tier = response.service_tier
        return response


def _usage(response: _Response) -> Usage | None:
    return parse_usage(bytes(response.usage), bytes(response.output) or b"[]") if bytes(response.usage) else None


def _rendered(body: bytes, response: _Response, model: str, cost_usd: str | None) -> bytes:
    changes: dict[str, tuple[bytes, bytes]] = {}
    if bytes(response.model):
        changes["model"] = bytes(response.model), msgspec.json.encode(model)
    if cost_usd is not None and bytes(response.usage)[:1] == b"{":
        changes["usage"] = bytes(response.usage), with_cost(bytes(response.usage), cost_usd)
    try:
        return with_fields(body, changes)
    except (UnicodeDecodeError, RecursionError):
        return body  # no UTF-8 throughout: it leaves as it came


def _item_texts(item: dict[str, Any]) -> list[str]:
    texts = [item[name] for name in ("name", "arguments") if isinstance(item.get(name), str)]
    for group in (item.get("content"), item.get("summary")):
        for part in group if isinstance(group, list) else ():
            texts += [part[name] for name in ("text", "refusal") if isinstance(part.get(name), str)]
    return texts


def _framed(kind: str, payload: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), payload)
