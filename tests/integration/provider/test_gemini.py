"""The Gemini dialect through the official SDK: what is streamed joins to what is answered whole, and every switch works."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors

from tests.integration.provider.conftest import Door
from tt_sandbox.stack.service import Service

MODEL = "gemini-3-pro"
KEY = {"x-goog-api-key": "k"}
TOOLS: Any = [
    {
        "function_declarations": [
            {"name": "get_weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}},
            {"name": "get_time", "parameters": {"type": "OBJECT", "properties": {"country": {"type": "STRING"}}}},
        ]
    }
]
BY_HAND = {"automatic_function_calling": {"disable": True}}
THINK = {"thinking_config": {"include_thoughts": True}}


@pytest.fixture(scope="session")
def sdk(provider: Service) -> Iterator[genai.Client]:
    client = genai.Client(api_key="anything", http_options={"base_url": provider.url, "retry_options": {"attempts": 1}})
    yield client
    client.close()


def options(switches: Any, fields: dict[str, Any]) -> Any:
    return {**BY_HAND, **fields, "http_options": {"extra_body": {"sandbox": switches or {}}}}


def generate(sdk: genai.Client, contents: Any = "hi there", switches: Any = None, **fields: Any) -> Any:
    return sdk.models.generate_content(model=MODEL, contents=contents, config=options(switches, fields))


def stream(sdk: genai.Client, contents: Any = "hi there", switches: Any = None, **fields: Any) -> list[Any]:
    found = sdk.models.generate_content_stream(model=MODEL, contents=contents, config=options(switches, fields))
    return list(found)


def parts_of(answers: list[Any]) -> list[Any]:
    """The parts of the pieces, neighbouring texts of a kind joined, without ids."""
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


@pytest.mark.parametrize(
    ("contents", "fields", "switches"),
    [
        ("hi there", {}, {}),
        ("hi there", {}, {"prompt_tokens": 100, "cached_tokens": 30, "output_tokens": 5, "tool_prompt_tokens": 7}),
        ("hi there", {"system_instruction": "be brief", "max_output_tokens": 3}, {}),
        ("hi there", {"stop_sequences": ["provider"]}, {}),
        ("use a tool", {"tools": TOOLS}, {"tool_calls": 3, "completion_text": "Let me look."}),
        ("use a tool", {"tools": TOOLS, **THINK}, {"tool_calls": 2}),
        ("hi there", THINK, {"reasoning_tokens": 20}),
        ("hi there", {}, {"reasoning_tokens": 20}),
        ("hi there", {}, {"finish": "refusal", "output_tokens": 2}),
        ("hi there", {}, {"finish": "recitation"}),
        ("hi there", {}, {"finish": "bad_tool_call", "output_tokens": 0}),
        ("hi there", {}, {"finish": "prompt_blocked"}),
        ("hi there", {}, {"server_tool_calls": 2, "service_tier": "flex"}),
        ("hi there", {}, {"output_tokens": 0}),
    ],
)
def test_stream_joins_to_the_whole_answer(
    sdk: genai.Client, door: Door, contents: str, fields: Any, switches: Any
) -> None:
    whole = generate(sdk, contents, switches, **fields)
    pieces = stream(sdk, contents, switches, **fields)

    assert parts_of(pieces) == parts_of([whole])
    assert pieces[-1].usage_metadata == whole.usage_metadata
    assert pieces[-1].prompt_feedback == whole.prompt_feedback
    if whole.candidates:
        assert pieces[-1].candidates[0].finish_reason == whole.candidates[0].finish_reason
    first, second = door.records()
    assert first["usage"] == second["usage"]
    assert first["vendor_usage"] == second["vendor_usage"]
    said = (whole.usage_metadata.candidates_token_count or 0) + (whole.usage_metadata.thoughts_token_count or 0)
    assert first["usage"]["output"] == said == second["completion_tokens"]


@pytest.mark.parametrize("alt", ["sse", None])
def test_stream_is_events_or_one_array(door: Door, alt: str | None) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}], "sandbox": {"output_tokens": 3}}
    url = f"/v1beta/models/{MODEL}:streamGenerateContent" + (f"?alt={alt}" if alt else "")
    answer = door.http.post(url, json=body, headers=KEY)

    if alt:
        assert answer.headers["content-type"].startswith("text/event-stream")
        pieces = [json.loads(event.removeprefix("data: ")) for event in answer.text.split("\r\n\r\n") if event]
    else:
        assert answer.headers["content-type"].startswith("application/json")
        pieces = answer.json()
    assert [piece["usageMetadata"].get("candidatesTokenCount") for piece in pieces] == [1, 2, 3, 3]
    assert [piece["candidates"][0].get("finishReason") for piece in pieces] == [None, None, None, "STOP"]


def test_usage_adds_up_and_the_record_knows_both_forms(sdk: genai.Client, door: Door) -> None:
    sound: Any = {"inline_data": {"mime_type": "audio/wav", "data": b"RIFF"}}
    switches = {
        "prompt_tokens": 200,
        "cached_tokens": 30,
        "tool_prompt_tokens": 7,
        "reasoning_tokens": 4,
        "output_tokens": 5,
    }
    usage = generate(sdk, [{"role": "user", "parts": [{"text": "listen"}, sound]}], switches).usage_metadata

    assert (usage.prompt_token_count, usage.cached_content_token_count) == (200, 30)
    assert (usage.candidates_token_count, usage.thoughts_token_count, usage.tool_use_prompt_token_count) == (5, 4, 7)
    assert usage.total_token_count == 200 + 5 + 4 + 7
    modalities = {one.modality.value: one.token_count for one in usage.prompt_tokens_details}
    assert modalities == {"TEXT": 115, "AUDIO": 85}
    record = door.record()
    assert record["dialect"] == "gemini"
    assert record["vendor_usage"]["thoughtsTokenCount"] == 4
    expected = {"input": 200 - 30 - 85 + 7, "cache_read": 30, "audio_input": 85, "output": 9, "reasoning": 4}
    assert {name: record["usage"][name] for name in expected} == expected


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("refusal", "SAFETY"), ("recitation", "RECITATION"), ("bad_tool_call", "MALFORMED_FUNCTION_CALL")],
)
def test_answer_ends_for_the_reason_asked_for(sdk: genai.Client, door: Door, finish: str, reason: str) -> None:
    assert generate(sdk, switches={"finish": finish}).candidates[0].finish_reason.value == reason


def test_length_is_told_apart_from_a_stop(sdk: genai.Client, door: Door) -> None:
    cut = generate(sdk, max_output_tokens=2)
    stopped = generate(sdk, stop_sequences=["sandbox"])

    assert (cut.candidates[0].finish_reason.value, cut.usage_metadata.candidates_token_count) == ("MAX_TOKENS", 2)
    assert (stopped.candidates[0].finish_reason.value, stopped.text) == ("STOP", "Hello from the ")


def test_blocked_prompt_has_no_candidates(sdk: genai.Client, door: Door) -> None:
    answer = generate(sdk, switches={"finish": "prompt_blocked"})

    assert answer.candidates is None
    assert answer.prompt_feedback.block_reason.value == "PROHIBITED_CONTENT"
    assert door.record()["usage"]["output"] == 0


def test_first_of_parallel_calls_carries_the_signature_and_must_bring_it_back(sdk: genai.Client, door: Door) -> None:
    # given a turn that called two functions
    first = generate(sdk, "use a tool", {"tool_calls": 2}, tools=TOOLS)
    parts = first.candidates[0].content.parts
    assert [bool(part.thought_signature) for part in parts] == [True, False]
    responses = [
        {"function_response": {"name": part.function_call.name, "id": part.function_call.id, "response": {"ok": 1}}}
        for part in parts
    ]

    def follow_up(model_parts: Any) -> Any:
        question = {"role": "user", "parts": [{"text": "use a tool"}]}
        turns = [question, {"role": "model", "parts": model_parts}, {"role": "user", "parts": responses}]
        return generate(sdk, turns, tools=TOOLS)

    # when it comes back whole, the conversation goes on
    dumped = [part.model_dump(exclude_none=True) for part in parts]
    assert follow_up(dumped).text

    # then neither an omission nor a change passes, and the documented stand-in does
    unsigned = [{"function_call": part["function_call"]} for part in dumped]
    with pytest.raises(errors.ClientError, match="missing a thought_signature"):
        follow_up(unsigned)
    with pytest.raises(errors.ClientError, match="not valid"):
        follow_up([unsigned[0] | {"thought_signature": b"other"}, unsigned[1]])
    assert follow_up([unsigned[0] | {"thought_signature": b"skip_thought_signature_validator"}, unsigned[1]]).text


def test_structured_output_fits_its_schema(sdk: genai.Client, door: Door) -> None:
    schema = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}, "age": {"type": "INTEGER"}}}
    answer = generate(sdk, response_mime_type="application/json", response_schema=schema)

    assert json.loads(answer.text) == {"name": "example", "age": 1}


def test_counting_tokens_is_free(sdk: genai.Client, door: Door) -> None:
    counted = sdk.models.count_tokens(model=MODEL, contents="hi there")

    assert counted.total_tokens == generate(sdk).usage_metadata.prompt_token_count
    assert sum(door.records()[0]["usage"].values()) == 0


def test_models_are_listed_in_the_vendors_shape(sdk: genai.Client, door: Door) -> None:
    assert f"models/{MODEL}" in [model.name for model in sdk.models.list()]
    assert sdk.models.get(model=MODEL).supported_actions


def test_key_is_taken_from_header_query_or_bearer(door: Door) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    url = f"/v1beta/models/{MODEL}:generateContent"

    def status(query: str = "", **headers: str) -> int:
        return door.http.post(url + query, json=body, headers=headers).status_code

    assert [status(**KEY), status("?key=k"), status(Authorization="Bearer k")] == [200, 200, 200]
    assert status() == 403
    wrong = door.http.post(url + "?key=AIza-sandbox-bad", json=body)
    assert (wrong.status_code, wrong.json()["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (429, "RESOURCE_EXHAUSTED"),
        (503, "UNAVAILABLE"),
        (500, "INTERNAL"),
        (404, "NOT_FOUND"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_failures_have_the_vendors_form(sdk: genai.Client, door: Door, status: int, name: str) -> None:
    with pytest.raises(errors.APIError) as failed:
        generate(sdk, switches={"fail_status": status, "retry_after": 7})

    assert (failed.value.code, failed.value.status) == (status, name)
    if status == 429:
        details: Any = failed.value.details
        assert details["error"]["details"][-1]["retryDelay"] == "7s"


@pytest.mark.parametrize("alt", ["?alt=sse", ""])
def test_overloaded_in_mid_stream_is_the_last_piece(door: Door, alt: str) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}], "sandbox": {"output_tokens": 9, "error_after_chunks": 2}}
    answer = door.http.post(f"/v1beta/models/{MODEL}:streamGenerateContent{alt}", json=body, headers=KEY)

    assert '"status":"UNAVAILABLE"' in answer.text
    assert answer.text.count("candidatesTokenCount") == 2
    record = door.record()
    assert (record["usage"]["output"], record["completed"]) == (2, False)
    assert record["vendor_usage"]["candidatesTokenCount"] == 2


def test_truncated_array_is_not_json(door: Door) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}], "sandbox": {"output_tokens": 2, "truncate": True}}
    answer = door.http.post(f"/v1beta/models/{MODEL}:streamGenerateContent", json=body, headers=KEY)

    with pytest.raises(ValueError, match="delimiter"):
        answer.json()


def test_truncated_stream_has_no_finish_reason(sdk: genai.Client, door: Door) -> None:
    pieces = stream(sdk, switches={"output_tokens": 2, "truncate": True})

    assert [piece.candidates[0].finish_reason for piece in pieces] == [None, None]
    assert door.record()["completed"] is False


def test_connection_dies_after_the_given_chunks(door: Door) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}], "sandbox": {"output_tokens": 9, "die_after_chunks": 3}}

    with pytest.raises(httpx.RemoteProtocolError):
        door.http.post(f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", json=body, headers=KEY)

    assert door.record()["usage"]["output"] == 3


def test_usage_can_be_left_out(sdk: genai.Client, door: Door) -> None:
    assert generate(sdk, switches={"omit_usage": True}).usage_metadata is None
    assert door.record()["vendor_usage"] is None
