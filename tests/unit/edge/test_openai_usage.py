"""OpenAI's usage object as disjoint classes, and the cost written into it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.rating import Usage
from tt_edge.protocols.openai.answer import answer_texts, parse_answer, render_answer
from tt_edge.protocols.openai.usage import parse_usage


def usage(**fields: Any) -> Usage | None:
    return parse_usage(json.dumps(fields).encode())


def test_cached_tokens_are_taken_out_of_the_prompt() -> None:
    assert usage(prompt_tokens=9888, completion_tokens=100, prompt_tokens_details={"cached_tokens": 6752}) == Usage(
        input_tokens=3136, cache_read_tokens=6752, output_tokens=100
    )


def test_reasoning_stays_inside_output_and_audio_goes_out_of_it() -> None:
    assert usage(
        prompt_tokens=100,
        completion_tokens=50,
        prompt_tokens_details={"cached_tokens": 10, "cache_write_tokens": 20, "audio_tokens": 30},
        completion_tokens_details={"reasoning_tokens": 7, "audio_tokens": 5},
    ) == Usage(
        input_tokens=40,
        cache_read_tokens=10,
        cache_write_5m_tokens=20,
        audio_input_tokens=30,
        output_tokens=45,
        reasoning_tokens=7,
        audio_output_tokens=5,
    )


@given(st.integers(0, 10**6), st.data())
def test_the_classes_add_up_to_the_prompt(prompt: int, data: st.DataObject) -> None:
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    found = usage(prompt_tokens=prompt, prompt_tokens_details={"cached_tokens": cached, "cache_write_tokens": written})
    assert found is not None
    assert found.prompt_tokens == prompt


@pytest.mark.parametrize(
    "raw",
    [
        b"null",
        b"{}",
        b"5",
        b"{",
        b'{"prompt_tokens":null}',
        b'{"prompt_tokens":-1}',
        b'{"prompt_tokens":5,"completion_tokens":-1}',
        b'{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":-5}}',
        b'{"prompt_tokens":1000000001}',
        b'{"prompt_tokens":123456789012345678901234567890}',
        b'{"prompt_tokens":"5"}',
    ],
)
def test_what_is_no_usable_figure_is_none(raw: bytes) -> None:
    assert parse_usage(raw) is None


def test_null_details_are_no_details() -> None:
    assert usage(prompt_tokens=5, completion_tokens=None, prompt_tokens_details=None) == Usage(input_tokens=5)


def test_a_whole_answer_keeps_everything_but_model_and_cost() -> None:
    # given
    body = (
        b'{"id":"c1","model":"upstream","big":123456789012345678901234567890,"choices":[{"message":{"content":"Hi"}}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":1,"x":[1 ,2]}}'
    )
    answer = parse_answer(body, "chat")
    assert answer is not None
    assert answer.usage == Usage(input_tokens=3, output_tokens=1)

    # when
    rendered = render_answer(answer, 'my "model" ü', "0.000000012")

    # then
    expected = body.replace(b'"upstream"', 'my \\"model\\" ü'.join('""').encode()).replace(
        b"[1 ,2]}", b'[1 ,2],"cost":0.000000012}'
    )
    assert rendered == expected


@pytest.mark.parametrize(
    "body",
    [
        b'{\n  "model": "up",\n  "choices": [{"finish_reason": "up"}],\n  "usage": {\n "prompt_tokens": 1\n }\n}',
        b'{"model":"up","choices":[{"usage":{"prompt_tokens":1}}],"usage":{"prompt_tokens":1}}',
        b'{"usage":{"prompt_tokens":9},"model":"x","choices":[1],"model":"up","usage":{"prompt_tokens":1}}',
        b'{"model":"up","choices":["\\"usage\\":{}"],"usage":{"prompt_tokens":1,"cost":5,"cost_details":{}}}',
        b'{"model":"up","choices":[1],"usage":{ "prompt_tokens":1, "\\u0063ost":5 }}',
        b'{"model":"\\u0075p","x":"up","choices":[1],"usage":{"prompt_tokens":1}}',
        b'{"model":null,"choices":[null],"usage":{"prompt_tokens":1}}',
    ],
)
def test_model_and_cost_are_set_wherever_their_text_stands_elsewhere_too(body: bytes) -> None:
    # given
    answer = parse_answer(body, "chat")
    assert answer is not None

    # when
    rendered = json.loads(render_answer(answer, "asked", "0.5"))

    # then
    expected = json.loads(body)
    expected["model"] = "asked"
    expected["usage"]["cost"] = 0.5
    assert rendered == expected


def test_an_answer_without_usage_stays_without() -> None:
    for usage_field in (b"", b',"usage":null'):
        answer = parse_answer(b'{"choices":[]' + usage_field + b"}", "chat")
        assert answer is not None
        assert answer.usage is None
        assert render_answer(answer, "m", "0.00") == b'{"choices":[]' + usage_field + b"}"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"error":{}}', b'{"data":[]}', b'{"a\xff":1}', b'{"choices":[],"a":' + b"[" * 100_000],
)
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert parse_answer(body, "chat") is None


def test_all_that_the_model_wrote_is_counted_where_usage_is_missing() -> None:
    # given every field that carries text
    message = {
        "content": "one",
        "refusal": "two",
        "reasoning_content": "three",
        "tool_calls": [{"function": {"name": "four", "arguments": "five"}}],
    }
    answer = parse_answer(
        json.dumps({"choices": [{"message": message}, {"message": {"content": "six"}}]}).encode(), "chat"
    )
    assert answer is not None

    # then
    texts = "".join(answer_texts(answer))
    assert all(word in texts for word in ("one", "two", "three", "four", "five", "six"))


@pytest.mark.parametrize("choices", [b"null", b"[]", b"5", b'[{"message":5}]', b'[{"message":{"content":"\xff"}}]'])
def test_odd_choices_are_counted_somehow_and_never_crash(choices: bytes) -> None:
    answer = parse_answer(b'{"choices":' + choices + b"}", "chat")
    assert answer is not None
    assert isinstance(answer_texts(answer), list)
