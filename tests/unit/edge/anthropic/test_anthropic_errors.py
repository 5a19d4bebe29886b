"""The edge's errors as Anthropic's SDKs read them, its headers, its list of models, and where it finds a key."""

import json
from typing import Any

import pytest

from tests.unit.edge.samples import model
from tt_common.errors import DomainError
from tt_edge.protocols.anthropic.models import models_body
from tt_edge.protocols.anthropic.protocol import ANTHROPIC
from tt_edge.protocols.anthropic.request import parse_messages
from tt_edge.protocols.port import LimitLeft, Target

REQUEST = parse_messages(Target("", b"", {}), b'{"model":"m","messages":[{"role":"user","content":"x"}]}')


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_request", "invalid_request_error"),
        ("invalid_api_key", "authentication_error"),
        ("billing_shortfall", "billing_error"),
        ("api_key_quota_exceeded", "billing_error"),
        ("model_not_allowed", "permission_error"),
        ("model_not_found", "not_found_error"),
        ("not_found", "not_found_error"),
        ("request_too_large", "request_too_large"),
        ("rate_limit_exceeded", "rate_limit_error"),
        ("all_providers_unavailable", "overloaded_error"),
        ("billing_unavailable", "api_error"),
        ("upstream_error", "api_error"),
        ("upstream_timeout", "timeout_error"),
        ("internal_error", "api_error"),
    ],
)
def test_an_error_has_the_vendors_type_and_the_request_id(code: str, kind: str) -> None:
    body = json.loads(ANTHROPIC.error_body(DomainError(code, "why"), "req_1"))

    assert body == {"type": "error", "error": {"type": kind, "message": "why"}, "request_id": "req_1"}


def test_an_error_within_a_stream_is_an_event_of_its_own() -> None:
    event = ANTHROPIC.error_event(DomainError("upstream_error", "broke"), "req_1")

    assert event.startswith(b"event: error\ndata: {")
    assert event.endswith(b"}\n\n")


def test_a_providers_refusal_keeps_its_words_under_our_request_id() -> None:
    bridge = ANTHROPIC.bridge(REQUEST, "anthropic", "evt_1")
    theirs = {"type": "error", "error": {"type": "invalid_request_error", "message": "x: no", "details": [1]}}

    ours = json.loads(bridge.refusal(400, json.dumps({**theirs, "request_id": "req_theirs"}).encode()))

    assert ours == {**theirs, "request_id": "evt_1"}
    plain = json.loads(bridge.refusal(404, b"<html>gone"))
    assert plain["error"] == {"type": "not_found_error", "message": "<html>gone"}


def test_limits_are_told_as_anthropic_tells_them() -> None:
    headers = dict(ANTHROPIC.answer_headers(b"req_1", [LimitLeft("tokens", 100, 40, 30.0)]))

    assert headers[b"request-id"] == b"req_1"
    assert headers[b"anthropic-ratelimit-tokens-limit"] == b"100"
    assert headers[b"anthropic-ratelimit-tokens-remaining"] == b"40"
    assert headers[b"anthropic-ratelimit-tokens-reset"].endswith(b"Z")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({b"x-api-key": b"sk-1"}, "sk-1"),
        ({b"authorization": b"Bearer sk-2"}, "sk-2"),
        ({b"x-api-key": b"sk-1", b"authorization": b"Bearer sk-2"}, "sk-1"),
        ({b"x-api-key": b"", b"authorization": b"Bearer sk-2"}, "sk-2"),
        ({b"x-api-key": b""}, None),
        ({}, None),
    ],
)
def test_the_key_is_in_x_api_key_or_a_bearer(headers: dict[bytes, bytes], key: str | None) -> None:
    assert ANTHROPIC.key_of(headers, b"") == key


MODELS = [model(id=f"m{number}") for number in range(5)]


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        (b"", ["m0", "m1", "m2", "m3", "m4"], False),
        (b"limit=2", ["m0", "m1"], True),
        (b"limit=2&after_id=m1", ["m2", "m3"], True),
        (b"limit=2&after_id=m3", ["m4"], False),
        (b"limit=2&before_id=m3", ["m1", "m2"], True),
        (b"after_id=m4", [], False),
    ],
)
def test_models_come_in_pages(query: bytes, ids: list[str], more: bool) -> None:
    page: dict[str, Any] = models_body(MODELS, query)

    assert [entry["id"] for entry in page["data"]] == ids
    assert page["has_more"] is more
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize("limit", [b"0", b"-1", b"x", b"1001", b"99999999999999"])
def test_a_page_of_no_size_is_refused(limit: bytes) -> None:
    with pytest.raises(DomainError, match="limit"):
        models_body(MODELS, b"limit=" + limit)
