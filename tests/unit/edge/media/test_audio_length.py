"""The length of a sound by its own header, and what a forged header can't do."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.media import wav
from tt_edge.domain.audio_length import length_ms


def of(data: bytes, size: int | None = None) -> int | None:
    return length_ms(data[:65_536], data[-65_536:], size or len(data))


def flac(samples: int, rate: int = 44_100) -> bytes:
    packed = (rate << 44 | 1 << 41 | 15 << 36 | samples).to_bytes(8, "big")
    return b"fLaC" + bytes([0, 0, 0, 34]) + bytes(10) + packed + bytes(16)


def ogg(granule: int, head: bytes) -> bytes:
    first = b"OggS\0\2" + bytes(22) + head
    return first + bytes(5_000) + b"OggS\0\4" + struct.pack("<q", granule) + bytes(20)


OPUS = b"OpusHead\1\1" + bytes(9)
VORBIS = b"\1vorbis" + struct.pack("<IBI", 0, 1, 16_000) + bytes(14)
MP3_128 = b"\xff\xfb\x90\x00"


def xing(frames: int) -> bytes:
    return MP3_128 + bytes(32) + b"Xing" + struct.pack(">II", 1, frames) + bytes(400)


@pytest.mark.parametrize(
    ("data", "size", "length"),
    [
        (wav(7), None, 7_000),
        (wav(7) + b"LIST" + bytes(100), None, 7_000),
        (wav(7)[:40] + b"\xff\xff\xff\xff" + wav(7)[44:], None, 7_000),
        (flac(44_100 * 9), None, 9_000),
        (ogg(48_000 * 5, OPUS), None, 5_000),
        (ogg(16_000 * 6, VORBIS), None, 6_000),
        (MP3_128 + bytes(500), 160_000, 10_000),
        (b"ID3\4\0\0\0\0\1\0" + bytes(128) + MP3_128 + bytes(500), 160_138, 10_000),
        (xing(1_000), 160_000, 26_122),
        (b"\x1aE\xdf\xa3" + bytes(100), None, None),
        (b"", 0, None),
    ],
)
def test_the_length_is_read(data: bytes, size: int | None, length: int | None) -> None:
    assert of(data, size) == length


@pytest.mark.parametrize(
    ("data", "size", "at_least_ms"),
    [
        (wav(600)[:40] + struct.pack("<I", 2) + wav(600)[44:], None, 600_000),
        (flac(1), 44_100 * 4 * 60, 60_000),
        (ogg(1, OPUS), 63_750 * 60, 60_000),
        (xing(1), 40_000 * 60, 60_000),
    ],
)
def test_a_forged_header_makes_no_long_sound_short(data: bytes, size: int | None, at_least_ms: int) -> None:
    length = of(data, size)
    assert length is not None
    assert length >= at_least_ms


@given(
    start=st.sampled_from([b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b""]),
    rest=st.binary(max_size=300),
)
def test_nonsense_is_no_length_and_no_error(start: bytes, rest: bytes) -> None:
    length = of(start + rest)
    assert length is None or length >= 0
