"""POST /v1/images/generations and /v1/images/edits: real, tiny PNGs whatever size and format were asked for.

Images count when they are written whole; a partial image of a stream costs tokens, and is no image.
"""

import base64
import time
from collections.abc import Iterator
from typing import Any

import orjson

from tt_sandbox.provider import content, pictures
from tt_sandbox.provider.dialect import Asked, RequestRefused
from tt_sandbox.provider.openai.events import ERROR_EVENT
from tt_sandbox.provider.openai.images.forms import OLDER, ImageForm, read_edit, read_generation
from tt_sandbox.provider.records import TokenCounts
from tt_sandbox.provider.streams import Event, Script, play
from tt_sandbox.provider.wire import Exchange

# Tokens of an image by quality, square and not: the vendor's table for gpt-image-1.
TOKENS = {"low": (272, 408), "medium": (1_056, 1_584), "high": (4_160, 6_240)}
PARTIAL_TOKENS = 100
QUALITY = "medium"
SIZE = "1024x1024"
PICTURES = "/sandbox/images/"
BLOCKED = ("refusal", "recitation", "prompt_blocked")


async def generate(exchange: Exchange, asked: Asked) -> None:
    """Answers one generation. Raises RequestRefused before anything is sent."""
    form = read_generation(asked.body)
    await _answer(exchange, _Images(exchange.call.seq, asked, form, "image_generation", 0))


async def edit(exchange: Exchange, asked: Asked) -> None:
    """Answers one edit. Raises RequestRefused before anything is sent."""
    form, sources = read_edit(asked)
    await _answer(exchange, _Images(exchange.call.seq, asked, form, "image_edit", len(sources)))


async def _answer(exchange: Exchange, images: "_Images") -> None:
    call, switches = exchange.call, images.asked.switches
    if switches.finish in BLOCKED:
        message = "Your request was rejected by the safety system. If you believe this is an error, contact us."
        raise RequestRefused(message, code="moderation_blocked")
    call.id, call.stream = f"img-sandbox{call.seq:012d}", bool(images.form.stream)
    call.expect(images.counts)
    if images.form.stream:
        await play(exchange, Script((), images.events(), (), lambda: ERROR_EVENT), switches)
        return
    reported = images.reports_tokens and not switches.omit_usage
    call.vendor_usage = orjson.dumps(images.usage) if reported else None
    await exchange.answer(200, orjson.dumps(images.whole(with_usage=reported)))
    call.delivered()


class _Images:
    """One answer before its first byte."""

    def __init__(self, seq: int, asked: Asked, form: ImageForm, kind: str, sources: int) -> None:
        self.asked = asked
        self.form = form
        self._kind = kind
        self._seq = seq
        self._created = int(time.time())
        self.reports_tokens = not any(name in asked.model for name in OLDER)
        switches = asked.switches
        wanted = form.n or 1
        # The vendor may give fewer than were asked for.
        made = wanted if switches.images is None else min(wanted, switches.images)
        self._quality = QUALITY if form.quality in (None, "auto") else form.quality
        self._size = SIZE if form.size in (None, "auto") else form.size
        if self.reports_tokens:
            text = content.count_tokens(form.prompt)
            self._pictured = content.IMAGE_TOKENS * sources
            prompt = text + self._pictured if switches.prompt_tokens is None else switches.prompt_tokens
            each = self._tokens_each() if switches.output_tokens is None else switches.output_tokens
            self.counts = TokenCounts(input=prompt, output=each * made + self._partial_tokens(), images=made)
        else:
            self.counts = TokenCounts(images=made)

    @property
    def usage(self) -> dict[str, Any]:
        """The usage object of the whole answer."""
        counts = self.counts
        pictured = min(self._pictured, counts.input)
        return {
            "input_tokens": counts.input,
            "input_tokens_details": {"text_tokens": counts.input - pictured, "image_tokens": pictured},
            "output_tokens": counts.output,
            "output_tokens_details": {"text_tokens": 0, "image_tokens": counts.output},
            "total_tokens": counts.input + counts.output,
        }

    def whole(self, *, with_usage: bool) -> dict[str, Any]:
        """The answer in one piece."""
        body: dict[str, Any] = {"created": self._created}
        if self.reports_tokens:
            body |= self._described()
        body["data"] = [self._image(index) for index in range(self.counts.images)]
        return {**body, "usage": self.usage} if with_usage else body

    def events(self) -> Iterator[Event]:
        """The partial images, then the whole one with the usage."""
        described = {**self._described(), "created_at": self._created}
        for index in range(self.form.partial_images or 0):
            fields = {"b64_json": self._base64(f"partial {index}"), "partial_image_index": index, **described}
            yield Event(self._event("partial_image", fields), PARTIAL_TOKENS)
        if not self.counts.images:
            return
        usage = None if self.asked.switches.omit_usage else orjson.dumps(self.usage)
        fields = {"b64_json": self._base64("0"), **described}
        fields |= {} if usage is None else {"usage": orjson.Fragment(usage)}
        tokens = self.counts.output - self._partial_tokens()
        yield Event(self._event("completed", fields), tokens, usage, images=1)

    def _image(self, index: int) -> dict[str, Any]:
        if self.reports_tokens:
            return {"b64_json": self._base64(str(index))}
        found: dict[str, Any] = {"revised_prompt": self.form.prompt} if "dall-e-3" in self.asked.model else {}
        if self.form.response_format == "b64_json":
            return {**found, "b64_json": self._base64(str(index))}
        host = self.asked.headers.get(b"host", b"localhost").decode("latin-1")
        return {**found, "url": f"http://{host}{PICTURES}{self._seq}-{index}.png"}

    def _base64(self, name: str) -> str:
        return base64.b64encode(pictures.png(f"{self._seq}-{name}")).decode()

    def _event(self, step: str, fields: dict[str, Any]) -> bytes:
        kind = f"{self._kind}.{step}"
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))

    def _described(self) -> dict[str, Any]:
        background = self.form.background
        return {
            "background": "opaque" if background in (None, "auto") else background,
            "output_format": self.form.output_format or "png",
            "quality": self._quality,
            "size": self._size,
        }

    def _tokens_each(self) -> int:
        width, height = (self._size or SIZE).split("x")
        return TOKENS[self._quality or QUALITY][width != height]

    def _partial_tokens(self) -> int:
        return PARTIAL_TOKENS * (self.form.partial_images or 0)
