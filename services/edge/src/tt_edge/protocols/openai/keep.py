"""What of an OpenAI answer may be kept for the same request, and how it is kept: with a usage that says that the prompt was cached.

Kept is only what is whole: every choice ended by itself, or at the limit that the client had set; no error anywhere. What is kept goes
through the same relay code again when it is replayed, so model name and cost are those of the later call.
"""

from typing import Final

import msgspec

from tt_common.contracts.records import ModelKind
from tt_common.rating import Usage
from tt_edge.protocols.openai.usage import as_cached, parse_usage
from tt_edge.protocols.sse import FrameSplitter, FrameTooLarge, payload_of

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


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_answer_decoder = msgspec.json.Decoder(_Answer)
TROUBLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


def keep_whole(body: bytes, kind: ModelKind, *, limited: bool) -> Kept | None:
    """A whole answer, or None where it must not be kept. `limited`: the client itself set the output limit."""
    if len(body) > KEPT_BYTES_MAX:
        return None
    try:
        answer = _answer_decoder.decode(body)
        usage = parse_usage(answer.usage)
        if usage is None or _is_error(answer):
            return None
        if kind == "chat" and not _all_ended([choice.finish_reason for choice in answer.choices or ()], limited):
            return None
        return Kept(_with_cached_usage(body), usage)
    except TROUBLE:
        return None


def keep_stream(body: bytes, *, limited: bool) -> Kept | None:
    """A provider's whole stream as one event a line of data, ended by [DONE]; None where it must not be kept."""
    if len(body) > KEPT_BYTES_MAX:
        return None
    ends: dict[int, str | None] = {}
    usage: Usage | None = None
    kept: list[bytes] = []
    try:
        for payload in payloads(body):
            chunk = _answer_decoder.decode(payload)
            if _is_error(chunk):
                return None
            for choice in chunk.choices or ():
                ends[choice.index] = choice.finish_reason or ends.get(choice.index)
            used = parse_usage(chunk.usage) if bytes(chunk.usage)[:1] == b"{" else None
            usage = used or usage
            kept += (b"data: ", payload if used is None else _with_cached_usage(payload), b"\n\n")
    except (*TROUBLE, FrameTooLarge):
        return None
    if usage is None or not _all_ended(list(ends.values()), limited):
        return None
    kept.append(DONE)
    return Kept(b"".join(kept), usage)


def payloads(body: bytes) -> list[bytes]:
    """The JSON of each event of a stream, without [DONE]; comments are left out."""
    found = [payload_of(frame) for frame in FrameSplitter().feed(body.rstrip() + b"\n\n")]
    return [payload for payload in found if payload not in (b"", b"[DONE]")]


def _with_cached_usage(body: bytes) -> bytes:
    fields = _fields_decoder.decode(body)
    fields["usage"] = as_cached(fields["usage"])
    return msgspec.json.encode(fields)


def _is_error(answer: _Answer) -> bool:
    return bytes(answer.error) not in (b"", b"null")


def _all_ended(reasons: list[str | None], limited: bool) -> bool:
    return bool(reasons) and all(reason in ENDS or (limited and reason == "length") for reason in reasons)
