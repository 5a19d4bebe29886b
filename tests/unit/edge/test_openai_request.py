"""OpenAI requests: invalid fields are named, everything the gateway needn't change passes through."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.errors import DomainError
from tt_edge.protocols.openai.request import OUTPUT_LIMIT_MAX, build, parse_chat, parse_embeddings

MESSAGES = [{"role": "user", "content": "Hello"}]
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
KNOWN = frozenset(
    ("model", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "messages", "tools", "input")
)


def chat(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-4o-mini", "messages": MESSAGES, **fields}, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": "2"}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": 10**30}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
def test_an_invalid_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(DomainError) as caught:
        parse_chat(chat(**fields))
    assert caught.value.code == "invalid_request"
    assert caught.value.data["param"] == param
    assert caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b'"text"',
        b'{"model":"x","messages":"\xff"}',
        b'{"model":"\\ud800","messages":[{"content":"x"}]}',
        b'{"messages":[{"content":"x"}]}',
        b'{"model":"x","messages":[{"content":1e999}]}',
        b'{"model":"x","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_nonsense_is_an_invalid_request_and_no_crash(body: bytes) -> None:
    for parse in (parse_chat, parse_embeddings):
        with pytest.raises(DomainError) as caught:
            parse(body)
        assert caught.value.code == "invalid_request"


def test_a_byte_order_mark_before_the_json_is_ignored() -> None:
    request = parse_chat(b"\xef\xbb\xbf" + chat())

    assert json.loads(build(request, "gpt-4o-mini", None)) == json.loads(chat())


@pytest.mark.parametrize(
    ("text", "told"), [(b"cut \\ud83d", True), (b"cut \\uD83D and more", True), (b"whole \\ud83d\\ude00 \\x", False)]
)
def test_a_client_that_cut_an_emoji_in_two_is_told_so(text: bytes, told: bool) -> None:
    with pytest.raises(DomainError) as caught:
        parse_chat(b'{"model":"x","messages":[{"role":"user","content":"' + text + b'"}]}')

    assert ("half of a surrogate pair" in caught.value.message) == told


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_politely(body: bytes) -> None:
    with pytest.raises(DomainError) as caught:
        parse_chat(body)
    assert caught.value.code == "invalid_request"


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4), JSON_VALUES, JSON_VALUES)
def test_any_message_and_any_tools_are_accepted_or_refused_but_never_crash(
    message: dict[str, Any], calls: Any, tools: Any
) -> None:
    body = msgspec.json.encode({"model": "x", "messages": [{**message, "tool_calls": calls}], "tools": tools})
    try:
        request = parse_chat(body)
    except DomainError as error:
        assert error.code == "invalid_request"
    else:
        assert request.demand.input_tokens > 0


@given(st.dictionaries(st.text().filter(lambda name: name not in KNOWN), JSON_VALUES, max_size=5))
def test_unknown_fields_reach_the_provider_as_they_were(extra: dict[str, Any]) -> None:
    # given a body with fields nobody knows
    body = msgspec.json.encode({"model": "gpt-4o-mini", **extra, "messages": MESSAGES})

    # when
    built = build(parse_chat(body), "upstream-name", None)

    # then only the model's name has changed, byte for byte
    assert built == body.replace(b'"model":"gpt-4o-mini"', b'"model":"upstream-name"', 1)


def test_big_integers_unicode_escapes_and_order_survive() -> None:
    # given what a decode and encode would change: a big integer, a long float, escapes, spaces in a value
    body = (
        b'{"z":123456789012345678901234567890,"model":"a","f":1.10000000000000000001e5,"u":"\\u00fc\\/\xc3\xbc",'
        b'"messages":[ {"content" : "x" , "role":"user"} ],"a":{"k": [1 ,2]}}'
    )

    # when / then
    assert build(parse_chat(body), "b", None) == body.replace(b'"model":"a"', b'"model":"b"')


def test_stream_options_are_merged_and_usage_is_always_asked_for() -> None:
    # given streams with and without options of the client's own
    plain = parse_chat(chat(stream=True))
    own = parse_chat(chat(stream=True, stream_options={"include_obfuscation": False, "include_usage": False}))
    asked = parse_chat(chat(stream=True, stream_options={"include_usage": True}))

    # then
    assert json.loads(build(plain, "m", None))["stream_options"] == {"include_usage": True}
    assert json.loads(build(own, "m", None))["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert (plain.wants_usage_chunk, own.wants_usage_chunk, asked.wants_usage_chunk) == (False, False, True)
    assert "stream_options" not in json.loads(build(parse_chat(chat()), "m", None))


@pytest.mark.parametrize(
    ("fields", "limit", "lowered"),
    [
        ({}, None, {"max_completion_tokens": 300}),
        ({"max_tokens": 1000}, 1000, {"max_tokens": 300}),
        ({"max_completion_tokens": 900}, 900, {"max_completion_tokens": 300}),
        ({"max_tokens": None, "max_completion_tokens": 900}, 900, {"max_tokens": None, "max_completion_tokens": 300}),
        ({"max_tokens": 10**15}, OUTPUT_LIMIT_MAX, {"max_tokens": 300}),
        ({"max_tokens": 1000, "max_completion_tokens": 900}, 1000, {"max_tokens": 300, "max_completion_tokens": 300}),
    ],
)
def test_the_clients_output_limit_is_read_and_lowered_where_it_stands(
    fields: dict[str, Any], limit: int | None, lowered: dict[str, Any]
) -> None:
    request = parse_chat(chat(**fields))
    assert request.demand.output_limit == limit
    built = json.loads(build(request, "m", 300))
    assert {name: value for name, value in built.items() if name.startswith("max_")} == lowered


def test_everything_that_costs_input_is_counted() -> None:
    # given the same call with one thing more each time
    def tokens(**fields: Any) -> int:
        return parse_chat(chat(**fields)).demand.input_tokens

    word = "antidisestablishmentarianism " * 50
    plain = tokens()
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}

    # then each of them counts
    assert tokens(messages=[{"role": "user", "content": word}]) > plain + 200
    assert tokens(messages=[{"role": "user", "content": [{"type": "text", "text": word}]}]) > plain + 200
    assert tokens(messages=[{"role": "assistant", "tool_calls": [{"function": {"arguments": word}}]}]) > 200
    assert tokens(messages=[{"role": "assistant", "function_call": {"arguments": word}}]) > 200
    assert tokens(messages=[{"role": "assistant", "content": "x", "reasoning_content": word}]) > 200
    assert tokens(tools=[{"type": "function", "function": {"name": "f", "description": word}}]) > plain + 200
    assert tokens(functions=[{"name": "f", "description": word}]) > plain + 200
    assert tokens(response_format={"type": "json_schema", "json_schema": {"description": word}}) > plain + 200
    assert tokens(messages=[image]) > 1_600
    assert tokens(messages=MESSAGES * 10) > plain * 3


@pytest.mark.parametrize(
    ("value", "tokens"),
    [("hello world", 2), (["hello", " world"], 2), ([1, 2, 3], 3), ([[1, 2], [3]], 3)],
)
def test_embedding_input_of_each_form_is_counted(value: Any, tokens: int) -> None:
    request = parse_embeddings(json.dumps({"model": "e", "input": value}).encode())
    assert (request.kind, request.demand.input_tokens, request.stream) == ("embedding", tokens, False)


@pytest.mark.parametrize("value", [None, 5, [], {}, [None], ["a", 1], [[]], [["a"]]])
def test_any_other_embedding_input_is_named(value: Any) -> None:
    with pytest.raises(DomainError) as caught:
        parse_embeddings(json.dumps({"model": "e", "input": value}).encode())
    assert caught.value.data["param"] == "input"


def test_a_small_limit_beside_a_large_one_hides_no_output_from_the_hold() -> None:
    # given two limits, of which the provider may heed either
    request = parse_chat(chat(max_completion_tokens=1, max_tokens=9_000))

    # then the larger one is reckoned with, and where it must be lowered the smaller one stays
    assert request.demand.output_limit == 9_000
    built = json.loads(build(request, "m", 300))
    assert (built["max_completion_tokens"], built["max_tokens"]) == (1, 300)
