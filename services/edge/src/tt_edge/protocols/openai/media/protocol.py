"""Images and audio in OpenAI's protocol, and the bridge to providers that speak the same. There is no translation of these."""

from typing import Final

import msgspec

from tt_common.contracts.records import Dialect, ModelKind
from tt_edge.clients.answers import UpstreamRequest
from tt_edge.clients.spool import Replaced
from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.openai.errors import refusal_body
from tt_edge.protocols.openai.media.answer import MediaAnswer, parse_media_answer
from tt_edge.protocols.openai.media.request import MediaRequest
from tt_edge.protocols.openai.media.stream import EventTap, SoundTap
from tt_edge.protocols.openai.protocol import OpenAIProtocol
from tt_edge.protocols.port import Attempted, Bridge, Request

WHAT: Final[dict[ModelKind, str]] = {
    "image": "makes no images",
    "transcription": "writes down no speech",
    "speech": "does not speak",
}


class OpenAIMedia(OpenAIProtocol):
    """See `ClientProtocol`."""

    def bridge(self, request: Request, dialect: Dialect, call_id: str) -> Bridge:
        assert isinstance(request, MediaRequest)
        if dialect != self.dialect:
            raise invalid_request(f"The provider of the model '{request.model}' {WHAT[request.kind]}.", "model")
        return MediaBridge(request)


class MediaBridge:
    """See `Bridge`. Ask whether the answer `flows` before you tap it."""

    __slots__ = ("_events", "_request")

    def __init__(self, request: MediaRequest) -> None:
        self._request = request
        self._events = True

    def flows(self, content_type: str) -> bool:
        """Whether an answer of that type goes out as it comes in: events, or sound where speech was asked for."""
        self._events = content_type.startswith("text/event-stream")
        whole = content_type.startswith(("application/json", "text/"))
        return self._events or (self._request.kind == "speech" and not whole)

    def outgoing(self, attempted: Attempted) -> UpstreamRequest:
        request, field = self._request, self._request.model_field
        if request.upload is not None and field is not None:
            upload, name = request.upload, attempted.upstream_model.encode()
            source = Replaced(upload.spool, upload.content_type, field.start, field.end, name)
            return UpstreamRequest(request.path, b"", request.forward, source)
        fields = dict(request.fields)
        fields["model"] = msgspec.Raw(msgspec.json.encode(attempted.upstream_model))
        return UpstreamRequest(request.path, msgspec.json.encode(fields), request.forward)

    def answer(self, body: bytes) -> MediaAnswer | None:
        return None if self._request.kind == "speech" else parse_media_answer(self._request, body)

    def tap(self) -> EventTap | SoundTap:
        return EventTap(self._request) if self._events else SoundTap()

    def refusal(self, status: int, body: bytes) -> bytes:
        return refusal_body(status, body)


OPENAI_MEDIA: Final = OpenAIMedia()
