"""OpenAI streams: frames of server-sent events, the usage tapped as it passes, the model's name mapped.

Any split of the provider's bytes gives the same frames. The last frames (usage, `[DONE]`) are held back for `tail`, so that the call can be
settled before its last byte leaves.
"""

from typing import Any, Final

import msgspec

from tt_common.rating import Usage
from tt_edge.domain.tokens import CHARS_PER_TOKEN, count_tokens
from tt_edge.protocols.openai.usage import parse_usage
from tt_edge.protocols.passthrough import with_cost
from tt_edge.protocols.sse import FrameSplitter, data_alone

_NO_HEAD: Final = b"\n"
"""No event begins so."""


class _Delta(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()  # a union with None would decode nothing but null
    error: msgspec.Raw = msgspec.Raw()
    service_tier: Any = None


_chunk_decoder = msgspec.json.Decoder(_Chunk)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class StreamTap:
    """Reads a chat stream on its way to the client. After the end: `usage`, `complete`, `failed`, `texts`.

    `output_estimate` counts delivered tokens roughly (a chunk, or four characters) for the question whether the hold still covers.
    """

    __slots__ = (
        "_asked_model",
        "_head_from",
        "_head_to",
        "_model_to",
        "_splitter",
        "_usage_frame",
        "_wants_usage",
        "complete",
        "failed",
        "finished",
        "output_estimate",
        "service_tier",
        "texts",
        "usage",
    )

    prompt: Usage | None = None
    """Counted at the end alone."""

    def __init__(self, asked_model: str, wants_usage: bool) -> None:
        self._splitter = FrameSplitter()
        self._asked_model = asked_model
        self._head_from = _NO_HEAD
        self._head_to = b""
        self._model_to = b'"model":' + msgspec.json.encode(asked_model)
        self._wants_usage = wants_usage
        self._usage_frame: bytes | None = None
        self.usage: Usage | None = None
        self.service_tier = ""
        self.texts: list[str] = []
        self.output_estimate = 0
        self.finished = False
        self.complete = False
        self.failed = False

    def feed(self, data: bytes) -> bytes:
        """What may be passed on to the client now."""
        frames = self._splitter.feed(data)
        if len(frames) == 1:
            return self._frame(frames[0])
        return b"".join([self._frame(frame) for frame in frames])

    def end(self) -> bytes:
        """The provider closed the stream: without `[DONE]` it is complete only where a finish reason came."""
        rest = self._splitter.rest()
        if rest == b"data: [DONE]" or rest == b"data:[DONE]":
            self.complete = not self.failed
        self.complete = self.complete or (self.finished and not self.failed)
        return b""

    def tail(self, cost_usd: str) -> bytes:
        """The frames that were held back: the usage chunk with its cost, where the client asked for it, and `[DONE]`."""
        parts: list[bytes] = []
        if self._usage_frame is not None and self._wants_usage:
            parts.append(self._with_cost(self._usage_frame, cost_usd))
        if self.complete:
            parts.append(b"data: [DONE]\n\n")
        return b"".join(parts)

    def broken(self, error_event: bytes) -> bytes:
        return error_event

    def recount(self) -> int:
        """The delivered tokens, counted by the tokenizer; the rough count goes on from there."""
        self.output_estimate = count_tokens(["".join(self.texts)])
        return self.output_estimate

    def _frame(self, frame: bytes) -> bytes:
        if not frame.startswith(b"data:") or frame.find(b"\n") < len(frame) - 2:
            plain = data_alone(frame)
            if plain is None:
                return frame
            frame = plain
        payload = frame[5:].strip()
        if payload == b"[DONE]":
            self.complete = not self.failed
            return b""
        try:
            chunk = _chunk_decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return frame
        if bytes(chunk.error)[:4] not in (b"", b"null"):
            self.failed = True
            return frame
        return self._chunk(frame, chunk)

    def _chunk(self, frame: bytes, chunk: _Chunk) -> bytes:
        for choice in chunk.choices or ():
            if choice.finish_reason is not None:
                self.finished = True
            if choice.delta is not None:
                self._count(choice.delta)
        usage = bytes(chunk.usage)
        has_usage = usage.startswith(b"{")
        if has_usage:
            self.usage = parse_usage(chunk.usage) or self.usage
            if isinstance(chunk.service_tier, str):
                self.service_tier = chunk.service_tier
        if chunk.model is not None and chunk.model != self._asked_model:
            frame = self._renamed(frame, chunk.model)
        if has_usage and not chunk.choices:
            self._usage_frame = frame
            return b""
        if usage and not self._wants_usage:
            frame = frame.replace(b',"usage":null', b"") if not has_usage else _without_usage(frame)
        return frame

    def _count(self, delta: _Delta) -> None:
        for value in (delta.content, delta.reasoning_content, delta.refusal):
            if value and isinstance(value, str):
                self.texts.append(value)
                self.output_estimate += -(-len(value) // CHARS_PER_TOKEN)
        if delta.tool_calls:
            text = _tool_text(delta.tool_calls)
            self.texts.append(text)
            self.output_estimate += -(-len(text) // CHARS_PER_TOKEN)

    def _renamed(self, frame: bytes, model: str) -> bytes:
        """What stands before the model, and the model, are the same bytes in chunk after chunk: renamed once, then exchanged."""
        head = self._head_from
        if frame.startswith(head):
            return self._head_to + frame[len(head) :]
        name = b'"model":' + msgspec.json.encode(model)
        if frame.count(name) == 1:
            before, _, after = frame.partition(name)
            self._head_from, self._head_to = before + name, before + self._model_to
            return self._head_to + after
        if (fields := _fields(frame)) is None:
            return frame
        fields["model"] = msgspec.Raw(msgspec.json.encode(self._asked_model))
        return b"data: " + msgspec.json.encode(fields) + b"\n\n"

    def _with_cost(self, frame: bytes, cost_usd: str) -> bytes:
        if (fields := _fields(frame)) is None:
            return frame
        fields["usage"] = msgspec.Raw(with_cost(bytes(fields["usage"]), cost_usd))
        return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def _fields(frame: bytes) -> dict[str, msgspec.Raw] | None:
    """None where the data is no UTF-8 throughout, or nested too deeply: such an event leaves as it came."""
    try:
        return _fields_decoder.decode(frame[5:].strip())
    except (UnicodeDecodeError, RecursionError):
        return None


def _without_usage(frame: bytes) -> bytes:
    if (fields := _fields(frame)) is None:
        return frame
    fields.pop("usage", None)
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def _tool_text(tool_calls: Any) -> str:
    parts: list[str] = []
    for call in tool_calls if isinstance(tool_calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            parts.extend(str(function[name]) for name in ("name", "arguments") if function.get(name))
    return "".join(parts)
