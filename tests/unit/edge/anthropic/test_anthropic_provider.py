"""Canonical requests in Anthropic's words: what it would refuse for its form is repaired, what it lacks is refused by name."""

import json
from typing import Any

import pytest

from tt_edge.protocols.anthropic.provider import AnthropicProvider, closed
from tt_edge.protocols.canonical.request import (
    Audio,
    Block,
    ChatRequest,
    Document,
    Format,
    Image,
    Inexpressible,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from tt_edge.protocols.port import Attempted

OWN = Thinking(text="hm", signature="c2ln", vendor="anthropic")
FOREIGN = Thinking(text="hm", signature="Z2Vt", vendor="gemini")
CALL = ToolUse(id="toolu_1", name="look", arguments='{"at": 1.50}')
RESULT = ToolResult(id="toolu_1", name="look", content=(Text(text="A cat."),))
LOOK = Tool(name="look", description="Look.", schema={"type": "object", "properties": {}})


def user(*blocks: Block) -> Turn:
    return Turn(role="user", blocks=blocks)


def assistant(*blocks: Block) -> Turn:
    return Turn(role="assistant", blocks=blocks)


ASK = user(Text(text="Hi"))


def sent(*turns: Turn, model: str = "claude-sonnet-5", lowered: int | None = None, **fields: Any) -> dict[str, Any]:
    asked = ChatRequest(**{"stream": False, "turns": turns or (ASK,), **fields})
    return json.loads(AnthropicProvider().outgoing(asked, Attempted(model, lowered, 8192)).body)


def contents(*turns: Turn) -> list[tuple[str, list[str]]]:
    return [(message["role"], [block["type"] for block in message["content"]]) for message in sent(*turns)["messages"]]


def test_a_request_with_everything_is_said_in_anthropics_words() -> None:
    body = sent(
        ASK,
        stream=True,
        system=(Text(text="Be brief.", cache="1h"), Text(text="Be kind.")),
        tools=(Tool(name="look", description="Look.", strict=True, cache="5m"),),
        tool_choice=ToolChoice(mode="tool", names=("look",)),
        parallel_tools=False,
        output_limit=50,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop=("END",),
        format=Format(schema={"type": "object", "properties": {"a": {"type": "string"}}}),
        end_user="u1",
        service_tier="standard",
    )

    assert body == {
        "model": "claude-sonnet-5",
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "system": [
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "text", "text": "Be kind."},
        ],
        "tools": [
            {
                "name": "look",
                "description": "Look.",
                "input_schema": {"type": "object", "properties": {}},
                "strict": True,
                "cache_control": {"type": "ephemeral"},
            }
        ],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["END"],
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}},
                    "additionalProperties": False,
                },
            }
        },
        "metadata": {"user_id": "u1"},
        "service_tier": "standard_only",
    }


@pytest.mark.parametrize(
    ("asked", "lowered", "expected"), [(None, None, 8192), (100, None, 100), (99_999, None, 8192), (100, 40, 40)]
)
def test_pitfall_13_a_limit_is_always_sent_and_never_above_the_models(
    asked: int | None, lowered: int | None, expected: int
) -> None:
    assert sent(output_limit=asked, lowered=lowered)["max_tokens"] == expected


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"choices": 2}, "choices"),
        ({"seed": 1}, "seed"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"temperature": 1.5}, "temperature"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"format": Format()}, "format"),
        ({"tools": (Tool(name="a.b"),)}, "tools"),
        ({"turns": (user(Audio(format="wav", data="AAAA")),)}, "turns"),
        ({"turns": (user(Image(media_type="image/bmp", data="AAAA")),)}, "turns"),
        ({"turns": (user(Document(media_type="application/zip", data="AAAA")),)}, "turns"),
        ({"turns": (user(Document(media_type="text/plain", data="?")),)}, "turns"),
        ({"turns": (ASK, assistant(ToolUse(id="1", name="look", arguments='{"a":')))}, "turns"),
        ({"turns": (ASK, assistant(ToolUse(id="1", name="look", arguments="[1]")))}, "turns"),
        ({"turns": (user(),)}, "turns"),
    ],
)
def test_what_claude_has_no_words_for_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Inexpressible) as refused:
        sent(**fields)
    assert refused.value.field == field


def test_pitfall_11_all_results_are_in_one_message_before_any_text() -> None:
    again = ToolResult(id="toolu_2", name="look", content=(), is_error=True)

    body = sent(ASK, assistant(CALL), user(RESULT), user(Text(text="And?")), user(again))

    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "A cat."}]},
        {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
        {"type": "text", "text": "And?"},
    ]


def test_pitfall_12_pictures_and_documents_have_sources_also_within_results() -> None:
    picture = Image(media_type="image/png", data="AAAA", detail="low")
    linked = Image(url="https://x.test/a.png")
    blocks: list[Block] = [
        picture,
        linked,
        Document(media_type="application/pdf", data="AAAA", title="T", cache="5m"),
        Document(text="Facts."),
        Document(media_type="text/plain", data="RmFjdHMu"),
        Document(url="https://x.test/a.pdf"),
        ToolResult(id="1", name="n", content=(picture,)),
    ]

    result, *rest = sent(user(*blocks))["messages"][0]["content"]

    data = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    facts = {"type": "text", "media_type": "text/plain", "data": "Facts."}
    assert result["content"] == [{"type": "image", "source": data}]
    assert [block["source"] for block in rest] == [
        data,
        {"type": "url", "url": "https://x.test/a.png"},
        {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
        facts,
        facts,
        {"type": "url", "url": "https://x.test/a.pdf"},
    ]
    assert (rest[2]["title"], rest[2]["cache_control"]) == ("T", {"type": "ephemeral"})


def test_pitfall_13_nothing_empty_is_sent_and_roles_alternate() -> None:
    blank = assistant(Text(text=""), Text(text=" \n"))

    assert contents(ASK, blank, user(Text(text="Again"))) == [("user", ["text", "text"])]


def test_a_beginning_to_go_on_with_has_no_blank_at_its_end() -> None:
    assert sent(ASK, assistant(Text(text="So: ")))["messages"][-1]["content"][0]["text"] == "So:"


@pytest.mark.parametrize("call_id", ["functions.look:0", "", "call 1", "ä"])
def test_pitfall_13_ids_that_claude_refuses_are_replaced_and_stay_pairs(call_id: str) -> None:
    call = ToolUse(id=call_id, name="look", arguments="")
    result = ToolResult(id=call_id, name="look", content=())

    body = sent(ASK, assistant(call), user(result))

    made = body["messages"][1]["content"][0]["id"]
    assert made.isascii()
    assert made.removeprefix("toolu_").isalnum()
    assert body["messages"][2]["content"][0]["tool_use_id"] == made


def test_pitfall_6_arguments_are_an_object_written_as_they_came() -> None:
    asked = ChatRequest(stream=False, turns=(ASK, assistant(CALL), user(RESULT)))

    body = AnthropicProvider().outgoing(asked, Attempted("claude-sonnet-5", None, 100)).body

    assert b'"input":{"at": 1.50}' in body


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="auto"), None, {"type": "auto"}),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (ToolChoice(mode="any"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="tool", names=("look",)), None, {"type": "tool", "name": "look"}),
    ],
)
def test_pitfall_15_each_choice_of_tools_has_its_word(choice: Any, parallel: Any, expected: Any) -> None:
    assert sent(tools=(LOOK,), tool_choice=choice, parallel_tools=parallel).get("tool_choice") == expected
    assert "tool_choice" not in sent(tool_choice=choice, parallel_tools=parallel)


def test_a_choice_among_some_tools_offers_only_those() -> None:
    choice = ToolChoice(mode="any", names=("look",))

    body = sent(tools=(LOOK, Tool(name="other")), tool_choice=choice)

    assert [tool["name"] for tool in body["tools"]] == ["look"]
    assert body["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort"),
    [
        ("claude-sonnet-5", None, None, None),
        ("claude-sonnet-5", Reasoning(off=True), {"type": "disabled"}, None),
        ("claude-sonnet-5", Reasoning(effort="minimal"), {"type": "adaptive", "display": "summarized"}, "low"),
        ("claude-opus-4-6", Reasoning(effort="xhigh"), {"type": "adaptive", "display": "summarized"}, "xhigh"),
        ("claude-opus-5-5", Reasoning(budget_tokens=9000), {"type": "adaptive", "display": "summarized"}, "medium"),
        ("claude-opus-5-5", Reasoning(show=False), {"type": "adaptive", "display": "omitted"}, None),
        ("claude-3-7-sonnet-20250219", Reasoning(off=True), None, None),
        ("claude-3-7-sonnet-20250219", Reasoning(effort="low"), {"type": "enabled", "budget_tokens": 2048}, None),
        ("claude-opus-4-20250514", Reasoning(budget_tokens=9), {"type": "enabled", "budget_tokens": 1024}, None),
        ("claude-haiku-4-5", Reasoning(effort="high"), {"type": "enabled", "budget_tokens": 4096}, None),
        ("my-claude", Reasoning(budget_tokens=2000), {"type": "enabled", "budget_tokens": 2000}, None),
        ("my-claude", Reasoning(effort="low"), {"type": "adaptive", "display": "summarized"}, "low"),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(model: str, reasoning: Any, thinking: Any, effort: Any) -> None:
    body = sent(model=model, reasoning=reasoning)

    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


def test_thinking_that_leaves_no_room_for_an_answer_is_left_out() -> None:
    body = sent(model="claude-haiku-4-5", reasoning=Reasoning(effort="high"), output_limit=1000)

    assert body["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize("mode", ["any", "tool"])
def test_pitfall_10_a_forced_tool_switches_thinking_off(mode: Any) -> None:
    choice = ToolChoice(mode=mode, names=("look",))

    body = sent(model="claude-sonnet-5", reasoning=Reasoning(effort="low"), tools=(LOOK,), tool_choice=choice)

    assert body["thinking"] == {"type": "disabled"}


def test_pitfall_10_own_thoughts_are_replayed_verbatim_and_others_left_out() -> None:
    redacted = Thinking(signature="ZGF0YQ==", vendor="anthropic", redacted=True)
    unsigned = Thinking(text="hm", vendor="anthropic")

    body = sent(ASK, assistant(redacted, OWN, FOREIGN, unsigned, CALL), user(RESULT))

    assert body["messages"][1]["content"][:-1] == [
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    ]


@pytest.mark.parametrize(
    ("turns", "thinks"),
    [
        ((ASK,), True),
        ((ASK, assistant(OWN, CALL), user(RESULT)), True),
        ((ASK, assistant(OWN, CALL), user(RESULT), assistant(CALL), user(RESULT)), True),
        ((ASK, assistant(FOREIGN, CALL), user(RESULT)), False),
        ((ASK, assistant(CALL), user(RESULT)), False),
        ((ASK, assistant(CALL), user(RESULT), assistant(Text(text="So.")), user(Text(text="And?"))), True),
    ],
)
def test_a_running_tool_loop_without_a_signed_thought_goes_on_without_thinking(
    turns: tuple[Turn, ...], thinks: bool
) -> None:
    body = sent(*turns, model="claude-haiku-4-5", reasoning=Reasoning(effort="low"))

    assert body["thinking"]["type"] == ("enabled" if thinks else "disabled")


def test_output_schemas_are_closed_at_every_depth_and_data_in_them_is_left_alone() -> None:
    inner = {"type": "object", "properties": {"type": {"enum": [{"type": "object"}]}}}
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": inner}}, "$defs": {"x": inner}}

    shut = closed(schema)

    assert shut["additionalProperties"] is False
    assert shut["properties"]["a"]["items"]["additionalProperties"] is False
    assert shut["$defs"]["x"]["additionalProperties"] is False
    assert shut["$defs"]["x"]["properties"] == {"type": {"enum": [{"type": "object"}]}}
    assert "additionalProperties" not in schema
