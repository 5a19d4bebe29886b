"""Requests for images and audio: what the gateway must read of them, in JSON or in a form; everything else passes through.

A form is not held: its bytes lie in a spool, and the provider gets them as they came, but for the model's name.
"""

from typing import Any, Final, Literal

import msgspec

from tt_common.errors import DomainError
from tt_edge.clients.spool import Spool
from tt_edge.domain.audio_length import LOW_BYTES_PER_S, TYPICAL_BYTES_PER_S
from tt_edge.domain.estimate import Demand
from tt_edge.domain.media import IMAGE_OUTPUT_TOKENS, IMAGE_OUTPUT_TOKENS_MAX, PARTIAL_IMAGE_TOKENS, Asked
from tt_edge.domain.refusals import invalid_request
from tt_edge.domain.tokens import count_prompt_tokens
from tt_edge.protocols.bodies import decode_fields
from tt_edge.protocols.multipart import Form, FormField
from tt_edge.protocols.openai.request import IMAGE_TOKENS
from tt_edge.protocols.port import Request

IMAGES_MAX: Final = 128
PARTIAL_IMAGES_MAX: Final = 16
PLAIN_FORMATS: Final = frozenset({"text", "srt", "vtt"})
FORM_FIELDS: Final = frozenset(
    {"model", "prompt", "n", "stream", "quality", "partial_images", "response_format", "instructions"}
)
"""What is read of a form."""


class Upload(msgspec.Struct, frozen=True):
    """A form that was read whole. `audio_ms` is the length of its file `file`, where its header tells."""

    form: Form
    spool: Spool
    content_type: str
    audio_ms: int | None = None


class MediaRequest(Request, frozen=True, kw_only=True):
    """A request for images or audio. `path` is the provider's; `plain`: the answer is text, not JSON; `upload` and the place of the
    model's name in it, where it came as a form."""

    path: str
    asked: Asked
    plain: bool = False
    upload: Upload | None = None
    model_field: FormField | None = None


class _Image(msgspec.Struct):
    model: str
    prompt: str | None = None
    n: int | None = None
    stream: bool | None = None
    quality: Any = None
    partial_images: int | None = None
    images: Any = None


class _Speech(msgspec.Struct):
    model: str
    input: str | None = None
    instructions: str | None = None
    stream_format: Any = None


_image_decoder = msgspec.json.Decoder(_Image)
_speech_decoder = msgspec.json.Decoder(_Speech)


def parse_generation(body: bytes) -> MediaRequest:
    """POST /v1/images/generations. Raises invalid_request naming the field."""
    return _parse_image(body, "/images/generations")


def parse_edit(body: bytes) -> MediaRequest:
    """POST /v1/images/edits as JSON, whose pictures are references."""
    return _parse_image(body, "/images/edits")


def _parse_image(body: bytes, path: str) -> MediaRequest:
    fields, known = decode_fields(body, _image_decoder)
    sources = len(known.images) if isinstance(known.images, list) else 0
    asked = _asked_images(known, sources)
    return MediaRequest(
        kind="image",
        model=known.model,
        stream=bool(known.stream),
        demand=Demand(input_tokens=asked.input_tokens, output_limit=None, choices=asked.images),
        fields=fields,
        path=path,
        asked=asked,
    )


def parse_edit_form(upload: Upload) -> MediaRequest:
    """POST /v1/images/edits as a form."""
    form = upload.form
    known = _Image(
        model=_model(form).value.decode(),
        prompt=form.text("prompt"),
        n=_number(form, "n"),
        stream=_truth(form, "stream"),
        quality=form.text("quality"),
        partial_images=_number(form, "partial_images"),
    )
    sources = sum(file.name in ("image", "image[]") for file in form.files)
    return _form_request("image", "/images/edits", upload, _asked_images(known, sources), stream=bool(known.stream))


def parse_transcription(upload: Upload) -> MediaRequest:
    """POST /v1/audio/transcriptions."""
    return _parse_listening(upload, "/audio/transcriptions")


def parse_translation(upload: Upload) -> MediaRequest:
    """POST /v1/audio/translations."""
    return _parse_listening(upload, "/audio/translations")


def _parse_listening(upload: Upload, path: str) -> MediaRequest:
    form = upload.form
    file = next((file for file in form.files if file.name == "file"), None)
    if file is None:
        raise invalid_request("Missing required parameter: 'file'.", "file")
    size = file.end - file.start
    audio_ms = upload.audio_ms
    measured = audio_ms is not None
    seconds = -(-audio_ms // 1000) if measured else size // TYPICAL_BYTES_PER_S + 1
    asked = Asked(
        input_tokens=count_prompt_tokens([form.text("prompt") or ""]),
        seconds=seconds,
        seconds_max=seconds if measured else size // LOW_BYTES_PER_S + 1,
        measured=measured,
    )
    plain = form.text("response_format") in PLAIN_FORMATS
    stream = _truth(form, "stream")
    return _form_request("transcription", path, upload, asked, stream=stream, plain=plain)


def parse_speech(body: bytes) -> MediaRequest:
    """POST /v1/audio/speech. Raises invalid_request naming the field."""
    fields, known = decode_fields(body, _speech_decoder)
    if not known.input:
        raise invalid_request("Missing required parameter: 'input' must be a non-empty string.", "input")
    asked = Asked(
        input_tokens=count_prompt_tokens([known.input, known.instructions or ""]), characters=len(known.input)
    )
    return MediaRequest(
        kind="speech",
        model=known.model,
        stream=known.stream_format == "sse",
        stream_content_type=b"",
        demand=Demand(input_tokens=asked.input_tokens, output_limit=None, choices=1),
        fields=fields,
        path="/audio/speech",
        asked=asked,
    )


def _asked_images(known: _Image, sources: int) -> Asked:
    images = known.n if known.n is not None else 1
    if not 1 <= images <= IMAGES_MAX:
        raise invalid_request(f"'n' must be between 1 and {IMAGES_MAX}.", "n")
    partial = min(max(known.partial_images or 0, 0), PARTIAL_IMAGES_MAX)
    each = IMAGE_OUTPUT_TOKENS_MAX
    if isinstance(known.quality, str):
        each = IMAGE_OUTPUT_TOKENS.get(known.quality, IMAGE_OUTPUT_TOKENS_MAX)
    return Asked(
        input_tokens=count_prompt_tokens([known.prompt or ""]),
        image_input_tokens=sources * IMAGE_TOKENS,
        images=images,
        tokens_an_image=each + partial * PARTIAL_IMAGE_TOKENS,
    )


def _form_request(
    kind: Literal["image", "transcription"],
    path: str,
    upload: Upload,
    asked: Asked,
    *,
    stream: bool,
    plain: bool = False,
) -> MediaRequest:
    field = _model(upload.form)
    return MediaRequest(
        kind=kind,
        model=field.value.decode(),
        stream=stream,
        demand=Demand(input_tokens=asked.input_tokens, output_limit=None, choices=max(1, asked.images)),
        fields={},
        path=path,
        asked=asked,
        plain=plain,
        upload=upload,
        model_field=field,
    )


def _model(form: Form) -> FormField:
    field = form.field("model")
    if field is None or not form.text("model"):
        raise invalid_request("You must provide a 'model'.", "model")
    return field


def _number(form: Form, name: str) -> int | None:
    text = form.text(name)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 9:
        raise _wrong(name, "a number")
    return int(text)


def _truth(form: Form, name: str) -> bool:
    text = (form.text(name) or "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise _wrong(name, "'true' or 'false'")
    return text in ("true", "1")


def _wrong(name: str, wanted: str) -> DomainError:
    return invalid_request(f"Invalid value for '{name}': expected {wanted}.", name)
