"""Every path of a model call: which protocol it speaks, and how its request is read."""

from collections.abc import Callable
from typing import Final

import msgspec

from tt_edge.clients.answers import UpstreamRequest
from tt_edge.protocols.anthropic.count import count_body, is_count, outgoing_count
from tt_edge.protocols.anthropic.protocol import ANTHROPIC
from tt_edge.protocols.anthropic.request import parse_messages
from tt_edge.protocols.gemini import count as gemini_count
from tt_edge.protocols.gemini.paths import is_gemini_path, names_one_model
from tt_edge.protocols.gemini.protocol import GEMINI
from tt_edge.protocols.gemini.request import parse_count, parse_generate, parse_stream
from tt_edge.protocols.openai.media.protocol import OPENAI_MEDIA
from tt_edge.protocols.openai.media.request import (
    MediaRequest,
    Upload,
    parse_edit,
    parse_edit_form,
    parse_generation,
    parse_speech,
    parse_transcription,
    parse_translation,
)
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.protocols.openai.request import parse_chat, parse_embeddings
from tt_edge.protocols.port import ClientProtocol, Request, Target
from tt_edge.protocols.responses.protocol import RESPONSES
from tt_edge.protocols.responses.request import parse_responses


class Endpoint(msgspec.Struct, frozen=True):
    """`name` is the path as events and metrics tell it, without what differs from call to call. `parse` raises invalid_request."""

    name: str
    protocol: ClientProtocol
    parse: Callable[[Target, bytes], Request]
    operation: str
    """As traces name it (OpenTelemetry's gen_ai.operation.name)."""


class MediaEndpoint(msgspec.Struct, frozen=True):
    """Makes or takes images or audio. A request is JSON or a form, whichever it can read; both raise invalid_request."""

    name: str
    protocol: ClientProtocol
    parse_json: Callable[[bytes], MediaRequest] | None
    parse_form: Callable[[Upload], MediaRequest] | None
    operation: str


class CountEndpoint(msgspec.Struct, frozen=True):
    """Counts the tokens of a request. `outgoing` is the same question to a provider of the protocol's dialect, under its name of
    the model; `is_count` tells whether its answer is one; `rendered` is the answer with a count of our own."""

    name: str
    protocol: ClientProtocol
    parse: Callable[[Target, bytes], Request]
    outgoing: Callable[[Request, str], UpstreamRequest]
    is_count: Callable[[bytes], bool]
    rendered: Callable[[int], bytes]


ANTHROPIC_PREFIX: Final = "/anthropic"
"""Paths below it are Anthropic's too, for people who give every vendor a base URL of its own."""

ENDPOINTS: Final = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint("/v1/chat/completions", OPENAI, lambda _, body: parse_chat(body), "chat"),
        Endpoint("/v1/responses", RESPONSES, lambda _, body: parse_responses(body), "chat"),
        Endpoint("/v1/embeddings", OPENAI, lambda _, body: parse_embeddings(body), "embeddings"),
        Endpoint("/v1/messages", ANTHROPIC, parse_messages, "chat"),
        Endpoint("/v1beta/models/{model}:generateContent", GEMINI, parse_generate, "generate_content"),
        Endpoint("/v1beta/models/{model}:streamGenerateContent", GEMINI, parse_stream, "generate_content"),
    )
}
MEDIA: Final = {
    endpoint.name: endpoint
    for endpoint in (
        MediaEndpoint("/v1/images/generations", OPENAI_MEDIA, parse_generation, None, "generate_content"),
        MediaEndpoint("/v1/images/edits", OPENAI_MEDIA, parse_edit, parse_edit_form, "generate_content"),
        MediaEndpoint("/v1/audio/transcriptions", OPENAI_MEDIA, None, parse_transcription, "generate_content"),
        MediaEndpoint("/v1/audio/translations", OPENAI_MEDIA, None, parse_translation, "generate_content"),
        MediaEndpoint("/v1/audio/speech", OPENAI_MEDIA, parse_speech, None, "generate_content"),
    )
}
COUNTS: Final = {
    endpoint.name: endpoint
    for endpoint in (
        CountEndpoint("/v1/messages/count_tokens", ANTHROPIC, parse_messages, outgoing_count, is_count, count_body),
        CountEndpoint(
            "/v1beta/models/{model}:countTokens",
            GEMINI,
            parse_count,
            gemini_count.outgoing_count,
            gemini_count.is_count,
            gemini_count.count_body,
        ),
    )
}


def find_endpoint(path: str) -> Endpoint | MediaEndpoint | CountEndpoint | None:
    """The endpoint that a POST to this path is meant for."""
    endpoint = ENDPOINTS.get(path) or MEDIA.get(path) or COUNTS.get(path)
    if endpoint is None and names_one_model(path):
        name = "/v1beta/models/{model}:" + path.rpartition(":")[2]
        return ENDPOINTS.get(name) or COUNTS.get(name)
    if endpoint is None and path.startswith(f"{ANTHROPIC_PREFIX}/"):
        below = find_endpoint(path.removeprefix(ANTHROPIC_PREFIX))
        return below if below is not None and below.protocol is ANTHROPIC else None
    return endpoint


def protocol_of(path: str, headers: dict[bytes, bytes]) -> ClientProtocol:
    """Whose shape an answer has that is no model call's: by the path, else by the header that only one family of SDKs sends."""
    if path.startswith(f"{ANTHROPIC_PREFIX}/") or "/messages" in path:
        return ANTHROPIC
    if is_gemini_path(path) or b"x-goog-api-key" in headers:
        return GEMINI
    if b"anthropic-version" in headers:
        return ANTHROPIC
    return OPENAI
