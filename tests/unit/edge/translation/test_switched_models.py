"""A conversation that began with one vendor's model and goes on with another's, through every client: what the second would refuse is
taken out, and what the gateway did not make stays."""

import json
from typing import Any

import pytest

from tt_edge.protocols.canonical.answer import ChatAnswer, Choice, Ending, ThinkingDelta, ThinkingSigned
from tt_edge.protocols.canonical.request import Text, Thinking, ToolUse
from tt_edge.protocols.gemini.client import GeminiClient
from tt_edge.protocols.gemini.outgoing import NO_SIGNATURE
from tt_edge.protocols.gemini.protocol import GEMINI
from tt_edge.protocols.gemini.request import parse_generate
from tt_edge.protocols.openai.client import OpenAIClient
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.protocols.openai.request import parse_chat
from tt_edge.protocols.port import Attempted, Target
from tt_edge.protocols.responses.client import ResponsesClient
from tt_edge.protocols.responses.protocol import RESPONSES
from tt_edge.protocols.responses.request import parse_responses

HERE = Target("/v1beta/models/asked:generateContent", b"", {})
CALL = ToolUse(id="toolu_1", name="look", arguments='{"city":"Oslo"}')
THOUGHTS = (
    Thinking(text="hm", signature="c2ln", vendor="anthropic"),
    Thinking(text="unsigned"),
    Thinking(signature="c2ln", vendor="gemini", redacted=True),
)
CALL_ID = "01a22a28-3997-7a40-9dc0-da2a72ad21bd"


def answered(*thoughts: Thinking, call: ToolUse = CALL) -> ChatAnswer:
    blocks = (*thoughts, Text(text="Let me see."), call)
    return ChatAnswer(choices=(Choice(blocks=blocks, ending=Ending(reason="tool_use")),), usage=None)


def chat(message: dict[str, Any], upstream: str = "gpt-5") -> list[Any]:
    messages = [{"role": "user", "content": "hi"}, message, {"role": "tool", "tool_call_id": "toolu_1", "content": "4"}]
    request = parse_chat(json.dumps({"model": "asked", "messages": messages}).encode())
    return json.loads(OPENAI.bridge(request, "openai", "evt").outgoing(Attempted(upstream, None, 100)).body)["messages"]


def told(answer: ChatAnswer) -> dict[str, Any]:
    request = parse_chat(b'{"model":"asked","messages":[{"role":"user","content":"hi"}]}')
    return json.loads(OpenAIClient().whole(answer, request, "asked", CALL_ID, "0.1"))["choices"][0]["message"]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_openai_gets_no_thought_that_a_chat_brings_along(thought: Thinking) -> None:
    message = told(answered(thought, call=ToolUse(id="toolu_1", name="look", arguments="{}", signature="c2ln")))
    assert message["reasoning_details"] and message["tool_calls"][0]["extra_content"]

    sent = chat(message)[1]

    assert sent.keys() == {"role", "content", "refusal", "tool_calls"}
    assert sent["tool_calls"][0].keys() == {"id", "type", "function"}


def test_a_chat_keeps_what_the_gateway_did_not_make() -> None:
    deepseek = {"role": "assistant", "content": "x", "reasoning_content": "hm"}
    openrouter = {
        **deepseek,
        "reasoning_details": [{"type": "reasoning.text", "text": "hm", "format": "anthropic-claude-v1"}],
    }

    assert chat(deepseek)[1] == deepseek
    assert chat(openrouter)[1] == openrouter


def test_a_gemini_model_behind_openais_dialect_gets_its_signatures_back() -> None:
    message = told(answered(call=ToolUse(id="toolu_1", name="look", arguments="{}", signature="c2ln")))

    assert chat(message, "gemini-3-pro")[1]["tool_calls"] == message["tool_calls"]


def test_gemini_gets_no_thought_that_another_vendor_signed_and_a_stand_in_for_its_own_signature() -> None:
    request = parse_generate(HERE, b'{"contents":[{"parts":[{"text":"hi"}]}]}')
    answer = json.loads(GeminiClient().whole(answered(THOUGHTS[0]), request, "asked", CALL_ID, "0.1"))
    content = answer["candidates"][0]["content"]
    said, call = content["parts"][1:]

    [_, sent] = generated([{"role": "user", "parts": [{"text": "hi"}]}, content])

    assert sent["parts"] == [said, {**call, "thoughtSignature": NO_SIGNATURE}]


def test_a_content_of_foreign_thoughts_alone_is_left_out_and_geminis_own_stays() -> None:
    request = parse_generate(HERE, b'{"contents":[{"parts":[{"text":"hi"}]}]}')
    answer = ChatAnswer(choices=(Choice(blocks=THOUGHTS[:1], ending=Ending(reason="end")),), usage=None)
    foreign = json.loads(GeminiClient().whole(answer, request, "asked", CALL_ID, "0.1"))["candidates"][0]["content"]
    own = {"role": "model", "parts": [{"text": "hm", "thought": True, "thoughtSignature": "c2ln"}, {"text": "Hello."}]}

    assert generated([foreign, own]) == [own]


def generated(contents: list[Any]) -> list[Any]:
    request = parse_generate(HERE, json.dumps({"contents": contents}).encode())
    outgoing = GEMINI.bridge(request, "gemini", "evt").outgoing(Attempted("gemini-3-pro", None, 100))
    return json.loads(outgoing.body)["contents"]


@pytest.mark.parametrize("with_ids", [True, False])
def test_openai_gets_no_reasoning_item_of_another_vendor(with_ids: bool) -> None:
    # given an answer of a Claude model, as items
    request = parse_responses(b'{"model":"asked","input":"hi"}')
    writer = ResponsesClient().writer(request, CALL_ID)
    writer.write(ThinkingDelta("hm"))
    writer.write(ThinkingSigned("c2ln", "anthropic"))
    [item] = writer.response(Ending(reason="end"), None, "", "0.1")["output"]
    if not with_ids:  # as clients send it back that keep nothing at the vendor's
        del item["id"]
    own = {"type": "reasoning", "id": "rs_0a1b", "summary": [], "encrypted_content": "gAAAA"}

    # when both it and one of OpenAI's own go on with OpenAI
    body = json.dumps({"model": "asked", "input": [item, own, {"role": "user", "content": "hi"}]}).encode()
    outgoing = RESPONSES.bridge(parse_responses(body), RESPONSES.dialect, "evt").outgoing(Attempted("gpt-5", None, 100))
    sent = json.loads(outgoing.body)["input"]

    # then OpenAI's alone is there
    assert sent == [own, {"role": "user", "content": "hi"}]
