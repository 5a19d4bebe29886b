"""Take in a form: its bytes to the spool as they arrive, its small fields to memory, the length of its sound from the file's ends."""

import asyncio
import hashlib
from typing import Final

from tt_edge.clients.spool import Spool
from tt_edge.domain.audio_length import END_BYTES, length_ms
from tt_edge.domain.refusals import body_too_slow, no_room_for_upload
from tt_edge.protocols.exchange import Exchange
from tt_edge.protocols.multipart import FormReader
from tt_edge.protocols.openai.media.request import FORM_FIELDS, Upload

SOUND: Final = "file"
UPLOAD_S_MAX: Final = 900.0
"""100 MiB at 1 Mbit/s; a slower one would hold its place on disk for too long."""


async def read_upload(exchange: Exchange, spool: Spool, bytes_max: int) -> tuple[Upload, bytes]:
    """The form, and what tells it from other forms. Raises invalid_request, request_too_large, request_timeout,
    upload_unavailable, ClientGone."""
    content_type = exchange.header(b"content-type") or ""
    identity = hashlib.sha256() if b"idempotency-key" in exchange.headers else None
    reader = FormReader(content_type, FORM_FIELDS, identity)
    try:
        async with asyncio.timeout(UPLOAD_S_MAX):
            async for data in exchange.body_parts(bytes_max):
                reader.feed(data)
                await spool.write(data)
    except TimeoutError:
        raise body_too_slow() from None
    await spool.flush()
    form = reader.form()
    audio_ms = None
    sound = next((file for file in form.files if file.name == SOUND), None)
    if sound is not None:
        size = sound.end - sound.start
        try:
            head = await spool.read(sound.start, sound.start + min(size, END_BYTES))
            tail = await spool.read(max(sound.start, sound.end - END_BYTES), sound.end)
        except OSError as error:
            raise no_room_for_upload() from error
        audio_ms = length_ms(head, tail, size)
    return Upload(form, spool, content_type, audio_ms), identity.digest() if identity is not None else b""
