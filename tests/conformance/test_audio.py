"""Audio through the official Python SDK: written down, translated and spoken, in every format, and what each call is charged."""

import secrets
from typing import Any, Literal

import pytest
from openai import APIError, BadRequestError, InternalServerError, OpenAI, RateLimitError

from tests.conformance.media import charged, served, wav
from tests.support.console import ConsoleUser
from tests.support.product import SANDBOX, Product
from tt_common.money import format_usd

WHISPER = "whisper-1"
BY_TOKENS = "gpt-4o-transcribe"
VOICE = "tts-1"
SECOND, CHARACTER = 100_000, 15_000
"""nanoUSD for one, as the catalog has them."""
INPUT, OUTPUT = 2_500, 10_000
SOUND = ("sound.wav", wav(7), "audio/wav")


@pytest.mark.parametrize("form", ["json", "verbose_json"])
def test_a_transcript_is_charged_by_the_seconds_that_the_provider_names(
    client: OpenAI, customer: ConsoleUser, product: Product, form: Literal["json", "verbose_json"]
) -> None:
    label = secrets.token_hex(8)

    raw: Any = client.audio.transcriptions.with_raw_response.create(
        model=WHISPER, file=SOUND, response_format=form, extra_body={"sandbox": {"label": label}}
    )

    assert raw.parse().text
    assert served(product, label)["seconds"] == 7
    receipt = customer.receipt(raw.headers["x-request-id"])
    assert (receipt["charged_nanousd"], receipt["usage_source"]) == (7 * SECOND, "provider")


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_a_transcript_without_usage_is_charged_by_the_length_of_the_upload(
    client: OpenAI, customer: ConsoleUser, form: Literal["text", "srt", "vtt"]
) -> None:
    raw: Any = client.audio.transcriptions.with_raw_response.create(model=WHISPER, file=SOUND, response_format=form)

    assert raw.headers["content-type"].startswith("text/plain")
    assert {"text": "", "srt": "00:00:0", "vtt": "WEBVTT"}[form] in raw.text
    receipt = customer.receipt(raw.headers["x-request-id"])
    assert (receipt["charged_nanousd"], receipt["usage_source"]) == (7 * SECOND, "estimated")


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_translation_is_charged_by_the_length_of_the_upload(client: OpenAI, customer: ConsoleUser) -> None:
    raw = client.audio.translations.with_raw_response.create(model=WHISPER, file=SOUND)

    assert raw.parse().text
    assert charged(customer, raw.headers) == 7 * SECOND


def test_a_transcript_is_charged_by_tokens_where_the_price_says_so(
    client: OpenAI, customer: ConsoleUser, product: Product
) -> None:
    label = secrets.token_hex(8)

    raw = client.audio.transcriptions.with_raw_response.create(
        model=BY_TOKENS, file=SOUND, prompt="names: Ada", extra_body={"sandbox": {"label": label}}
    )

    usage = served(product, label)
    assert usage["audio_input"] == 70
    cost = (usage["input"] + usage["audio_input"]) * INPUT + usage["output"] * OUTPUT
    assert charged(customer, raw.headers) == cost
    assert raw.http_response.json()["usage"]["cost"] == cost / 1e9


def test_a_transcript_streams(client: OpenAI, customer: ConsoleUser, product: Product) -> None:
    label = secrets.token_hex(8)

    stream = client.audio.transcriptions.create(
        model=BY_TOKENS, file=SOUND, stream=True, extra_body={"sandbox": {"label": label, "output_tokens": 5}}
    )
    events: list[Any] = list(stream)

    assert "".join(event.delta for event in events[:-1]) == events[-1].text
    usage = served(product, label)
    cost = (usage["input"] + usage["audio_input"]) * INPUT + usage["output"] * OUTPUT
    assert charged(customer, stream.response.headers) == cost
    assert events[-1].usage.cost == cost / 1e9


def test_a_transcript_without_its_usage_is_estimated(client: OpenAI, customer: ConsoleUser) -> None:
    stream = client.audio.transcriptions.create(
        model=BY_TOKENS, file=SOUND, stream=True, extra_body={"sandbox": {"omit_usage": True, "output_tokens": 5}}
    )
    assert list(stream)

    receipt = customer.receipt(stream.response.headers["x-request-id"])
    quantities = {line["token_class"]: line["quantity"] for line in receipt["lines"]}
    assert receipt["usage_source"] == "estimated"
    assert quantities["audio_input"] == 70
    assert quantities["output"] > 0


def test_a_diarized_transcript_passes_through(product: Product, client: OpenAI) -> None:
    model = f"diarize-{secrets.token_hex(6)}"
    product.operator.put_model(model, [{"provider": SANDBOX, "upstream_model": model}], kind="transcription")
    product.operator.publish_price(model, second="0.0001")
    product.until_callable(model)

    answer: Any = client.audio.transcriptions.create(model=model, file=SOUND, response_format="diarized_json")

    assert {segment.speaker for segment in answer.segments} <= {"A", "B"}


@pytest.mark.parametrize("form", ["mp3", "wav", "pcm"])
def test_speech_is_binary_and_charged_by_the_character(
    client: OpenAI, customer: ConsoleUser, form: Literal["mp3", "wav", "pcm"]
) -> None:
    text = "Guten Tag, schöne Welt! 🌍"

    raw = client.audio.speech.with_raw_response.create(model=VOICE, voice="alloy", input=text, response_format=form)

    assert raw.headers["content-type"] == {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/pcm"}[form]
    assert len(raw.content) > 1000
    assert (raw.content[:4] == b"RIFF") == (form == "wav")
    receipt = customer.receipt(raw.headers["x-request-id"])
    assert (receipt["charged_nanousd"], receipt["usage_source"]) == (len(text) * CHARACTER, "provider")


def test_speech_as_events_is_charged_by_tokens(client: OpenAI, customer: ConsoleUser, product: Product) -> None:
    # given
    model = f"test-{secrets.token_hex(6)}"
    product.operator.put_model(model, [{"provider": SANDBOX, "upstream_model": model}], kind="speech")
    product.operator.publish_price(model, input="0.60", audio_output="12.00")
    product.until_callable(model)
    label = secrets.token_hex(8)

    # when
    raw = client.audio.speech.with_raw_response.create(
        model=model, voice="alloy", input="hello there", stream_format="sse", extra_body={"sandbox": {"label": label}}
    )

    # then
    assert raw.headers["content-type"].startswith("text/event-stream")
    usage = served(product, label)
    cost = usage["input"] * 600 + usage["audio_output"] * 12_000
    assert charged(customer, raw.headers) == cost
    assert f'"cost":{format_usd(cost)}' in raw.text


def test_speech_that_breaks_off_is_no_file_and_costs_nothing(
    client: OpenAI, customer: ConsoleUser, product: Product
) -> None:
    with client.audio.speech.with_streaming_response.create(
        model=VOICE, voice="alloy", input="one two three four", extra_body={"sandbox": {"die_after_chunks": 2}}
    ) as answer:
        with pytest.raises(Exception, match="incomplete"):
            answer.read()

        assert charged(customer, answer.headers) == 0


def test_a_recording_without_a_file_is_refused(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.post("/audio/transcriptions", body={"model": WHISPER}, cast_to=object)

    assert "multipart/form-data" in raised.value.message


def test_what_the_provider_refuses_is_relayed_and_costs_nothing(client: OpenAI, customer: ConsoleUser) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.audio.transcriptions.create(model=WHISPER, file=("sound.xyz", wav(1)))

    assert raised.value.param == "file"
    assert charged(customer, raised.value.response.headers) == 0


def test_the_same_form_under_an_idempotency_key_is_charged_once(client: OpenAI, customer: ConsoleUser) -> None:
    # given two requests of the same content, whose boundaries differ
    headers = {"Idempotency-Key": secrets.token_hex(8)}

    # when
    first, second = (
        client.audio.transcriptions.with_raw_response.create(model=WHISPER, file=SOUND, extra_headers=headers)
        for _ in range(2)
    )

    # then
    assert second.headers["x-tt-idempotent-replay"] == "true"
    assert (first.text, first.headers["x-request-id"]) == (second.text, second.headers["x-request-id"])
    with pytest.raises(APIError) as raised:
        client.audio.transcriptions.create(model=WHISPER, file=SOUND, prompt="other", extra_headers=headers)
    assert raised.value.code == "idempotency_conflict"


def test_an_overloaded_provider_is_said_in_openais_words(client: OpenAI, product: Product) -> None:
    model = f"test-{secrets.token_hex(6)}"
    product.operator.put_model(model, [{"provider": SANDBOX, "upstream_model": model}], kind="speech")
    product.operator.publish_price(model, character="0.000015")
    product.until_callable(model)

    with pytest.raises((InternalServerError, RateLimitError)) as raised:
        client.audio.speech.create(model=model, voice="alloy", input="hi", extra_body={"sandbox": {"fail_status": 503}})

    assert raised.value.code == "all_providers_unavailable"


def test_a_listener_who_leaves_pays_for_the_text_that_is_spoken(
    client: OpenAI, customer: ConsoleUser, product: Product
) -> None:
    # given speech that takes its time
    text = "word " * 200
    switches = {"sandbox": {"chunk_delay_ms": 50}}

    # when
    with client.audio.speech.with_streaming_response.create(
        model=VOICE, voice="alloy", input=text, extra_body=switches
    ) as answer:
        next(answer.iter_bytes())

    # then
    receipt = customer.receipt(answer.headers["x-request-id"])
    assert (receipt["outcome"], receipt["charged_nanousd"]) == ("client_disconnected", len(text) * CHARACTER)


def test_a_reader_who_leaves_pays_for_the_whole_sound_and_the_text_so_far(
    client: OpenAI, customer: ConsoleUser
) -> None:
    # given a transcript that takes its time
    switches = {"sandbox": {"chunk_delay_ms": 50, "output_tokens": 200}}

    # when
    stream = client.audio.transcriptions.create(model=BY_TOKENS, file=SOUND, stream=True, extra_body=switches)
    next(iter(stream))
    stream.close()

    # then
    receipt = customer.receipt(stream.response.headers["x-request-id"])
    quantities = {line["token_class"]: line["quantity"] for line in receipt["lines"]}
    assert (receipt["outcome"], receipt["usage_source"]) == ("client_disconnected", "estimated")
    assert quantities["audio_input"] == 70
    assert 0 < quantities["output"] < 100
