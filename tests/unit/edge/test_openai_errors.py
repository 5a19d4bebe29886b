"""Errors: every code has its status and OpenAI's shape, and SDKs are told whether to try again."""

import json
from typing import Any

import pytest

from tt_common.errors import DomainError
from tt_edge.api.app import not_found_message
from tt_edge.domain import refusals
from tt_edge.journal.journal import JournalFull
from tt_edge.protocols.errors import REFUSAL_CHARS_MAX, error_headers, error_message, error_status
from tt_edge.protocols.openai.errors import error_body, error_event, refusal_body

STATUSES = {
    "invalid_request": 400,
    "invalid_api_key": 401,
    "billing_shortfall": 402,
    "api_key_quota_exceeded": 402,
    "model_not_allowed": 403,
    "model_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "idempotency_in_progress": 409,
    "idempotency_reply_gone": 409,
    "request_too_large": 413,
    "idempotency_conflict": 422,
    "rate_limit_exceeded": 429,
    "internal_error": 500,
    "upstream_error": 502,
    "all_providers_unavailable": 503,
    "billing_unavailable": 503,
    "journal_unavailable": 503,
    "idempotency_unavailable": 503,
    "not_ready": 503,
    "upstream_timeout": 504,
}
REFUSALS = [
    refusals.invalid_request("bad", "n"),
    refusals.missing_key("the header 'Authorization: Bearer KEY'", ("sk-",)),
    refusals.invalid_key("bad"),
    refusals.keys_not_loaded(),
    refusals.model_not_allowed("no"),
    refusals.model_not_found("m"),
    refusals.wrong_endpoint("m", "chat", "/v1/embeddings"),
    refusals.body_too_large(5),
    refusals.billing_unavailable(),
    refusals.all_providers_unavailable(3),
    refusals.upstream_error("bad"),
    refusals.upstream_timeout(),
    JournalFull("full"),
]


def headers(error: DomainError) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in error_headers(error)}


@pytest.mark.parametrize(("code", "status"), STATUSES.items())
def test_every_code_has_its_status(code: str, status: int) -> None:
    error = DomainError(code, "why")
    body: dict[str, Any] = json.loads(error_body(error))["error"]
    assert error_status(error) == status
    assert set(body) == {"message", "type", "param", "code"}
    assert body["code"] == (None if code == "invalid_request" else code)
    assert body["message"] == "why"


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.code)
def test_every_refusal_of_the_edge_has_a_status_of_its_own(error: DomainError) -> None:
    assert error_status(error) == STATUSES[error.code]
    assert json.loads(error_event(error)[len(b"data: ") :]) == json.loads(error_body(error))


@pytest.mark.parametrize("error", [error for error in REFUSALS if error_status(error) == 503], ids=lambda e: e.code)
def test_a_503_says_when_to_come_back(error: DomainError) -> None:
    assert int(headers(error)["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("seconds", "header"), [(0, "1"), (0.2, "1"), (1.0, "1"), (1.2, "2"), (29.01, "30"), (60, "60")]
)
def test_retry_after_is_a_whole_number_that_is_never_too_early(seconds: float, header: str) -> None:
    assert headers(DomainError("rate_limit_exceeded", "x", retry_after_s=seconds)) == {"retry-after": header}


@pytest.mark.parametrize("code", ["billing_shortfall", "api_key_quota_exceeded", "idempotency_reply_gone"])
def test_where_a_retry_cannot_help_the_sdk_is_told(code: str) -> None:
    assert headers(DomainError(code, "x")) == {"x-should-retry": "false"}


def test_a_retry_that_can_help_is_not_forbidden() -> None:
    for code in ("rate_limit_exceeded", "upstream_error", "billing_unavailable", "idempotency_in_progress"):
        assert "x-should-retry" not in headers(DomainError(code, "x"))


def test_a_shortfall_says_how_much_is_missing() -> None:
    error = DomainError("billing_shortfall", "x", available_nanousd=250_000_000, need_nanousd=1_000_000_000)
    assert "$0.75" in error_message(error)
    assert json.loads(error_body(error))["error"]["type"] == "insufficient_quota"


def test_a_rate_limit_names_its_kind() -> None:
    error = DomainError("rate_limit_exceeded", "x", limit_kind="tokens")
    assert json.loads(error_body(error))["error"]["type"] == "tokens"


def test_a_providers_own_refusal_in_openais_shape_passes_byte_for_byte() -> None:
    body = b'{ "error": {"message":"too long", "unknown": 1},"more":2 }'
    assert refusal_body(400, body) == body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><body>413 Too Large</body></html>\n", "<html><body>413 Too Large</body></html>"),
        (b"plain words", "plain words"),
        (b'{"detail":"no such model"}', '{"detail":"no such model"}'),
        (b'{"error":"a text"}', '{"error":"a text"}'),
        (b'["a list"]', '["a list"]'),
        (b"null", "null"),
        (b"\xff\xfe broken", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} broken"),
        (b" \n", "The provider refused the request (422)."),
        (b"", "The provider refused the request (422)."),
        (b"[" * 300_000, "[" * REFUSAL_CHARS_MAX),
        (b"x" * 300_000, "x" * REFUSAL_CHARS_MAX),
    ],
)
def test_any_other_refusal_of_a_provider_gets_openais_shape(body: bytes, message: str) -> None:
    shape = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    assert json.loads(refusal_body(422, body)) == {"error": shape}


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/v1/embeddings/", "/v1/embeddings"),
        ("/models", "/v1/models"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1/v1/models/gpt-4o", "/v1/models/gpt-4o"),
        ("/v1//chat/completions", "/v1/chat/completions"),
        ("//v1/models", "/v1/models"),
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/v2/chat/completions", "/v1/chat/completions"),
        ("/v1beta/openai/embeddings", "/v1/embeddings"),
        ("/openai/deployments/gpt-4o/chat/completions", "/v1/chat/completions"),
        ("/models/vendor/name", "/v1/models/vendor/name"),
    ],
)
def test_a_wrong_path_is_told_the_right_one(path: str, meant: str) -> None:
    assert f"The path is {meant};" in not_found_message("POST", path)


@pytest.mark.parametrize("path", ["/", "//", "/v1", "/v1/", "/chat", "/completions", "/api/tags"])
def test_any_other_path_gets_the_list(path: str) -> None:
    message = not_found_message("GET", path)
    assert "The path is" not in message
    assert "/v1/chat/completions" in message
    assert "/v1/models" in message
