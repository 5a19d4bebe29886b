"""OpenAI's audio endpoints through the official SDK: every format, both ways to be billed, streams that add up."""

import base64
import io
import json
import wave
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.integration.provider.conftest import Door
from tt_sandbox.provider import sounds

# 100 tokens of the sandbox's sound are two seconds.
TWO_SECONDS = sounds.wav_header(len(sounds.pcm(100))) + sounds.pcm(100)
SAID = {"completion_text": "one two three four five six"}
BEARER = {"Authorization": "Bearer k"}


def transcribe(sdk: OpenAI, switches: Any = None, **fields: Any) -> Any:
    wanted: Any = {"model": "whisper-1", "file": ("a.wav", TWO_SECONDS)} | fields
    return sdk.audio.transcriptions.create(**wanted, extra_body={"sandbox": SAID | (switches or {})})


def speak(door: Door, switches: Any = None, **fields: Any) -> Any:
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "say this", "sandbox": switches or {}} | fields
    return door.http.post("/v1/audio/speech", json=body, headers=BEARER)


def used(door: Door) -> dict[str, int]:
    return {name: count for name, count in door.record()["usage"].items() if count}


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def test_whisper_is_billed_by_the_second(openai_sdk: OpenAI, door: Door) -> None:
    answer = transcribe(openai_sdk)

    assert answer.text == SAID["completion_text"]
    assert answer.usage.model_dump() == {"type": "duration", "seconds": 2.0}
    assert used(door) == {"seconds": 2}
    assert door.record()["vendor_usage"] == {"type": "duration", "seconds": 2}


def test_begun_seconds_count_and_a_switch_sets_them(openai_sdk: OpenAI, door: Door) -> None:
    assert transcribe(openai_sdk, {"audio_seconds": 61.2}).usage.seconds == 62


def test_later_models_are_billed_by_tokens(openai_sdk: OpenAI, door: Door) -> None:
    usage = transcribe(openai_sdk, model="gpt-4o-transcribe", prompt="be exact").usage

    assert usage.model_dump() == {
        "type": "tokens",
        "input_tokens": 22,
        "input_token_details": {"text_tokens": 2, "audio_tokens": 20},
        "output_tokens": 6,
        "total_tokens": 28,
    }
    assert used(door) == {"input": 2, "audio_input": 20, "output": 6, "seconds": 2}
    assert door.record()["vendor_usage"] == usage.model_dump()


@pytest.mark.parametrize("usage", [{"prompt_tokens": 50}, {"prompt_tokens": 50, "audio_input_tokens": 30}])
def test_switches_set_the_tokens(openai_sdk: OpenAI, door: Door, usage: dict[str, int]) -> None:
    transcribe(openai_sdk, usage, model="gpt-4o-transcribe")

    audio = usage.get("audio_input_tokens", 20)
    assert used(door) == {"input": 50 - audio, "audio_input": audio, "output": 6, "seconds": 2}


def test_text_formats_have_no_usage_but_the_record_has(openai_sdk: OpenAI, door: Door) -> None:
    answers = {kind: transcribe(openai_sdk, response_format=kind) for kind in ("text", "srt", "vtt")}

    assert answers["text"] == "one two three four five six\n"
    assert answers["srt"].splitlines()[:4] == ["1", "00:00:00,000 --> 00:00:01,667", "one two three four five", ""]
    assert answers["vtt"].startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.667\none two")
    assert [(record["usage"]["seconds"], record["vendor_usage"]) for record in door.records()] == [(2, None)] * 3


def test_verbose_json_has_times(openai_sdk: OpenAI, door: Door) -> None:
    plain = transcribe(openai_sdk, response_format="verbose_json")
    words = transcribe(openai_sdk, response_format="verbose_json", timestamp_granularities=["word"])

    assert (plain.duration, [segment.text for segment in plain.segments]) == (2.0, ["one two three four five", "six"])
    assert (plain.words, plain.usage.seconds) == (None, 2)
    assert words.segments is None
    assert [(word.word, word.end) for word in words.words][-1] == ("six", 2.0)


def test_speakers_are_told_apart_by_the_model_that_can(openai_sdk: OpenAI, door: Door) -> None:
    answer = transcribe(openai_sdk, model="gpt-4o-transcribe-diarize", response_format="diarized_json")

    assert [segment.speaker for segment in answer.segments] == ["A", "B"]
    assert answer.usage.output_tokens == 6


def test_stream_accumulates_to_the_whole_answer(openai_sdk: OpenAI, door: Door) -> None:
    whole = transcribe(openai_sdk, model="gpt-4o-transcribe")
    *deltas, done = list(transcribe(openai_sdk, model="gpt-4o-transcribe", stream=True))

    assert "".join(event.delta for event in deltas) == done.text == whole.text
    assert done.usage.model_dump() == whole.usage.model_dump()
    first, second = door.records()
    assert (first["usage"], first["vendor_usage"]) == (second["usage"], second["vendor_usage"])


def test_whisper_ignores_the_wish_for_a_stream(door: Door) -> None:
    form = {"model": "whisper-1", "stream": "true"}
    answer = door.http.post(
        "/v1/audio/transcriptions", data=form, files={"file": ("a.wav", TWO_SECONDS)}, headers=BEARER
    )

    assert answer.json()["usage"]["type"] == "duration"
    assert door.record()["stream"] is False


def test_failure_in_mid_stream_is_an_error_event(openai_sdk: OpenAI, door: Door) -> None:
    with pytest.raises(openai.APIError, match="The server had an error"):
        list(transcribe(openai_sdk, {"error_after_chunks": 2}, model="gpt-4o-transcribe", stream=True))

    record = door.record()
    assert (record["usage"]["output"], record["vendor_usage"]) == (2, None)


def test_translation_has_no_usage_but_the_record_has(door: Door) -> None:
    # The SDK calls it deprecated; clients still send it.
    files = {"model": (None, "whisper-1"), "sandbox": (None, json.dumps(SAID)), "file": ("a.wav", TWO_SECONDS)}
    answer = door.http.post("/v1/audio/translations", files=files, headers=BEARER)

    assert answer.json() == {"text": SAID["completion_text"]}
    assert used(door) == {"seconds": 2}
    assert door.record()["vendor_usage"] is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"file": ("a.txt", TWO_SECONDS)}, "Unrecognized file format"),
        ({"file": ("a.wav", TWO_SECONDS[:80])}, "too short"),
        ({"model": "gpt-4o-transcribe", "response_format": "srt"}, "not compatible with model"),
        ({"response_format": "diarized_json"}, "not compatible with model"),
        ({"response_format": "what"}, "Invalid value: 'what'"),
        ({"timestamp_granularities": ["word"]}, "verbose_json"),
        ({"temperature": 3}, "decimal above maximum"),
        ({"model": ""}, "must provide a model"),
    ],
)
def test_request_is_refused_as_the_vendor_does(openai_sdk: OpenAI, door: Door, fields: Any, message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        transcribe(openai_sdk, **fields)

    assert used(door) == {}


def test_form_without_a_file_is_refused(door: Door) -> None:
    # A form of fields alone is only multipart when it has a part with a file.
    answer = door.http.post("/v1/audio/transcriptions", files={"model": (None, "whisper-1")}, headers=BEARER)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


def test_upload_over_the_vendors_limit_is_too_large(openai_sdk: OpenAI, door: Door) -> None:
    with pytest.raises(openai.APIStatusError, match="Maximum content size limit") as refused:
        transcribe(openai_sdk, file=("a.mp3", bytes(26 * 1024 * 1024)))

    assert refused.value.status_code == 413


def test_older_voices_are_billed_by_the_character(openai_sdk: OpenAI, door: Door) -> None:
    spoken = openai_sdk.audio.speech.create(model="tts-1", voice="alloy", input="hä? say this", response_format="wav")

    with wave.open(io.BytesIO(spoken.content)) as sound:
        # Four tokens a word, each of twenty milliseconds.
        assert sound.getnframes() / sound.getframerate() == pytest.approx(3 * 4 * 0.02)
    assert used(door) == {"characters": 12}
    assert door.record()["vendor_usage"] is None


def test_later_voices_are_billed_by_tokens(door: Door) -> None:
    answer = speak(door, {"audio_output_tokens": 9}, instructions="be calm")

    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.content == sounds.pcm(9)
    assert used(door) == {"input": 4, "audio_output": 9, "characters": 8}
    assert door.record()["vendor_usage"] is None, "bytes have no place for it"


def test_events_carry_the_same_sound_and_the_usage(door: Door) -> None:
    *deltas, done = events(speak(door, stream_format="sse").text)

    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == sounds.pcm(8)
    usage = {"input_tokens": 2, "output_tokens": 8, "total_tokens": 10}
    assert done == {"type": "speech.audio.done", "usage": usage}
    assert door.record()["vendor_usage"] == usage


@pytest.mark.parametrize("more", [{}, {"stream_format": "sse"}])
def test_speech_that_breaks_off_is_recorded_as_far_as_it_went(door: Door, more: Any) -> None:
    text = speak(door, {"error_after_chunks": 1}, input="one two three", **more).text

    assert ("The server had an error" in text) == bool(more)
    record = door.record()
    assert (record["usage"]["audio_output"], record["chunks_sent"], record["completed"]) == (4, 1, False)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"speed": 5}, "speed"),
        ({"response_format": "ogg"}, "response_format"),
        ({"model": "tts-1", "stream_format": "sse"}, "stream_format"),
        ({"text": "x"}, "text"),
    ],
)
def test_speech_is_refused_as_the_vendor_does(door: Door, fields: Any, param: str) -> None:
    answer = speak(door, **fields)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
