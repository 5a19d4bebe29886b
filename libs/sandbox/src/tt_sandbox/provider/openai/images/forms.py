"""What the image endpoints accept, and what belongs to which family of models.

GPT image models answer base64, can stream, and report tokens; the older DALL-E models answer a URL or base64, and report nothing.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from tt_sandbox.provider.dialect import Asked, RequestRefused, Upload
from tt_sandbox.provider.openai.fields import Form, missing, read

Json = dict[str, Any]
OLDER = ("dall-e-2", "dall-e-3")
OLDER_SIZES = {
    "dall-e-2": ("256x256", "512x512", "1024x1024"),
    "dall-e-3": ("1024x1024", "1024x1792", "1792x1024"),
}
OLDER_ONLY = ("response_format", "style")
NEWER_ONLY = (
    "background",
    "moderation",
    "output_compression",
    "output_format",
    "partial_images",
    "stream",
    "input_fidelity",
)
SOURCES_MAX = 16
SOURCE_BYTES_MAX = 50 * 1024 * 1024


class ImageForm(Form, frozen=True):
    """A request for images; the first fields are those of both endpoints."""

    model: str
    prompt: Annotated[str, Meta(min_length=1, max_length=32_000)]
    background: Literal["transparent", "opaque", "auto"] | None = None
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    quality: Literal["low", "medium", "high", "auto", "standard", "hd"] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    safety_identifier: str | None = None
    sandbox: Json | None = None
    size: Annotated[str, Meta(pattern=r"^(auto|\d{2,5}x\d{2,5})$")] | None = None
    stream: bool | None = None
    user: str | None = None


class GenerateForm(ImageForm, frozen=True):
    """POST /v1/images/generations."""

    moderation: Literal["low", "auto"] | None = None
    style: Literal["vivid", "natural"] | None = None


class EditForm(ImageForm, frozen=True):
    """POST /v1/images/edits, without its files."""

    input_fidelity: Literal["high", "low"] | None = None


def read_generation(body: Mapping[str, Any]) -> GenerateForm:
    """Raises RequestRefused."""
    form = read(GenerateForm, body)
    _check(form, body)
    return form


def read_edit(asked: Asked) -> tuple[EditForm, list[Upload]]:
    """The form and its images. Raises RequestRefused."""
    form = read(EditForm, asked.body, strict=False)
    _check(form, asked.body)
    sources = asked.files.get("image", [])
    if not sources:
        raise missing("image")
    if len(sources) > SOURCES_MAX:
        raise RequestRefused(
            f"Invalid 'image': at most {SOURCES_MAX} images.", code="array_above_max_length", param="image"
        )
    for source in [*sources, *asked.files.get("mask", [])]:
        if source.size_bytes > SOURCE_BYTES_MAX or not source.head.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF")):
            raise RequestRefused(
                "Invalid image file or mode for image, please check your image file.", code="invalid_image_file"
            )
    return form, sources


def _check(form: ImageForm, body: Mapping[str, Any]) -> None:
    family = next((name for name in OLDER if name in form.model), None)
    for name in NEWER_ONLY if family else OLDER_ONLY:
        if body.get(name) is not None:
            raise RequestRefused(f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
    if family and form.size not in (None, *OLDER_SIZES[family]):
        supported = ", ".join(f"'{size}'" for size in OLDER_SIZES[family])
        raise RequestRefused(
            f"Invalid value: '{form.size}'. Supported values are: {supported}.", code="invalid_value", param="size"
        )
    if family == "dall-e-3" and (form.n or 1) > 1:
        raise RequestRefused("You must provide n=1 for this model.", code="invalid_n", param="n")
    qualities = ("standard", "hd") if family else ("low", "medium", "high", "auto")
    if form.quality not in (None, *qualities):
        supported = ", ".join(f"'{quality}'" for quality in qualities)
        raise RequestRefused(
            f"Invalid value: '{form.quality}'. Supported values are: {supported}.",
            code="invalid_value",
            param="quality",
        )
    if form.partial_images is not None and not form.stream:
        raise RequestRefused("'partial_images' is only allowed when 'stream' is enabled.", param="partial_images")
    # What the vendor does with several images in a stream is not documented.
    if form.stream and (form.n or 1) > 1:
        raise RequestRefused("Streaming is only supported with n=1.", param="n")
