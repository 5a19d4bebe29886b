"""Gemini's own SDK against a model whose provider speaks Gemini: everything passes, and what it cost is what the provider served."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors

from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import Product
from tests.support.waiting import eventually

MODEL = "gemini-1.5-pro"
INPUT, CACHED, OUTPUT, AUDIO = 1_250, 312.5, 5_000, 1_250
"""nanoUSD a token, as the catalog has them."""
TOOLS: Any = [
    {
        "function_declarations": [
            {"name": "get_weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}},
            {"name": "get_time", "parameters_json_schema": {"type": "object", "properties": {"at": {"const": 1}}}},
        ]
    }
]
BY_HAND = {"automatic_function_calling": {"disable": True}}


def new_sdk(product: Product, key: ApiKey | str, **http: Any) -> genai.Client:
    """The SDK without retries of its own."""
    plaintext = key if isinstance(key, str) else key.plaintext
    options = {"base_url": product.stack.edge_urls[0], "retry_options": {"attempts": 1}, **http}
    return genai.Client(api_key=plaintext, http_options=options)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def sdk(product: Product, key: ApiKey) -> Iterator[genai.Client]:
    client = new_sdk(product, key)
    yield client
    client.close()


def config(switches: Any, fields: dict[str, Any]) -> Any:
    return {**BY_HAND, **fields, "http_options": {"extra_body": {"sandbox": switches or {}}}}


def generate(sdk: genai.Client, contents: Any = "hi there", switches: Any = None, **fields: Any) -> Any:
    return sdk.models.generate_content(model=MODEL, contents=contents, config=config(switches, fields))


def stream(sdk: genai.Client, contents: Any = "hi there", switches: Any = None, **fields: Any) -> list[Any]:
    return list(sdk.models.generate_content_stream(model=MODEL, contents=contents, config=config(switches, fields)))


def parts_of(answers: list[Any]) -> list[Any]:
    """The parts of all pieces, neighbouring texts of a kind joined, without ids."""
    joined: list[dict[str, Any]] = []
    for answer in answers:
        for candidate in answer.candidates or []:
            for part in (candidate.content and candidate.content.parts) or []:
                found = part.model_dump(exclude_none=True, exclude={"function_call": {"id"}})
                last = joined[-1] if joined else {}
                if "text" in found and "text" in last and found.get("thought") == last.get("thought"):
                    last["text"] += found.pop("text")
                    last.update(found)
                elif found != {"text": ""}:
                    joined.append(found)
    return joined


PICTURE: Any = [{"role": "user", "parts": [{"text": "see"}, {"inline_data": {"mime_type": "image/png", "data": b"x"}}]}]
SOUND: Any = [{"role": "user", "parts": [{"text": "hear"}, {"inline_data": {"mime_type": "audio/wav", "data": b"x"}}]}]
TALK: Any = [
    {"role": "user", "parts": [{"text": "use a tool"}]},
    {
        "role": "model",
        "parts": [
            {"text": "I look.", "thought": True},
            {"function_call": {"name": "get_weather", "args": {"city": "Rome"}}, "thought_signature": b"sig"},
            {"function_call": {"name": "get_time", "args": {}}},
        ],
    },
    {
        "role": "user",
        "parts": [
            {"function_response": {"name": "get_weather", "response": {"result": "sunny"}}},
            {"function_response": {"name": "get_time", "response": {"error": "no clock"}}},
        ],
    },
]
CASES: Any = {
    "text": ("hi there", {"system_instruction": "be brief", "max_output_tokens": 3}, {}),
    "turns with tools": (TALK, {"tools": TOOLS}, {}),
    "stop": ("hi there", {"stop_sequences": ["provider"], "top_k": 3, "seed": 1}, {}),
    "tool": ("use a tool", {"tools": TOOLS}, {"completion_text": "Let me look."}),
    "parallel tools": ("use a tool", {"tools": TOOLS}, {"tool_calls": 3}),
    "forced tool": ("hi", {"tools": TOOLS, "tool_config": {"function_calling_config": {"mode": "ANY"}}}, {}),
    "thinking": ("hi there", {"thinking_config": {"include_thoughts": True}}, {"reasoning_tokens": 20}),
    "hidden thinking": ("hi there", {}, {"reasoning_tokens": 20}),
    "picture": (PICTURE, {}, {}),
    "sound": (SOUND, {}, {}),
    "json": ("hi", {"response_mime_type": "application/json", "response_schema": {"type": "OBJECT"}}, {}),
    "cache": ("hi there", {}, {"prompt_tokens": 100, "cached_tokens": 30, "tool_prompt_tokens": 7}),
    "refusal": ("hi there", {}, {"finish": "refusal", "output_tokens": 2}),
    "recitation": ("hi there", {}, {"finish": "recitation"}),
    "malformed call": ("hi there", {}, {"finish": "bad_tool_call", "output_tokens": 0}),
    "blocked prompt": ("hi there", {}, {"finish": "prompt_blocked"}),
    "search": ("hi there", {}, {"server_tool_calls": 2, "service_tier": "flex"}),
}


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def owed(used: dict[str, int]) -> float:
    """What the provider's own record says, times the prices, the slow way."""
    plain = used["input"] * INPUT + used["cache_read"] * CACHED + used["output"] * OUTPUT
    return plain + used.get("audio_input", 0) * AUDIO


@pytest.mark.parametrize("name", CASES)
def test_a_stream_joins_to_the_whole_answer_and_both_cost_what_was_served(
    product: Product, customer: ConsoleUser, sdk: genai.Client, name: str
) -> None:
    # given
    contents, fields, switches = CASES[name]
    label = f"{name} {customer.account_id}"

    # when
    whole = generate(sdk, contents, {**switches, "label": label}, **fields)
    pieces = stream(sdk, contents, {**switches, "label": label}, **fields)

    # then
    assert parts_of(pieces) == parts_of([whole])
    assert pieces[-1].usage_metadata == whole.usage_metadata
    assert pieces[-1].prompt_feedback == whole.prompt_feedback
    assert {piece.model_version for piece in [whole, *pieces]} == {MODEL}
    if whole.candidates:
        assert pieces[-1].candidates[0].finish_reason == whole.candidates[0].finish_reason
    first, second = product.provider.calls(label=label)
    assert first["usage"] == second["usage"]
    for answer in (whole, pieces[0]):
        request_id = answer.sdk_http_response.headers["x-tt-request-id"]
        assert customer.receipt(request_id)["cost_nanousd"] == int(owed(first["usage"]) + 0.5)


def test_the_usage_object_tells_the_cost(product: Product, key: ApiKey) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}], "sandbox": {"prompt_tokens": 100, "output_tokens": 20}}
    base, headers = f"{product.stack.edge_urls[0]}/v1beta/models/{MODEL}", {"x-goog-api-key": key.plaintext}
    cost = (100 * INPUT + 20 * OUTPUT) / 10**9

    whole = httpx.post(f"{base}:generateContent", json=body, headers=headers, trust_env=False).json()
    array = httpx.post(f"{base}:streamGenerateContent", json=body, headers=headers, trust_env=False)
    events = httpx.post(f"{base}:streamGenerateContent?alt=sse", json=body, headers=headers, trust_env=False)

    assert whole["usageMetadata"]["cost"] == cost
    assert array.headers["content-type"].startswith("application/json")
    pieces = events_of(events.text)
    assert len(pieces) == 21
    for last in (array.json()[-1], pieces[-1]):
        assert last["usageMetadata"]["cost"] == cost
        assert last["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("form", ["x-goog-api-key", "query", "bearer"])
@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_the_key_is_taken_wherever_googles_clients_put_it(
    product: Product, key: ApiKey, form: str, version: str
) -> None:
    url = f"{product.stack.edge_urls[0]}/{version}/models/{MODEL}:generateContent"
    headers = {
        "x-goog-api-key": {"x-goog-api-key": key.plaintext},
        "bearer": {"authorization": f"Bearer {key.plaintext}"},
    }
    query = {"key": key.plaintext} if form == "query" else {}

    answer = httpx.post(
        url,
        json={"contents": [{"parts": [{"text": "hi"}]}]},
        headers=headers.get(form, {}),
        params=query,
        trust_env=False,
    )

    assert answer.status_code == 200, answer.text


def test_a_key_in_the_query_reaches_no_log(product: Product, key: ApiKey) -> None:
    url = f"{product.stack.edge_urls[0]}/v1beta/models/{MODEL}"
    for method in (":generateContent", ":unknownMethod", ""):
        httpx.post(f"{url}{method}", params={"key": key.plaintext}, json={"contents": 1}, trust_env=False)
        httpx.get(f"{url}{method}", params={"key": key.plaintext}, trust_env=False)

    logs = {service.name: service.process.log_path.read_text(errors="replace") for service in product.stack.services}
    assert any("edge" in name for name in logs)
    assert [name for name, log in logs.items() if key.plaintext in log] == []


def refused(sdk: genai.Client, **options: Any) -> errors.APIError:
    with pytest.raises(errors.APIError) as raised:
        generate(sdk, **options)
    return raised.value


def detail(error: errors.APIError, kind: str) -> dict[str, Any]:
    details: Any = error.details
    found = details["error"]["details"]
    return next(one for one in found if one["@type"].endswith(f".{kind}"))


def test_a_bad_key_is_told_in_googles_words(product: Product) -> None:
    with new_sdk(product, "sk-unknown") as sdk:
        error = refused(sdk)

    assert (error.code, error.status) == (401, "UNAUTHENTICATED")
    assert detail(error, "ErrorInfo")["reason"] == "API_KEY_INVALID"


def test_an_empty_wallet_is_402(product: Product) -> None:
    with new_sdk(product, product.new_customer(None).create_key()) as sdk:
        error = refused(sdk)

    assert (error.code, error.status) == (402, "FAILED_PRECONDITION")
    assert "is missing" in str(error.message)


def test_a_rate_limit_says_when_to_try_again(product: Product, customer: ConsoleUser) -> None:
    with new_sdk(product, customer.create_key(requests_per_minute=1)) as sdk:
        generate(sdk)
        error = refused(sdk)

    assert (error.code, error.status) == (429, "RESOURCE_EXHAUSTED")
    assert detail(error, "RetryInfo")["retryDelay"].endswith("s")
    assert detail(error, "QuotaFailure")["violations"]


def test_an_unknown_model_is_not_found(sdk: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as raised:
        sdk.models.generate_content(model="gemini-none", contents="hi")

    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")


def test_the_providers_own_refusal_keeps_its_words(sdk: genai.Client) -> None:
    error = refused(sdk, contents=[{"role": "user", "parts": []}])

    assert (error.code, error.status) == (400, "INVALID_ARGUMENT")
    assert "parts must not be empty" in str(error.message)


def test_a_providers_fault_is_not_the_callers(sdk: genai.Client) -> None:
    error = refused(sdk, switches={"fail_status": 403, "fail_message": "secret of the operator"})

    assert (error.code, error.status) == (503, "UNAVAILABLE")
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "switch", [{"error_after_chunks": 2}, {"die_after_chunks": 2}, {"truncate": True, "output_tokens": 3}]
)
@pytest.mark.parametrize("query", ["?alt=sse", ""])
def test_a_stream_that_breaks_ends_with_an_error_and_never_as_a_success(
    product: Product, customer: ConsoleUser, key: ApiKey, switch: dict[str, Any], query: str
) -> None:
    # given
    body = {"contents": [{"parts": [{"text": "hi there"}]}], "sandbox": {**switch, "prompt_tokens": 50}}
    url = f"{product.stack.edge_urls[0]}/v1beta/models/{MODEL}:streamGenerateContent{query}"

    # when
    answer = httpx.post(url, json=body, headers={"x-goog-api-key": key.plaintext}, trust_env=False)

    # then
    pieces = events_of(answer.text) if query else answer.json()
    assert pieces[-1]["error"]["status"] == "UNAVAILABLE"
    assert not any(one.get("finishReason") for piece in pieces for one in piece.get("candidates", ()))
    used = pieces[-2]["usageMetadata"]
    cost = used["promptTokenCount"] * INPUT + used.get("candidatesTokenCount", 0) * OUTPUT
    assert customer.receipt(answer.headers["x-tt-request-id"])["cost_nanousd"] == cost


def test_the_sdk_raises_where_a_stream_breaks(sdk: genai.Client) -> None:
    with pytest.raises(errors.APIError):
        stream(sdk, switches={"error_after_chunks": 2})


def test_a_client_that_hangs_up_pays_for_what_was_made(product: Product) -> None:
    payer = product.new_customer()
    with new_sdk(product, payer.create_key()) as sdk:
        switches = {"output_tokens": 200, "chunk_delay_ms": 20, "prompt_tokens": 50}
        pieces = sdk.models.generate_content_stream(model=MODEL, contents="hi", config=config(switches, {}))
        next(iter(pieces))

    [charge] = eventually(payer.charges, "the charge", 10.0)
    assert 50 * INPUT + OUTPUT <= charge["cost_nanousd"] < 50 * INPUT + 200 * OUTPUT


def test_counting_is_free_and_the_providers_own(product: Product) -> None:
    payer = product.new_customer(None)
    with new_sdk(product, payer.create_key()) as sdk:
        switches = {"sandbox": {"prompt_tokens": 123, "label": payer.account_id}}
        counted = sdk.models.count_tokens(model=MODEL, contents="hi", config={"http_options": {"extra_body": switches}})
        with pytest.raises(errors.ClientError) as refused:
            sdk.models.count_tokens(model="gemini-none", contents="hi")

    assert counted.total_tokens == 123
    assert refused.value.status == "NOT_FOUND"
    assert len(product.provider.calls(label=payer.account_id)) == 1
    assert payer.pages("/usage") == []


def test_models_are_listed_in_googles_form(product: Product, sdk: genai.Client, key: ApiKey) -> None:
    listed = {model.name: model for model in sdk.models.list()}
    one = sdk.models.get(model=MODEL)

    assert f"models/{MODEL}" in listed
    assert (one.name, one.input_token_limit, one.output_token_limit) == (f"models/{MODEL}", 2_097_152, 8_192)
    url = f"{product.stack.edge_urls[0]}/v1beta/models"
    assert httpx.get(url, params={"key": key.plaintext}, trust_env=False).json()["models"]
    with pytest.raises(errors.ClientError) as raised:
        sdk.models.get(model="gemini-none")
    assert raised.value.status == "NOT_FOUND"


def test_a_wrong_path_is_told_the_right_one_in_googles_form(product: Product, key: ApiKey) -> None:
    base = product.stack.edge_urls[0]
    found = httpx.post(f"{base}/v1beta/v1beta/models/x:generateContent", trust_env=False)

    error = found.json()["error"]
    assert (found.status_code, error["status"]) == (404, "NOT_FOUND")
    assert "/v1beta/models/x:generateContent" in error["message"]
