"""How long an uploaded sound lasts, by its own header: WAV, FLAC, Ogg (Opus, Vorbis), MP3. Pure; integers only.

Reads a file's first and last bytes alone. What a header says is bounded from below by what the format can pack into the file's size,
so that a forged header makes no call much cheaper.
"""

import struct
from typing import Final

END_BYTES: Final = 64 * 1024
"""How much of both ends of a file is looked at."""
TYPICAL_BYTES_PER_S: Final = 8_000
"""64 kbit/s, where a file says nothing of its length."""
LOW_BYTES_PER_S: Final = 2_000
"""16 kbit/s: few recordings are packed more densely."""
OPUS_BYTES_PER_S_MAX: Final = 63_750
MP3_BYTES_PER_S_MAX: Final = 40_000
OPUS_RATE: Final = 48_000
WAV_TRAILER_BYTES_MAX: Final = 64 * 1024
_MP3_KBITS: Final = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def length_ms(head: bytes, tail: bytes, size_bytes: int) -> int | None:
    """Milliseconds; None where the file's format or header does not tell. `head` and `tail` are its first and last bytes."""
    try:
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            return _wav(head, size_bytes)
        if head[:4] == b"fLaC":
            return _flac(head, size_bytes)
        if head[:4] == b"OggS":
            return _ogg(head, tail, size_bytes)
        return _mp3(head, size_bytes)
    except (struct.error, IndexError, ZeroDivisionError):
        return None  # cut short, or no sound at all


def _wav(head: bytes, size_bytes: int) -> int | None:
    at, bytes_per_s = 12, 0
    while at + 8 <= len(head):
        kind, size = struct.unpack_from("<4sI", head, at)
        if kind == b"fmt ":
            form, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at + 8)
            if form not in (1, 3, 0xFFFE):
                return None  # packed by a codec
            bytes_per_s = rate * channels * (bits // 8)
        if kind == b"data":
            present = size_bytes - at - 8
            # One that was written as it was recorded has no true size.
            sound = size if size <= present <= size + WAV_TRAILER_BYTES_MAX else present
            return sound * 1000 // bytes_per_s
        at += 8 + size + size % 2
    return None


def _flac(head: bytes, size_bytes: int) -> int | None:
    if head[4] & 0x7F:
        return None
    packed = int.from_bytes(head[18:26], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    samples = packed & 0xF_FFFF_FFFF
    if not samples:
        return None
    return max(samples * 1000 // rate, size_bytes * 8000 // (rate * channels * bits))


def _ogg(head: bytes, tail: bytes, size_bytes: int) -> int | None:
    page = tail.rfind(b"OggS")
    if page < 0:
        return None
    (granule,) = struct.unpack_from("<q", tail, page + 6)
    if b"OpusHead" in head[:128]:
        rate = OPUS_RATE
    else:
        at = head.find(b"\x01vorbis", 0, 128)
        if at < 0:
            return None
        (rate,) = struct.unpack_from("<I", head, at + 12)
    if granule <= 0:
        return None
    return max(granule * 1000 // rate, size_bytes * 1000 // OPUS_BYTES_PER_S_MAX)


def _mp3(head: bytes, size_bytes: int) -> int | None:
    at = 0
    if head[:3] == b"ID3":
        at = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    first, second, third = head[at], head[at + 1], head[at + 2]
    version, layer, kbits, rate = second >> 3 & 3, second >> 1 & 3, third >> 4, third >> 2 & 3
    if first != 0xFF or second & 0xE0 != 0xE0 or version == 1 or layer != 1 or kbits in (0, 15) or rate == 3:
        return None
    least = size_bytes * 1000 // MP3_BYTES_PER_S_MAX
    frames_at = max(head.find(b"Xing", at, at + 64), head.find(b"Info", at, at + 64))
    if frames_at > 0 and head[frames_at + 7] & 1:
        (frames,) = struct.unpack_from(">I", head, frames_at + 8)
        samples = 1152 if version == 3 else 576
        return max(least, frames * samples * 1000 // _MP3_RATES[version][rate])
    return (size_bytes - at) * 8 // _MP3_KBITS[1 if version == 3 else 2][kbits]
