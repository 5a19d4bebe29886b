"""Streams of images, transcripts and speech: events as they come, the last one held back; or sound, byte for byte."""

from typing import Any

import msgspec

from tt_common.contracts.records import ModelKind
from tt_common.rating import Usage
from tt_edge.protocols.openai.media.request import MediaRequest
from tt_edge.protocols.openai.media.usage import NOTHING, parse_media_usage, together
from tt_edge.protocols.passthrough import with_cost
from tt_edge.protocols.sse import FrameSplitter, payload_of

IMAGE_ENDS = frozenset({"image_generation.completed", "image_edit.completed"})
SOUND_ENDS = frozenset({"transcript.text.done", "speech.audio.done"})


class _Event(msgspec.Struct):
    type: str | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    delta: Any = None


_decoder = msgspec.json.Decoder(_Event)


class EventTap:
    """See `Tap`. A stream of images is complete with the last image that was asked for, or at its end if there was one at all."""

    output_estimate = 0
    service_tier = ""
    prompt: Usage | None = None

    def __init__(self, request: MediaRequest) -> None:
        self._splitter = FrameSplitter()
        self._kind: ModelKind = request.kind
        self._images_left = request.asked.images
        self._last = b""
        self._last_usage = b""
        self.usage: Usage | None = None
        self.texts: list[str] = []
        self.complete = False
        self.failed = False

    def feed(self, data: bytes) -> bytes:
        return b"".join([self._frame(frame) for frame in self._splitter.feed(data)])

    def _frame(self, frame: bytes) -> bytes:
        try:
            event = _decoder.decode(payload_of(frame))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return frame  # [DONE], a comment
        if event.type == "error" or bytes(event.error)[:4] not in (b"", b"null"):
            self.failed = True
        elif event.type in IMAGE_ENDS:
            self._images_left -= 1
            self.complete = self._images_left <= 0
            return self._ended(frame, bytes(event.usage), images=1)
        elif event.type in SOUND_ENDS:
            self.complete = True
            return self._ended(frame, bytes(event.usage), images=0)
        elif event.type == "transcript.text.delta" and isinstance(event.delta, str):
            self.texts.append(event.delta)
        return frame

    def _ended(self, frame: bytes, raw_usage: bytes, images: int) -> bytes:
        """Hold this one back, and let go of the one before it."""
        said = msgspec.structs.replace(parse_media_usage(raw_usage, self._kind), images=images)
        self.usage = together(self.usage or NOTHING, said)
        before, self._last, self._last_usage = self._last, frame, raw_usage
        return before

    def end(self) -> bytes:
        self.complete = not self.failed and (self.complete or bool(self._last))
        return b""

    def tail(self, cost_usd: str) -> bytes:
        usage = self._last_usage
        if usage[:1] != b"{" or self._last.count(usage) != 1:
            return self._last
        return self._last.replace(usage, with_cost(usage, cost_usd))

    def broken(self, error_event: bytes) -> bytes:
        return self._last + error_event

    def recount(self) -> int:
        return 0


class SoundTap:
    """See `Tap`. Sound is complete at its end; what breaks off has no words for it."""

    output_estimate = 0
    service_tier = ""
    prompt: Usage | None = None
    usage: Usage | None = None
    failed = False

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        self.complete = True
        return b""

    def tail(self, cost_usd: str) -> bytes:
        return b""

    def broken(self, error_event: bytes) -> bytes:
        return b""

    def recount(self) -> int:
        return 0
