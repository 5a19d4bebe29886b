"""What of an OpenAI answer may be kept for the same request, and how it is kept: with a usage that says that the prompt was cached.

Kept is only what is whole: every choice ended by itself, or at the limit that the client had set; no error anywhere. What is kept goes
through the same relay code again when it is replayed, so model name and cost are those of the later call.
"""

from typing import Any, Final, Literal

import msgspec

from tt_common.rating import Usage
from tt_edge.protocols.openai.stream import FrameSplitter, FrameTooLarge, data_alone
from tt_edge.protocols.openai.usage import as_cached, parse_usage

KEPT_BYTES_MAX: Final = 1024 * 1024
ENDS: Final = frozenset({"stop", "tool_calls", "function_call"})
DONE: Final = b"data: [DONE]\n\n"


class Kept(msgspec.Struct, frozen=True):
    """An answer fit for replay, and what the provider said that it used."""

    body: bytes
    usage: Usage


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None


_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_choices_decoder = msgspec.json.Decoder(list[_Choice])
_any_decoder = msgspec.json.Decoder(Any)
TROUBLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


def keep_whole(body: bytes, kind: Literal["chat", "embedding"], *, limited: bool) -> Kept | None:
    """A whole answer, or None where it must not be kept. `limited`: the client itself set the output limit."""
    if len(body) > KEPT_BYTES_MAX:
        return None
    try:
        fields = _fields_decoder.decode(body)
        _any_decoder.decode(body)
        usage = parse_usage(fields.get("usage", b""))
        if usage is None or _says_error(fields):
            return None
        if kind == "chat":
            choices = _choices_decoder.decode(fields["choices"])
            if not choices or not all(_ended(choice.finish_reason, limited) for choice in choices):
                return None
        fields["usage"] = as_cached(fields["usage"])
        return Kept(msgspec.json.encode(fields), usage)
    except (*TROUBLE, KeyError):
        return None


def keep_stream(body: bytes, *, limited: bool) -> Kept | None:
    """A provider's whole stream as one event a line of data, ended by [DONE]; None where it must not be kept."""
    if len(body) > KEPT_BYTES_MAX:
        return None
    ends: dict[int, str | None] = {}
    usage: Usage | None = None
    frames: list[bytes] = []
    try:
        for payload in payloads(body):
            fields = _fields_decoder.decode(payload)
            _any_decoder.decode(payload)
            if _says_error(fields):
                return None
            for choice in _choices_decoder.decode(fields.get("choices", b"[]")):
                ends[choice.index] = choice.finish_reason or ends.get(choice.index)
            if bytes(fields.get("usage", b""))[:1] == b"{":
                usage = parse_usage(fields["usage"]) or usage
                fields["usage"] = as_cached(fields["usage"])
            frames.append(b"data: " + msgspec.json.encode(fields) + b"\n\n")
    except (*TROUBLE, FrameTooLarge):
        return None
    if usage is None or not ends or not all(_ended(end, limited) for end in ends.values()):
        return None
    return Kept(b"".join(frames) + DONE, usage)


def payloads(body: bytes) -> list[bytes]:
    """The JSON of each event of a stream, without [DONE]; comments are left out."""
    lines = [data_alone(frame) for frame in FrameSplitter().feed(body.rstrip() + b"\n\n")]
    found = [line[5:].strip() for line in lines if line is not None]
    return [payload for payload in found if payload != b"[DONE]"]


def _says_error(fields: dict[str, msgspec.Raw]) -> bool:
    return bytes(fields.get("error", b"null")) != b"null"


def _ended(finish_reason: str | None, limited: bool) -> bool:
    return finish_reason in ENDS or (limited and finish_reason == "length")
