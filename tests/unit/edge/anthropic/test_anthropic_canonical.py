"""Anthropic requests in the canonical form: what it claims to keep is kept, what it can't keep is refused by name."""

import json
from typing import Any

import pytest

from tt_common.errors import DomainError
from tt_edge.protocols.anthropic.canonical import canonical_of
from tt_edge.protocols.anthropic.protocol import ANTHROPIC
from tt_edge.protocols.anthropic.provider import AnthropicProvider
from tt_edge.protocols.anthropic.request import build, parse_messages
from tt_edge.protocols.anthropic.signatures import carried, read_carried
from tt_edge.protocols.canonical.request import ChatRequest, Document, Image, Reasoning, Text, Thinking, ToolUse
from tt_edge.protocols.port import Attempted, Target

HELLO = [{"role": "user", "content": "Hi"}]
EPHEMERAL = {"type": "ephemeral"}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "A cat."}, PICTURE]}
TOOL = {"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {}}}


def request(**fields: Any) -> Any:
    body = {"model": "asked", "max_tokens": 100, "messages": HELLO, **fields}
    return parse_messages(Target("/v1/messages", b"", {}), json.dumps(body).encode())


def canonical(**fields: Any) -> ChatRequest:
    return canonical_of(request(**fields))


def talk(*contents: Any) -> list[dict[str, Any]]:
    """Messages by turns, the user first."""
    return [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]


def test_a_request_with_everything_comes_out_as_it_went_in() -> None:
    # given all that has a canonical form
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    body: dict[str, Any] = {
        "max_tokens": 9000,
        "stream": True,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": talk(
            [
                {"type": "text", "text": "What?", "cache_control": EPHEMERAL},
                PICTURE,
                {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
                {"type": "document", "source": pdf, "title": "T"},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Facts."}},
                {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
            ],
            [thought, hidden, {"type": "text", "text": "I look."}, CALL],
            [{**RESULT, "is_error": True, "cache_control": EPHEMERAL}, {"type": "text", "text": "Go on."}],
        ),
        "tools": [{**TOOL, "strict": True, "cache_control": EPHEMERAL}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "temperature": 1.0,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["END"],
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {
            "effort": "high",
            "format": {
                "type": "json_schema",
                "schema": {"type": "object", "properties": {}, "additionalProperties": False},
            },
        },
        "metadata": {"user_id": "u1"},
        "service_tier": "standard_only",
    }
    # when it goes the long way
    out = AnthropicProvider().outgoing(canonical(**body), Attempted("claude-opus-5-5", None, 10_000))
    # then
    assert json.loads(out.body) == {**body, "model": "claude-opus-5-5"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        ({"new_field": 1}, "new_field"),
        ({"speed": "fast"}, "speed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_k": 1.5}, "top_k"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": "x"}}, "thinking.budget_tokens"),
        ({"output_config": {"task_budget": 1}}, "output_config.task_budget"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"metadata": {"team": "x"}}, "metadata.team"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"name": "x"}]}, "tools.0.input_schema"),
        ({"tools": [{**TOOL, "novel": 1}]}, "tools.0.novel"),
        ({"tools": [TOOL], "tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"system": [PICTURE]}, "system"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages.0.role"),
        ({"messages": talk([])}, "messages.0.content"),
        ({"messages": talk("")}, "messages.0.content"),
        ({"messages": talk([{"type": "text", "text": ""}])}, "messages.0.content"),
        ({"messages": talk([{"type": "text"}])}, "messages.0.content.0.text"),
        ({"messages": talk([{"type": "video"}])}, "messages.0.content.0.type"),
        ({"messages": talk([{"type": "image", "source": {"type": "file"}}])}, "messages.0.content.0.source.type"),
        ({"messages": talk([{**PICTURE, "novel": 1}])}, "messages.0.content.0.novel"),
        ({"messages": talk("x", [{"type": "server_tool_use"}])}, "messages.1.content.0.type"),
        ({"messages": talk("x", [{**CALL, "input": "{}"}])}, "messages.1.content.0.input"),
        ({"messages": talk([{"type": "tool_result"}])}, "messages.0.content.0.tool_use_id"),
    ],
)
def test_what_can_not_be_translated_is_refused_by_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(DomainError) as refused:
        canonical(**fields)
    assert (refused.value.code, refused.value.data["param"]) == ("invalid_request", param)


def test_hints_and_what_asks_for_nothing_are_dropped() -> None:
    hints = {"eager_input_streaming": True, "input_examples": [{}], "defer_loading": False, "allowed_callers": []}
    asked = canonical(
        context_management={"edits": []},
        cache_control=EPHEMERAL,
        diagnostics={"previous_message_id": "x"},
        container=None,
        mcp_servers=[],
        speed="standard",
        service_tier="auto",
        tools=[{**TOOL, **hints}],
    )

    assert asked.tools[0].name == "look"
    assert asked.service_tier is None


def test_pitfall_13_system_messages_in_the_middle_join_the_system_prompt() -> None:
    messages = [*HELLO, {"role": "system", "content": "Now French."}, *HELLO]

    asked = canonical(system="Be brief.", messages=messages)

    assert [text.text for text in asked.system] == ["Be brief.", "Now French."]
    assert [turn.role for turn in asked.turns] == ["user", "user"]


def test_empty_texts_and_silent_assistants_are_left_out() -> None:
    asked = canonical(messages=talk("x", [{"type": "text", "text": ""}, CALL], [RESULT], [], "y"))

    assert [type(block) for block in asked.turns[1].blocks] == [ToolUse]
    assert [turn.role for turn in asked.turns] == ["user", "assistant", "user", "user"]


def test_a_result_knows_the_name_of_its_call() -> None:
    asked = canonical(messages=talk("x", [CALL], [RESULT]))

    result: Any = asked.turns[2].blocks[0]
    assert (result.name, [type(block) for block in result.content]) == ("look", [Text, Image])


def test_documents_of_all_kinds_keep_their_words() -> None:
    content = {"type": "content", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]}
    found = {"type": "search_result", "title": "T", "source": "s", "content": [{"type": "text", "text": "F"}]}

    asked = canonical(messages=talk([{"type": "document", "source": content}, found]))

    assert asked.turns[0].blocks == (Document(text="A\nB"), Document(text="F", title="T (s)"))


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, Reasoning(off=True)),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(budget_tokens=2000)),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, Reasoning(effort="xhigh")),
        ({"output_config": {"effort": "low"}}, Reasoning(effort="low")),
    ],
)
def test_thinking_and_effort_say_how_much_to_think(fields: dict[str, Any], reasoning: Any) -> None:
    assert canonical(**fields).reasoning == reasoning


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False}, None),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, None),
        ({"type": "array", "items": {"type": "object", "properties": {"a": {}}}}, None),
    ],
)
def test_a_schema_that_others_can_hold_a_model_to_is_strict(schema: dict[str, Any], strict: Any) -> None:
    format_ = canonical(output_config={"format": {"type": "json_schema", "schema": schema}}).format

    assert format_ is not None
    assert format_.strict is strict


# -- signatures of other vendors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["gemini", "openai", None])
@pytest.mark.parametrize("of", ["thought", "call"])
@pytest.mark.parametrize("signature", ["", "Z2Vt", "a:b:c"])
def test_a_foreign_signature_comes_back_as_it_went(vendor: Any, of: Any, signature: str) -> None:
    kept = read_carried(carried(signature, vendor, of))

    assert (kept.vendor, kept.of, kept.signature) == (vendor, of, signature)


def test_anthropics_own_signature_stands_as_it_is() -> None:
    assert carried("c2ln", "anthropic") == "c2ln"
    assert read_carried("c2ln").vendor == "anthropic"


def test_pitfall_9_geminis_signature_of_a_call_comes_back_on_that_call() -> None:
    carrier = {"type": "thinking", "thinking": "", "signature": carried("Z2Vt", "gemini", "call")}
    second = {**CALL, "id": "toolu_2"}

    asked = canonical(messages=talk("x", [{"type": "text", "text": "I look."}, carrier, CALL, second], [RESULT]))

    assert [block.signature for block in asked.turns[1].blocks if isinstance(block, ToolUse)] == ["Z2Vt", ""]
    assert not [block for block in asked.turns[1].blocks if isinstance(block, Thinking)]


def test_foreign_thoughts_come_back_with_their_vendor() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": carried("Z2Vt", "gemini")},
        {"type": "thinking", "thinking": "hm", "signature": carried("", None)},
        {"type": "redacted_thinking", "data": carried("b3A=", "openai")},
    ]

    asked = canonical(messages=talk("x", blocks, "y"))

    assert asked.turns[1].blocks == (
        Thinking(text="hm", signature="Z2Vt", vendor="gemini"),
        Thinking(text="hm"),
        Thinking(signature="b3A=", vendor="openai", redacted=True),
    )


def test_a_conversation_that_moves_to_claude_leaves_foreign_thoughts_behind() -> None:
    foreign = {"type": "thinking", "thinking": "hm", "signature": carried("Z2Vt", "gemini")}
    own = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": carried("b3A=", "openai")}
    thinking = {"type": "enabled", "budget_tokens": 2000}
    messages = talk("x", [foreign], "y", [foreign, hidden, own, CALL], [RESULT])

    sent = json.loads(build(request(messages=messages, thinking=thinking), "up", None))

    assert [message["content"] for message in sent["messages"]] == ["x", "y", [own, CALL], [RESULT]]
    assert sent["thinking"] == thinking, "the loop of calls begins with Claude's own thought"
    for loop in ([foreign, CALL], [hidden, CALL]):
        moved = json.loads(build(request(messages=talk("x", loop, [RESULT]), thinking=thinking), "up", None))
        assert moved["thinking"] == {"type": "disabled"}
    untouched = json.loads(build(request(messages=talk("x", [own, CALL], [RESULT]), thinking=thinking), "up", None))
    assert untouched["thinking"] == thinking


def test_a_loop_of_calls_that_another_vendor_began_without_a_thought_goes_on_without_thinking() -> None:
    call = {"type": "tool_use", "id": "call_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "4"}
    own = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    thinking = {"type": "enabled", "budget_tokens": 2000}

    def sent(*contents: Any) -> Any:
        return json.loads(build(request(messages=talk(*contents), thinking=thinking), "up", None))["thinking"]

    assert sent("x", [call], [result]) == {"type": "disabled"}
    assert sent("x", [own, call], [result]) == thinking
    assert sent("x", [own, call], [result], [call], [result]) == thinking, "one thought begins the whole loop"
    assert sent("x", [call], [result], "y", "z") == thinking, "the loop is over"


def test_a_field_is_named_in_the_clients_words() -> None:
    bridge = ANTHROPIC.bridge(request(top_k=5), "openai", "evt_1")

    with pytest.raises(DomainError, match="'top_k' can't be used with this model"):
        bridge.outgoing(Attempted("gpt", None, 100))
    too_many = ANTHROPIC.bridge(request(stop_sequences=list("abcde")), "openai", "evt_1")
    with pytest.raises(DomainError, match="'stop_sequences' can't be used"):
        too_many.outgoing(Attempted("gpt", None, 100))


def test_a_long_user_id_of_claude_code_fits_into_openais_field() -> None:
    long = "user_" + "x" * 150
    sent = [_to_openai(metadata={"user_id": name}) for name in ("u1", long, long + "y")]

    assert sent[0]["user"] == "u1"
    assert [len(body["user"]) for body in sent[1:]] == [64, 64]
    assert sent[1]["user"] != sent[2]["user"]


@pytest.mark.parametrize(("model", "effort"), [("gpt-4o-mini", None), ("gpt-3.5-turbo", None), ("gpt-5", "medium")])
def test_openais_models_that_can_not_think_are_not_told_to(model: str, effort: str | None) -> None:
    assert _to_openai(model, thinking={"type": "adaptive"}).get("reasoning_effort") == effort


def _to_openai(model: str = "gpt-5", **fields: Any) -> dict[str, Any]:
    bridge = ANTHROPIC.bridge(request(**fields), "openai", "evt_1")
    return json.loads(bridge.outgoing(Attempted(model, None, 100)).body)
