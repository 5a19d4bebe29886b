"""Uploaded sound: what the vendor takes, and how long it lasts. Reads no more than a file's first bytes."""

import struct

from tt_sandbox.provider.dialect import Asked, RequestRefused, Upload
from tt_sandbox.provider.openai.fields import missing

FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
BYTES_MAX = 25 * 1024 * 1024
SECONDS_MIN = 0.1
# Of what is no WAV the length is guessed: 128 kbit/s.
BYTES_PER_SECOND = 16_000


def seconds_of(asked: Asked) -> float:
    """The length of the request's sound; a switch wins over it. Raises RequestRefused."""
    upload = next(iter(asked.files.get("file", ())), None)
    if upload is None:
        raise missing("file")
    if upload.size_bytes > BYTES_MAX:
        message = f"Maximum content size limit ({BYTES_MAX}) exceeded ({upload.size_bytes} bytes read)"
        raise RequestRefused(message, 413)
    if upload.filename.rpartition(".")[2].lower() not in FORMATS:
        raise RequestRefused(f"Unrecognized file format. Supported formats: {list(FORMATS)}", param="file")
    seconds = wav_seconds(upload)
    if seconds is None:
        seconds = upload.size_bytes / BYTES_PER_SECOND
    if asked.switches.audio_seconds is not None:
        seconds = asked.switches.audio_seconds
    if seconds < SECONDS_MIN:
        message = f"Audio file is too short. Minimum audio length is {SECONDS_MIN} seconds."
        raise RequestRefused(message, code="audio_too_short", param="file")
    return seconds


def wav_seconds(upload: Upload) -> float | None:
    """The length that a WAV file's header tells, but no more than what was uploaded; None if it is no WAV."""
    head = upload.head
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at, bytes_per_second = 12, 0
    while at + 8 <= len(head):
        kind, size = struct.unpack_from("<4sI", head, at)
        if kind == b"fmt " and at + 20 <= len(head):
            (bytes_per_second,) = struct.unpack_from("<I", head, at + 16)
        if kind == b"data":
            # A WAV that was made as it went has no true size in its header.
            present = min(size, upload.size_bytes - at - 8)
            return present / bytes_per_second if bytes_per_second else None
        at += 8 + size + size % 2
    return None
