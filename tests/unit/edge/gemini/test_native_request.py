"""Gemini's requests: what the gateway reads of them, and that it leaves the rest alone."""

import json
from typing import Any

import pytest

from tt_common.errors import DomainError
from tt_edge.protocols.endpoints import find_endpoint
from tt_edge.protocols.gemini.count import count_body, is_count, outgoing_count
from tt_edge.protocols.gemini.paths import meant_path
from tt_edge.protocols.gemini.protocol import GEMINI
from tt_edge.protocols.gemini.request import GeminiRequest, parse_count, parse_generate, parse_stream
from tt_edge.protocols.port import Attempted, Target

ASK = {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]}


def parsed(body: Any, path: str = "/v1beta/models/asked:generateContent", query: bytes = b"") -> GeminiRequest:
    parse = parse_stream if "stream" in path else parse_generate
    return parse(Target(path, query, {}), body if isinstance(body, bytes) else json.dumps(body).encode())


def sent(request: GeminiRequest, output_limit: int | None = None) -> tuple[str, Any]:
    out = GEMINI.bridge(request, "gemini", "evt_1").outgoing(Attempted("up/stream 1", output_limit, 8192))
    return out.path, json.loads(out.body)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1beta/models/gemini-1.5-pro:generateContent", "/v1beta/models/{model}:generateContent"),
        ("/v1/models/gemini-1.5-pro:streamGenerateContent", "/v1beta/models/{model}:streamGenerateContent"),
        ("/v1beta/models/vendor/llama3:8b:generateContent", "/v1beta/models/{model}:generateContent"),
    ],
)
def test_the_path_names_the_endpoint_but_not_the_model(path: str, name: str) -> None:
    endpoint = find_endpoint(path)
    assert endpoint is not None
    assert endpoint.name == name


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1beta/models/models/x:generateContent", "/v1beta/models/x:generateContent"),
        ("/v1beta/v1beta/models/x:streamGenerateContent", "/v1beta/models/x:streamGenerateContent"),
        ("/v1/v1beta/models/x:generateContent", "/v1beta/models/x:generateContent"),
        ("/models/x:generateContent", "/v1beta/models/x:generateContent"),
        ("/v1beta//models", "/v1beta/models"),
        ("/v1beta/v1beta/models/x", "/v1beta/models/x"),
        ("/v1beta/tunedModels", None),
        ("/v1beta/models/x:embedContent", None),
    ],
)
def test_a_wrong_path_is_no_endpoint_and_the_right_one_is_known(path: str, meant: str | None) -> None:
    assert find_endpoint(path) is None
    assert meant_path(path) == meant


def test_the_body_passes_untouched_and_the_model_goes_into_the_path() -> None:
    body = {**ASK, "future": {"n": 1.50}, "generationConfig": {"maxOutputTokens": 100, "odd": None}}
    path, out = sent(parsed(body))
    assert out == body
    assert path == "/models/up/stream%201:generateContent"


def test_a_stream_is_always_asked_for_as_events() -> None:
    path = "/v1beta/models/asked:streamGenerateContent"
    events, array = parsed(ASK, path, b"key=k&alt=sse"), parsed(ASK, path)
    assert sent(events)[0] == sent(array)[0] == "/models/up/stream%201:streamGenerateContent?alt=sse"
    assert (events.array, array.array) == (False, True)
    assert array.stream_content_type.startswith(b"application/json")


@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
@pytest.mark.parametrize("key", ["maxOutputTokens", "max_output_tokens"])
def test_a_lowered_limit_replaces_the_clients_in_its_own_spelling(name: str, key: str) -> None:
    request = parsed({**ASK, name: {key: 500, "topK": 3}})
    assert request.demand.output_limit == 500
    assert sent(request, 300)[1][name] == {key: 300, "topK": 3}
    assert sent(request, 800)[1][name] == {key: 500, "topK": 3}


def test_a_lowered_limit_is_added_where_there_was_none() -> None:
    assert sent(parsed(ASK), 300)[1]["generationConfig"] == {"maxOutputTokens": 300}


def test_a_model_in_the_body_becomes_the_providers() -> None:
    assert sent(parsed({**ASK, "model": "models/asked"}))[1]["model"] == "models/up/stream 1"


def test_what_google_takes_for_a_list_of_one_is_taken() -> None:
    body = {
        "contents": {"parts": {"text": "hello there"}},
        "system_instruction": {"parts": {"text": "Be brief."}},
        "generation_config": {"candidate_count": 2},
    }
    request = parsed(body)
    assert request.demand.input_tokens > 4
    assert request.demand.choices == 2
    assert sent(request)[1] == body


def test_media_is_not_counted_as_text() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "A" * 100_000}}
    audio = {"inline_data": {"mime_type": "audio/wav", "data": "A" * 1_000_000}}
    file = {"fileData": {"fileUri": "https://x.test/a.pdf"}}
    assert parsed({"contents": [{"parts": [image, file]}]}).demand.input_tokens < 4_000
    assert 3_000 < parsed({"contents": [{"parts": [audio]}]}).demand.input_tokens < 5_000


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": ["hi"]}, "contents"),
        ({"contents": [{"parts": ["hi"]}]}, "contents.parts"),
        ({**ASK, "generationConfig": {"maxOutputTokens": "many"}}, "generationConfig.maxOutputTokens"),
        ({**ASK, "generationConfig": {"maxOutputTokens": -1}}, "generationConfig.maxOutputTokens"),
        ({**ASK, "generationConfig": {"candidateCount": 100}}, "generationConfig.candidateCount"),
    ],
)
def test_what_can_not_be_priced_is_refused_by_name(body: Any, field: str) -> None:
    with pytest.raises(DomainError) as refused:
        parsed(body)
    assert (refused.value.code, refused.value.data["param"]) == ("invalid_request", field)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"contents":[{"parts":[{"text":"\xff"}]}]}', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(DomainError) as refused:
        parsed(body)
    assert refused.value.code == "invalid_request"


def test_counting_asks_the_provider_the_same_under_its_name_of_the_model() -> None:
    path = "/v1beta/models/asked:countTokens"
    whole = {"generateContentRequest": {**ASK, "model": "models/asked", "tools": []}}

    plain = parse_count(Target(path, b"", {}), json.dumps(ASK).encode())
    request = parse_count(Target(path, b"", {}), json.dumps(whole).encode())

    assert plain.model == "asked"
    assert 4 < plain.demand.input_tokens <= request.demand.input_tokens
    out = outgoing_count(request, "upstream")
    assert out.path == "/models/upstream:countTokens"
    assert json.loads(out.body) == {"generateContentRequest": {**ASK, "model": "models/upstream", "tools": []}}
    assert json.loads(outgoing_count(plain, "upstream").body) == ASK
    assert is_count(b'{"totalTokens":3}')
    assert not is_count(b'{"totalTokens":"3"}')
    assert json.loads(count_body(7)) == {"totalTokens": 7}


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({b"x-goog-api-key": b"sk-1"}, b"", "sk-1"),
        ({}, b"alt=sse&key=sk-1%2Bx", "sk-1+x"),
        ({b"authorization": b"Bearer sk-1"}, b"alt=sse", "sk-1"),
        ({b"x-goog-api-key": b"sk-1", b"authorization": b"Basic x"}, b"key=sk-2", "sk-1"),
        ({}, b"alt=sse&key=", None),
    ],
)
def test_the_key_comes_in_a_header_or_in_the_query(headers: dict[bytes, bytes], query: bytes, key: str | None) -> None:
    assert GEMINI.key_of(headers, query) == key
