"""Gemini's usage as classes that share nothing, and errors in Google's shape."""

import json
from typing import Any

import pytest

from tt_common.errors import DomainError
from tt_common.rating import Usage
from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.errors import STATUSES
from tt_edge.protocols.gemini.answer import parse_answer
from tt_edge.protocols.gemini.errors import error_body, refusal_body
from tt_edge.protocols.gemini.stream import StreamTap
from tt_edge.protocols.gemini.usage import parse_metered, parse_usage


def usage(**fields: Any) -> Usage | None:
    return parse_usage(json.dumps(fields).encode())


def test_cached_and_tool_prompts_are_told_apart_and_thoughts_are_output() -> None:
    found = usage(
        promptTokenCount=9_888,
        cachedContentTokenCount=6_752,
        toolUsePromptTokenCount=100,
        candidatesTokenCount=40,
        thoughtsTokenCount=60,
        totalTokenCount=9_888 + 100 + 40 + 60,
    )
    assert found == Usage(input_tokens=3_236, cache_read_tokens=6_752, output_tokens=100, reasoning_tokens=60)


def test_audio_is_told_by_the_details() -> None:
    details = [{"modality": "TEXT", "tokenCount": 30}, {"modality": "AUDIO", "tokenCount": 70}]
    found = usage(
        promptTokenCount=100,
        cachedContentTokenCount=20,
        candidatesTokenCount=10,
        totalTokenCount=110,
        promptTokensDetails=details,
        cacheTokensDetails=[{"modality": "AUDIO", "tokenCount": 20}],
        candidatesTokensDetails=[{"modality": "AUDIO", "tokenCount": 8}],
    )
    assert found == Usage(
        input_tokens=30, cache_read_tokens=20, audio_input_tokens=50, output_tokens=2, audio_output_tokens=8
    )


def test_details_of_a_kind_that_is_no_text_are_no_audio() -> None:
    usage = parse_usage(b'{"promptTokenCount":9,"promptTokensDetails":[{"modality":"AUDIO\xff","tokenCount":5}]}')
    assert usage is not None
    assert (usage.input_tokens, usage.audio_input_tokens) == (9, 0)


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"candidatesTokenCount": 40, "thoughtsTokenCount": 60, "totalTokenCount": 110}, 100),
        ({"candidatesTokenCount": 40, "totalTokenCount": 110}, 100),  # thoughts only in the total
        ({"candidatesTokenCount": 100, "thoughtsTokenCount": 60, "totalTokenCount": 110}, 100),  # among the candidates
        ({"candidatesTokenCount": 40, "thoughtsTokenCount": 60}, 100),
        ({"candidatesTokenCount": 40, "totalTokenCount": 12}, 40),
        ({"totalTokenCount": 10}, 0),
        (
            {"candidatesTokenCount": 5, "thoughtsTokenCount": 60, "toolUsePromptTokenCount": 30, "totalTokenCount": 75},
            65,
        ),
    ],
)
def test_the_total_decides_where_the_parts_do_not_add_up(fields: dict[str, int], output: int) -> None:
    found = usage(promptTokenCount=10, **fields)
    assert found is not None
    assert found.output_tokens == output


def test_searches_are_counted_once_a_candidate_though_a_stream_may_repeat_them() -> None:
    candidate = {"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a", "b"]}}
    body = {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}
    answer = parse_answer(json.dumps(body).encode())
    assert answer is not None
    tap = StreamTap("asked")
    tap.feed(b"data: %b\n\n" % json.dumps(body).encode() * 3)
    assert answer.usage == tap.usage == Usage(input_tokens=1, server_tool_calls=2)


@pytest.mark.parametrize("raw", [b"null", b"{}", b'{"promptTokenCount":-1}', b'{"promptTokenCount":"9"}', b"[", b""])
def test_no_usable_figure_is_none_and_never_zeros(raw: bytes) -> None:
    assert parse_usage(raw) is None


def test_the_tier_is_what_the_answer_says() -> None:
    assert parse_metered(b'{"promptTokenCount":1,"trafficType":"ON_DEMAND_PRIORITY"}')[1] == "priority"
    assert parse_metered(b'{"trafficType":"NEW_KIND"}') == (None, "new_kind")


def test_a_whole_answer_names_the_asked_model_and_its_cost() -> None:
    body = {
        "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 3, "future": [1]},
        "modelVersion": "upstream",
    }
    answer = parse_answer(json.dumps(body, indent=2).encode())
    assert answer is not None
    out = json.loads(answer.rendered("asked", "0.5"))
    wanted = {**body, "modelVersion": "asked", "usageMetadata": {**body["usageMetadata"], "cost": 0.5}}
    assert out == wanted
    assert answer.texts() == ["hi"]


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"usageMetadata":{}}', b"[]", b'{"candidates":null}'])
def test_a_body_without_candidates_and_without_a_reason_is_no_answer(body: bytes) -> None:
    assert parse_answer(body) is None


def test_a_blocked_prompt_is_an_answer() -> None:
    assert parse_answer(b'{"promptFeedback":{"blockReason":"SAFETY"}}') is not None


def details(error: DomainError) -> dict[str, Any]:
    found = json.loads(error_body(error))["error"]["details"]
    return {detail["@type"].rpartition(".")[2]: detail for detail in found}


@pytest.mark.parametrize("code", STATUSES)
def test_every_error_has_googles_shape(code: str) -> None:
    error = json.loads(error_body(DomainError(code, "Because.")))["error"]
    assert set(error) == {"code", "message", "status", "details"}
    assert error["code"] == STATUSES[code]
    assert error["status"].isupper()


def test_errors_carry_the_details_that_googles_clients_read() -> None:
    assert details(DomainError("invalid_api_key", "No."))["ErrorInfo"]["reason"] == "API_KEY_INVALID"
    limit = details(DomainError("rate_limit_exceeded", "x", limit_kind="requests", limit=3, retry_after_s=36.2))
    assert limit["RetryInfo"]["retryDelay"] == "37s"
    assert limit["QuotaFailure"]["violations"][0]["quotaValue"] == "3"
    assert details(invalid_request("bad", "contents"))["BadRequest"]["fieldViolations"][0]["field"] == "contents"
    shortfall = json.loads(error_body(DomainError("billing_shortfall", "x")))["error"]
    assert (shortfall["code"], shortfall["status"]) == (402, "FAILED_PRECONDITION")


def test_a_providers_refusal_keeps_its_words() -> None:
    theirs = b'{"error":{"code":400,"message":"Unknown name","status":"INVALID_ARGUMENT","details":[]}}'
    assert refusal_body(400, theirs) == theirs
    assert json.loads(refusal_body(413, b"too large"))["error"] == {
        "code": 413,
        "message": "too large",
        "status": "INVALID_ARGUMENT",
    }
