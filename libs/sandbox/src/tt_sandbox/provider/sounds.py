"""Sound that can be told apart and decoded: a plain triangle wave, 16 bits, one channel. Deterministic."""

import struct
from array import array
from functools import lru_cache

SAMPLE_RATE = 24_000
# Twenty milliseconds of sound for a token.
TOKEN_SAMPLES = 480
PERIOD_SAMPLES = 48


@lru_cache(maxsize=64)
def pcm(tokens: int) -> bytes:
    """Little-endian samples that take twenty milliseconds a token."""
    half = PERIOD_SAMPLES // 2
    period = [abs(half - index) * 256 for index in range(PERIOD_SAMPLES)]
    return array("h", period * (tokens * TOKEN_SAMPLES // PERIOD_SAMPLES)).tobytes()


def wav_header(data_bytes: int) -> bytes:
    """The 44 bytes that make samples of that size a WAV file."""
    sizes = (16, 1, 1, SAMPLE_RATE, SAMPLE_RATE * 2, 2, 16)
    head = b"RIFF" + struct.pack("<I", data_bytes + 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", *sizes)
    return head + b"data" + struct.pack("<I", data_bytes)
