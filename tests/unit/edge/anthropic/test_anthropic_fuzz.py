"""Whatever clients and providers send: a request is read or refused by name, an answer is read or passed on; nothing else is raised.

FUZZ_EXAMPLES says how many examples (`make fuzz` takes many).
"""

import json
import os
from contextlib import suppress
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.edge.anthropic.test_anthropic_reader import STREAM, WHOLE
from tt_common.errors import DomainError
from tt_edge.protocols.anthropic.protocol import ANTHROPIC
from tt_edge.protocols.anthropic.reader import AnthropicReader, read_answer
from tt_edge.protocols.anthropic.request import parse_messages
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.protocols.openai.request import parse_chat
from tt_edge.protocols.port import Attempted, Target

FUZZ = settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "100")), deadline=None)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
CALL = {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": [1]}, "cache_control": {"type": "ephemeral"}}
PARTS: list[Any] = [
    {"type": "text", "text": "x"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "t"},
    {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
    {"type": "thinking", "thinking": "x", "signature": "tokentally:gemini:call:x"},
    {"type": "redacted_thinking", "data": "tokentally:openai:thought:x"},
    CALL,
    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "x"}], "is_error": True},
]
BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": PARTS}, {"role": "assistant", "content": PARTS}],
    "system": [{"type": "text", "text": "x"}],
    "tools": [{"name": "look", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "metadata": {"user_id": "u"},
    "stop_sequences": ["x"],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, item in inner for found in places(item, (*path, name)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The JSON value with something else at a place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@FUZZ
@given(st.sampled_from(places(BODY)), JSON, st.sampled_from(["anthropic", "openai", "gemini"]))
def test_any_request_is_translated_or_refused(place: tuple[Any, ...], value: Any, dialect: Any) -> None:
    body = json.dumps(changed(BODY, place, value)).encode()

    with suppress(DomainError):
        bridge = ANTHROPIC.bridge(parse_messages(Target("", b"", {}), body), dialect, "evt_1")
        json.loads(bridge.outgoing(Attempted("claude-sonnet-5", 40, 100)).body)


TALK: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "user", "content": PARTS},
        {"role": "assistant", "content": [CALL], "reasoning_details": [{"type": "reasoning.text", "text": "x"}]},
    ],
    "tools": [{"name": "look", "input_schema": {"type": "object"}}],
    "reasoning_effort": "low",
}


@FUZZ
@given(st.sampled_from(places(TALK)), JSON)
def test_any_request_of_openais_clients_is_said_in_anthropics_words_or_refused(
    place: tuple[Any, ...], value: Any
) -> None:
    body = json.dumps(changed(TALK, place, value)).encode()

    with suppress(DomainError):
        bridge = OPENAI.bridge(parse_chat(body), "anthropic", "evt_1")
        json.loads(bridge.outgoing(Attempted("claude-sonnet-5", 40, 100)).body)


@FUZZ
@given(st.sampled_from(places(WHOLE)), JSON)
def test_any_answer_is_read_or_is_none(place: tuple[Any, ...], value: Any) -> None:
    body = json.dumps(changed(WHOLE, place, value)).encode()
    read_answer(body, hour_cache=False)

    request = parse_messages(Target("", b"", {}), json.dumps(BODY).encode())
    answer = ANTHROPIC.bridge(request, "anthropic", "evt_1").answer(body)
    if answer is not None:
        answer.texts()
        json.loads(answer.rendered("asked", "0.1"))


@FUZZ
@given(st.lists(st.tuples(st.integers(0, len(STREAM)), st.binary(max_size=8)), max_size=4))
def test_any_stream_is_read_to_its_end(noise: list[tuple[int, bytes]]) -> None:
    edges = [0, *sorted(at for at, _ in noise), len(STREAM)]
    pieces = [STREAM[a:b] + extra for (a, b), extra in zip(pairwise(edges), [*(e for _, e in noise), b""], strict=True)]
    request = parse_messages(Target("", b"", {}), json.dumps(BODY).encode())
    reader, tap = AnthropicReader(hour_cache=False), ANTHROPIC.bridge(request, "anthropic", "evt_1").tap()

    for piece in pieces:
        reader.feed(piece)
        tap.feed(piece)
    reader.end()
    tap.end()
    assert tap.tail("0.1") if tap.complete else not tap.tail("0.1")
