"""How long an upload lasts: read from a WAV's header, no longer than what was there."""

import io
import struct
import wave

import pytest

from tt_sandbox.provider import sounds
from tt_sandbox.provider.dialect import Upload
from tt_sandbox.provider.openai.audio.transcripts import Transcript
from tt_sandbox.provider.openai.audio.uploads import wav_seconds


def wav(seconds: float, rate: int = 8_000) -> bytes:
    """A real WAV file, by the standard library."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", "NONE"))
        writer.writeframes(b"\0\0" * round(seconds * rate))
    return file.getvalue()


def seconds_of(data: bytes, head: int = 64 * 1024) -> float | None:
    return wav_seconds(Upload("a.wav", "audio/wav", len(data), data[:head]))


@pytest.mark.parametrize("seconds", [0.5, 1, 61.25])
def test_length_is_in_the_header(seconds: float) -> None:
    assert seconds_of(wav(seconds)) == seconds


def test_chunks_before_the_sound_are_passed_over() -> None:
    data = wav(2)
    with_more = data[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + data[12:]

    assert seconds_of(with_more) == 2


def test_header_that_promises_more_than_there_is_counts_for_what_there_is() -> None:
    data = wav(1)
    endless = data[:40] + b"\xff\xff\xff\xff" + data[44:]

    assert seconds_of(endless) == 1


@pytest.mark.parametrize(
    "data", [b"", b"ID3", b"RIFF", b"RIFF\0\0\0\0AVI ", wav(1)[:20], b"RIFF\0\0\0\0WAVEdata\x01\0\0\0x", wav(1)[:40]]
)
def test_what_is_no_wav_has_no_header_to_read(data: bytes) -> None:
    assert seconds_of(data) is None


def test_sandboxs_own_sound_is_a_real_wav() -> None:
    data = sounds.wav_header(len(sounds.pcm(50))) + sounds.pcm(50)

    with wave.open(io.BytesIO(data)) as read:
        assert (read.getframerate(), read.getnframes()) == (sounds.SAMPLE_RATE, sounds.SAMPLE_RATE)
    assert seconds_of(data) == 1


def test_subtitles_go_on_past_an_hour() -> None:
    said = Transcript(tuple(["word "] * 6), 3_663.5)

    last = "01:01:03,500"
    assert said.subtitles("srt").splitlines()[5].endswith(last)
    assert said.subtitles("vtt").splitlines()[5].endswith(last.replace(",", "."))
