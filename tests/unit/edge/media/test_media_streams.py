"""Streams of images, transcripts and speech: any split gives the same events; the last is held back for its cost."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.rating import Usage
from tt_edge.protocols.openai.media.answer import parse_media_answer
from tt_edge.protocols.openai.media.request import parse_generation, parse_speech
from tt_edge.protocols.openai.media.stream import EventTap, SoundTap
from tt_edge.protocols.openai.media.usage import begun_seconds, parse_media_usage

ONE = parse_generation(b'{"model":"m","prompt":"a fox","stream":true}')
TWO = parse_generation(b'{"model":"m","prompt":"a fox","n":2,"stream":true}')
USAGE = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


PARTIAL = event("image_generation.partial_image", b64_json="AA")
DONE = event("image_generation.completed", b64_json="AA", usage=USAGE)
STREAM = PARTIAL + PARTIAL + DONE


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=10))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    tap = EventTap(ONE)
    places = [0, *sorted(cuts), len(STREAM)]

    out = b"".join(tap.feed(STREAM[start:end]) for start, end in itertools.pairwise(places))

    assert (out, tap.complete) == (PARTIAL * 2, True)
    assert tap.usage == Usage(input_tokens=9, output_tokens=5, images=1)
    last = json.loads(tap.tail("0.5").split(b"data: ")[1])
    assert last["usage"] == {**USAGE, "cost": 0.5}


def test_of_two_images_each_is_counted_and_paid() -> None:
    tap = EventTap(TWO)

    out = tap.feed(DONE)
    assert (out, tap.complete) == (b"", False)
    out = tap.feed(DONE)

    assert (out, tap.complete) == (DONE, True)
    assert tap.usage == Usage(input_tokens=18, output_tokens=10, images=2)


def test_a_stream_that_ends_with_fewer_images_is_complete_and_one_without_any_is_not() -> None:
    fewer, none = EventTap(TWO), EventTap(TWO)
    fewer.feed(DONE)
    none.feed(PARTIAL)

    assert (fewer.end(), none.end()) == (b"", b"")

    assert (fewer.complete, none.complete) == (True, False)


def test_after_an_error_a_stream_is_not_complete() -> None:
    tap = EventTap(TWO)
    error = event("error", error={"message": "no"})

    assert tap.feed(DONE + error) == error
    tap.end()

    assert (tap.failed, tap.complete) == (True, False)


def test_what_is_no_event_passes() -> None:
    tap = EventTap(ONE)
    odd = b": ping\n\ndata: {not json\n\ndata: 5\n\n"

    assert tap.feed(odd) == odd


def test_sound_passes_byte_for_byte_and_has_no_words_for_an_error() -> None:
    tap = SoundTap()

    assert tap.feed(b"\n\n\x00\xff") == b"\n\n\x00\xff"
    assert tap.broken(b"error") == b""
    tap.end()
    assert tap.complete


@pytest.mark.parametrize(
    ("raw", "kind", "usage"),
    [
        (b'{"type":"duration","seconds":6.01}', "transcription", Usage(seconds=7)),
        (
            b'{"type":"tokens","input_tokens":14,"input_token_details":{"audio_tokens":10},"output_tokens":3}',
            "transcription",
            Usage(input_tokens=4, audio_input_tokens=10, output_tokens=3),
        ),
        (b'{"input_tokens":4,"output_tokens":9}', "speech", Usage(input_tokens=4, audio_output_tokens=9)),
        (
            b'{"input_tokens":9,"input_tokens_details":{"image_tokens":5,"cached_tokens":2},"output_tokens":1}',
            "image",
            Usage(input_tokens=2, image_input_tokens=5, cache_read_tokens=2, output_tokens=1),
        ),
        (b'{"input_tokens":-1,"output_tokens":1}', "image", Usage()),
        (b'{"input_tokens":1e30}', "image", Usage()),
        (b"null", "image", Usage()),
        (b"", "image", Usage()),
    ],
)
def test_usage_is_read_in_every_form(raw: bytes, kind: Any, usage: Usage) -> None:
    assert parse_media_usage(raw, kind) == usage


@pytest.mark.parametrize(("said", "seconds"), [(0.1, 1), (7, 7), (-1, 0), (float("nan"), 0), (1e300, 0), ("7", 0)])
def test_a_length_that_is_none_counts_as_nothing(said: Any, seconds: int) -> None:
    assert begun_seconds(said) == seconds


def test_only_images_that_are_there_are_counted() -> None:
    body = b'{"created":1,"data":[{"b64_json":"AA"},{"url":"u"},{"b64_json":null},{}],"usage":{"input_tokens":1,"x":1}}'

    answer = parse_media_answer(ONE, body)

    assert answer is not None
    assert answer.usage.images == 2
    assert answer.rendered("m", "0.1") == body.replace(b'"x":1', b'"x":1,"cost":0.1')


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data":5}', b'{"error":{"message":"no"}}'])
def test_what_has_no_images_is_no_answer(body: bytes) -> None:
    assert parse_media_answer(ONE, body) is None


def test_speech_is_counted_in_characters_as_people_count_them() -> None:
    assert parse_speech('{"model":"m","input":"schön 🌍","voice":"x"}'.encode()).asked.characters == 7
