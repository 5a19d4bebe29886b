"""What the audio endpoints accept, and what belongs to which family of models.

Whisper is billed by the second, has every format and no stream; the models after it are billed by tokens, answer JSON and stream.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from tt_sandbox.provider.dialect import Asked, RequestRefused
from tt_sandbox.provider.openai.fields import Form, read

Json = dict[str, Any]
WHISPER = "whisper"
DIARIZING = "diarize"
OLDER_VOICE = "tts-1"
Granularity = Literal["word", "segment"]


class TranslateForm(Form, frozen=True):
    """POST /v1/audio/translations, without its file."""

    model: str
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"] = "json"
    sandbox: Json | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None


class TranscribeForm(TranslateForm, frozen=True):
    """POST /v1/audio/transcriptions, without its file."""

    chunking_strategy: str | Json | None = None
    include: list[str] | None = None
    keywords: list[str] | None = None
    known_speaker_names: list[str] | None = None
    known_speaker_references: list[str] | None = None
    language: str | None = None
    languages: list[str] | None = None
    stream: bool | None = None
    timestamp_granularities: list[Granularity] | None = None


class SpeechForm(Form, frozen=True):
    """POST /v1/audio/speech."""

    model: str
    input: Annotated[str, Meta(min_length=1, max_length=4_096)]
    voice: Annotated[str, Meta(min_length=1)] | Json
    instructions: str | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    sandbox: Json | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    stream_format: Literal["sse", "audio"] = "audio"


def read_upload(asked: Asked, form_type: type[TranslateForm]) -> TranslateForm:
    """The fields that came with a file. Raises RequestRefused."""
    form = read(form_type, asked.body, strict=False)
    formats = ("json", "text", "srt", "verbose_json", "vtt")
    if WHISPER not in form.model:
        formats = ("json", "text", "diarized_json") if DIARIZING in form.model else ("json", "text")
    if form.response_format not in formats:
        raise RequestRefused(
            f"response_format '{form.response_format}' is not compatible with model '{form.model}'. "
            f"Use {' or '.join(repr(one) for one in formats)} instead.",
            code="unsupported_value",
            param="response_format",
        )
    if isinstance(form, TranscribeForm) and form.timestamp_granularities and form.response_format != "verbose_json":
        raise RequestRefused(
            "Timestamp granularities are only supported with response_format=verbose_json.",
            param="timestamp_granularities",
        )
    return form


def read_speech(asked: Asked) -> SpeechForm:
    """Raises RequestRefused."""
    form = read(SpeechForm, asked.body)
    if form.stream_format == "sse" and form.model.startswith(OLDER_VOICE):
        raise RequestRefused(
            f"stream_format 'sse' is not supported with model '{form.model}'.",
            code="unsupported_value",
            param="stream_format",
        )
    return form
