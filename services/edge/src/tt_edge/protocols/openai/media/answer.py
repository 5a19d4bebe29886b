"""Whole answers with images or transcripts: the use they tell of, the cost added to their usage; the rest byte for byte."""

from typing import Any

import msgspec

from tt_common.rating import Usage
from tt_edge.protocols.openai.media.request import MediaRequest
from tt_edge.protocols.openai.media.usage import NOTHING, begun_seconds, parse_media_usage
from tt_edge.protocols.passthrough import with_cost, with_fields


class _Picture(msgspec.Struct):
    b64_json: msgspec.Raw = msgspec.Raw()
    url: msgspec.Raw = msgspec.Raw()


class _Images(msgspec.Struct):
    data: list[_Picture]
    usage: msgspec.Raw = msgspec.Raw()


class _Transcript(msgspec.Struct):
    text: str
    usage: msgspec.Raw = msgspec.Raw()
    duration: Any = None


_images_decoder = msgspec.json.Decoder(_Images)
_transcript_decoder = msgspec.json.Decoder(_Transcript)


class MediaAnswer(msgspec.Struct, frozen=True):
    """See `WholeAnswer`. `usage` holds what the answer tells, images included; not what the call is billed by."""

    body: bytes
    raw_usage: bytes
    usage: Usage
    text: str = ""
    service_tier: str = ""

    def texts(self) -> list[str]:
        return [self.text]

    def rendered(self, model: str, cost_usd: str) -> bytes:
        """Such answers don't name their model."""
        if self.raw_usage[:1] != b"{":
            return self.body
        try:
            return with_fields(self.body, {"usage": (self.raw_usage, with_cost(self.raw_usage, cost_usd))})
        except (UnicodeDecodeError, msgspec.MsgspecError):
            return self.body


def parse_media_answer(request: MediaRequest, body: bytes) -> MediaAnswer | None:
    """None where the body is not what was asked for."""
    if request.plain:
        return MediaAnswer(body, b"", NOTHING, body.decode(errors="replace"))
    try:
        return _images(body) if request.kind == "image" else _transcript(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _images(body: bytes) -> MediaAnswer:
    answer = _images_decoder.decode(body)
    made = sum(bytes(one.b64_json)[:1] == b'"' or bytes(one.url)[:1] == b'"' for one in answer.data)
    raw_usage = bytes(answer.usage)
    usage = msgspec.structs.replace(parse_media_usage(raw_usage, "image"), images=made)
    return MediaAnswer(body, raw_usage, usage)


def _transcript(body: bytes) -> MediaAnswer:
    answer = _transcript_decoder.decode(body)
    raw_usage = bytes(answer.usage)
    usage = parse_media_usage(raw_usage, "transcription")
    if not usage.seconds:
        usage = msgspec.structs.replace(usage, seconds=begun_seconds(answer.duration))
    return MediaAnswer(body, raw_usage, usage, answer.text)
