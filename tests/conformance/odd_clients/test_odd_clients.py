"""What desktop and coding clients really send, from public issue threads: every case of `cases/` against the running product."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.conformance.odd_clients.corpus import Case, filled, load
from tests.support.console import ApiKey
from tests.support.product import Product
from tests.support.scripted_provider import EVENT_STREAM, JSON, Request, ScriptedProvider

_USAGE: Final = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
_HEAD: Final = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "vendor/some-model"}
_WHOLE: Final = {
    **_HEAD,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}],
    "usage": _USAGE,
}
_CHUNKS: Final = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "pong"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": _USAGE},
)
_GEMINI: Final = {
    "candidates": [
        {"content": {"parts": [{"text": "pong"}], "role": "model"}, "finishReason": "STOP", "index": 0},
    ],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6},
    "modelVersion": "vendor/some-model",
}
_PONG: Final = {"type": "output_text", "text": "pong", "annotations": []}
_RESPONSE: Final = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_700_000_000,
    "status": "completed",
    "model": "vendor/some-model",
    "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [_PONG]}],
    "usage": {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6},
}
_RESPONSE_EVENTS: Final = (
    {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": [], "usage": None}},
    {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "pong"},
    {"type": "response.completed", "response": _RESPONSE},
)
_VECTORS: Final = {
    "object": "list",
    "model": "vendor/some-model",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}
OF_ONE_USE: Final = {
    "/embeddings": ("embeddings", _VECTORS),
    "/images/": ("images", {"created": 1_700_000_000, "data": [{"b64_json": "cG9uZw=="}]}),
    "/audio/": ("audio", {"text": "pong"}),
}
"""By a part of the path: the model there, and what it answers."""


_MESSAGE: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "vendor/some-model",
    "content": [{"type": "text", "text": "pong"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 1},
}


def _message_events() -> bytes:
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**_MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "pong"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def _events(*chunks: dict[str, Any]) -> bytes:
    events = [json.dumps({**_HEAD, "object": "chat.completion.chunk", **chunk}) for chunk in chunks]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()


def _named_events(*events: dict[str, Any]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


ANSWERS: Final[dict[str, tuple[bytes, bytes]]] = {
    "openai": (json.dumps(_WHOLE).encode(), _events(*_CHUNKS)),
    "anthropic": (json.dumps(_MESSAGE).encode(), _message_events()),
    "gemini": (json.dumps(_GEMINI).encode(), b"data: %b\r\n\r\n" % json.dumps(_GEMINI).encode()),
    "responses": (json.dumps(_RESPONSE).encode(), _named_events(*_RESPONSE_EVENTS)),
}
"""By dialect of the provider: a whole answer and a stream, both of which say `pong`."""

CASES: Final = load()


@pytest.fixture(scope="module")
def models(product: Product, scripted: ScriptedProvider, scripted_model: str) -> dict[str, str]:
    """A model by dialect of its provider; those of one use apart."""
    route = {"provider": "scripted", "upstream_model": "vendor/some-model"}
    gemini = {"provider": "scripted-gemini", "upstream_model": "vendor/some-model"}
    claude = {"provider": "scripted-anthropic", "upstream_model": "vendor/some-model"}
    key_ref = "env:SANDBOX_API_KEY"
    for dialect in ("gemini", "anthropic"):
        product.operator.put_provider(f"scripted-{dialect}", scripted.base_url, key_ref=key_ref, dialect=dialect)
    product.operator.put_provider("scripted-responses", scripted.base_url, key_ref=key_ref, responses=True)
    return {
        "openai": scripted_model,
        "gemini": product.new_model(routes=[gemini]),
        "anthropic": product.new_model(routes=[claude]),
        "responses": product.new_model(routes=[{**route, "provider": "scripted-responses"}]),
        "embeddings": product.new_model(routes=[route], kind="embedding", output_usd="0"),
        "images": product.new_model(routes=[route], kind="image"),
        "audio": product.new_model(routes=[route], kind="transcription"),
    }


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10.0) as client:
        yield client


@pytest.mark.parametrize("name", CASES)
def test_odd_request(
    name: str,
    product: Product,
    key: ApiKey,
    scripted: ScriptedProvider,
    models: dict[str, str],
    http: httpx.Client,
) -> None:
    # given
    case = CASES[name]
    use, answer_of_use = next((of for part, of in OF_ONE_USE.items() if part in case.path), (case.dialect, None))
    words = {"key": key.plaintext, "model": models[use]}
    _prepare(scripted, case, answer_of_use)

    # when
    answer = http.request(
        case.method,
        product.stack.edge_urls[0] + filled(case.path, words),
        headers={header: filled(value, words) for header, value in case.headers.items()},
        content=case.content(words) if case.method == "POST" else None,
    )

    # then
    assert answer.status_code == case.expect.status, f"{case.why} But: {answer.text}"
    _check_answer(case, answer)
    sent = list(scripted.requests)
    assert len(sent) == case.provider_calls
    for request in sent:
        _check_sent(case, request, words)


def _prepare(scripted: ScriptedProvider, case: Case, answer_of_use: dict[str, Any] | None) -> None:
    scripted.requests.clear()
    whole, stream = ANSWERS[case.dialect]
    if answer_of_use is not None:
        scripted.answer(json.dumps(answer_of_use).encode())
    elif case.expect.stream:
        scripted.answer(stream, content_type=EVENT_STREAM)
    else:
        scripted.answer(whole, content_type=JSON)


def _check_answer(case: Case, answer: httpx.Response) -> None:
    expect = case.expect
    kind = EVENT_STREAM if expect.stream else JSON
    assert answer.headers["content-type"].partition(";")[0] == kind
    if expect.stream:
        assert "pong" in answer.text
        return
    body = answer.json()
    for pointer, value in expect.answer.items():
        assert _at(body, pointer) == value, pointer
    for pointer, pattern in expect.answer_matches.items():
        assert re.fullmatch(pattern, str(_at(body, pointer))), pointer
    if expect.status >= 400:
        error = body["error"]
        assert all(words in error["message"] for words in expect.message_has), error["message"]
        assert expect.param is None or error["param"] == expect.param
        assert expect.code is None or error["code"] == expect.code


def _check_sent(case: Case, request: Request, words: dict[str, str]) -> None:
    """What reached the provider. Never the caller's key."""
    expect = case.expect
    if request.headers["content-type"].startswith("multipart/"):
        assert request.body == case.content({**words, "model": "vendor/some-model"})
        return
    got = json.loads(request.body)
    text = json.dumps(got, separators=(",", ":"), ensure_ascii=False)
    assert words["key"] not in f"{request.headers} {text}"
    if expect.untouched:
        wanted = json.loads(case.content(words).removeprefix(b"\xef\xbb\xbf"))
        assert _without_ours(got) == _without_ours(wanted)
    for pointer, value in expect.provider_gets.items():
        assert _at(got, pointer) == value, pointer
    for pointer, pattern in expect.provider_matches.items():
        assert re.fullmatch(pattern, str(_at(got, pointer))), pointer
    for one, other in expect.provider_same:
        assert _at(got, one) == _at(got, other), (one, other)
    assert [pointer for pointer in expect.provider_lacks if _at(got, pointer) is not None] == []
    assert [words for words in expect.provider_has if words not in text] == []
    assert [words for words in expect.provider_has_not if words in text] == []


def _without_ours(body: dict[str, Any]) -> dict[str, Any]:
    """Without what the gateway must change: the model's name, and that streams report their usage."""
    return {name: value for name, value in body.items() if name not in ("model", "stream_options")}


def _at(value: Any, pointer: str) -> Any:
    """What a JSON pointer names, or None."""
    for name in pointer.split("/")[1:]:
        if isinstance(value, list):
            value = value[int(name)] if name.isdigit() and int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value
