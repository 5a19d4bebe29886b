"""Canonical requests as Gemini's; one named test for each pitfall. The sandbox's own rules judge what goes out."""

import json
from typing import Any

import pytest

from tt_edge.protocols.canonical.request import (
    Audio,
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
from tt_edge.protocols.gemini.provider import GeminiProvider
from tt_edge.protocols.port import Attempted
from tt_sandbox.provider.gemini import rules
from tt_sandbox.provider.gemini.forms import read_generate

PROVIDER = GeminiProvider()
SCHEMA: dict[str, object] = {"type": "object", "properties": {"city": {"const": "Rome"}}, "additionalProperties": False}
LOOK = Tool(name="look", description="Look it up.", schema=SCHEMA)


def user(*blocks: Any) -> Turn:
    return Turn(role="user", blocks=blocks)


def model(*blocks: Any) -> Turn:
    return Turn(role="assistant", blocks=blocks)


def use(call_id: str, signature: str = "", arguments: str = '{"at":1}') -> ToolUse:
    return ToolUse(id=call_id, name=f"look_{call_id}", arguments=arguments, signature=signature)


def result(call_id: str, *content: Any, is_error: bool = False) -> ToolResult:
    return ToolResult(id=call_id, name=f"look_{call_id}", content=content, is_error=is_error)


def sent(*turns: Turn, model: str = "gemini-1.5-pro", limit: int | None = None, **fields: Any) -> Any:
    """What goes out; the sandbox's own rules are the judge that Gemini would take it."""
    asked = ChatRequest(stream=False, turns=turns or (user(Text(text="hi")),), **fields)
    body = json.loads(PROVIDER.outgoing(asked, Attempted(model, limit, 8192)).body)
    rules.check(read_generate(body), model)
    return body


def test_settings_have_geminis_names() -> None:
    config = sent(
        output_limit=500,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        stop=("END",),
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        service_tier="flex",
    )["generationConfig"]
    assert config == {
        "maxOutputTokens": 500,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 3,
        "stopSequences": ["END"],
        "seed": 7,
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
    }
    assert sent(output_limit=500, limit=300)["generationConfig"]["maxOutputTokens"] == 300


@pytest.mark.parametrize(("field", "value"), [("stop", tuple("abcdef")), ("choices", 9), ("service_tier", "scale")])
def test_what_gemini_lacks_is_refused_by_its_canonical_name(field: str, value: Any) -> None:
    with pytest.raises(Inexpressible) as refused:
        sent(**{field: value})
    assert refused.value.field == field


def test_the_path_names_the_model_and_streams_are_events() -> None:
    for stream, path in ((False, "generateContent"), (True, "streamGenerateContent?alt=sse")):
        asked = ChatRequest(stream=stream, turns=(user(Text(text="hi")),))
        assert PROVIDER.outgoing(asked, Attempted("m", None, 1)).path == f"/models/m:{path}"


def test_system_prompts_stand_apart_and_turns_of_one_role_are_joined() -> None:
    body = sent(
        user(),
        user(Text(text="a")),
        user(Text(text=""), Text(text="b")),
        model(Text(text="c")),
        system=(Text(text="s"),),
    )
    assert body["systemInstruction"] == {"parts": [{"text": "s"}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}]},
    ]


def test_a_system_prompt_alone_is_asked_as_a_question() -> None:
    body = sent(user(), system=(Text(text="s"),))
    assert (body["contents"], "systemInstruction" in body) == ([{"role": "user", "parts": [{"text": "s"}]}], False)


def test_pitfall_12_media_goes_inline_or_by_reference() -> None:
    parts = sent(
        user(
            Image(media_type="image/png", data="AAAA"),
            Image(url="https://x.test/a.webp?size=1"),
            Document(media_type="application/pdf", data="BBBB"),
            Document(text="long", title="Title"),
            Document(url="https://x.test/a"),
            Audio(format="mp3", data="CCCC"),
        )
    )["contents"][0]["parts"]
    assert parts == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"fileUri": "https://x.test/a.webp?size=1", "mimeType": "image/webp"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "BBBB"}},
        {"text": "Title\nlong"},
        {"fileData": {"fileUri": "https://x.test/a", "mimeType": "application/pdf"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "CCCC"}},
    ]


def test_pitfall_8_parallel_results_come_together_in_the_order_of_their_calls_by_name_and_id() -> None:
    picture = Image(media_type="image/png", data="AAAA")
    contents = sent(
        user(Text(text="go")),
        model(use("a"), use("b"), use("c")),
        user(result("b", Text(text="two"), is_error=True)),
        user(result("a", Text(text='{"n":1}'), picture), Text(text="and now?")),
        user(result("c", Text(text="[3]"))),
    )["contents"]
    assert len(contents) == 3
    assert contents[2]["parts"] == [
        {"functionResponse": {"name": "look_a", "id": "a", "response": {"n": 1}}},
        {"functionResponse": {"name": "look_b", "id": "b", "response": {"error": "two"}}},
        {"functionResponse": {"name": "look_c", "id": "c", "response": {"output": "[3]"}}},
        {"text": "Attached to the result of look_a:"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"text": "and now?"},
    ]


def test_a_result_without_its_call_is_told_in_words() -> None:
    [turn] = sent(user(result("x", Text(text="found"))))["contents"]
    assert "found" in turn["parts"][0]["text"]


def test_pitfall_6_arguments_are_an_object_whatever_was_written() -> None:
    contents = sent(
        user(Text(text="go")),
        model(use("a", arguments=""), use("b", arguments="[1]"), use("c", arguments="{broken")),
        user(result("a"), result("b"), result("c")),
    )["contents"]
    assert [part["functionCall"]["args"] for part in contents[1]["parts"]] == [
        {},
        {"arguments": [1]},
        {"arguments": "{broken"},
    ]


def test_pitfall_9_a_signature_returns_on_its_call_and_a_stand_in_where_there_is_none() -> None:
    # given two steps of a tool loop; the first call of each is the one that must be signed
    signature = rules.sign("look_a")
    turns = (
        user(Text(text="go")),
        model(use("a", signature), use("b")),
        user(result("a"), result("b")),
        model(use("c"), use("d")),
        user(result("c"), result("d")),
    )
    # when
    new = sent(*turns, model="gemini-3-pro")["contents"]
    old = sent(*turns, model="gemini-2.5-flash")["contents"]
    # then
    signs = [[part.get("thoughtSignature") for part in contents["parts"]] for contents in (new[1], new[3], old[3])]
    assert signs == [[signature, None], ["skip_thought_signature_validator", None], [None, None]]


def test_pitfall_10_thoughts_go_back_only_to_the_vendor_that_signed_them() -> None:
    [_, turn] = sent(
        user(Text(text="go")),
        model(
            Thinking(text="mine", signature="Z2c=", vendor="gemini"),
            Thinking(text="theirs", signature="xx", vendor="anthropic"),
            Thinking(text="nobody's"),
            Thinking(signature="Z2c=", vendor="gemini", redacted=True),
            Text(text="said"),
        ),
    )["contents"]
    assert turn["parts"] == [
        {"text": "mine", "thought": True, "thoughtSignature": "Z2c="},
        {"text": "", "thoughtSignature": "Z2c="},
        {"text": "said"},
    ]


def test_tools_keep_json_schema_where_the_model_takes_it() -> None:
    [new] = sent(tools=(LOOK,), model="gemini-2.5-flash")["tools"][0]["functionDeclarations"]
    [old] = sent(tools=(LOOK,))["tools"][0]["functionDeclarations"]
    assert new == {"name": "look", "description": "Look it up.", "parametersJsonSchema": SCHEMA}
    assert old["parameters"]["properties"] == {"city": {"type": "STRING", "enum": ["Rome"]}}
    assert sent(tools=(Tool(name="bare", schema={"type": "object"}),))["tools"] == [
        {"functionDeclarations": [{"name": "bare"}]}
    ]


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice(mode="auto"), {"mode": "AUTO"}),
        (ToolChoice(mode="none"), {"mode": "NONE"}),
        (ToolChoice(mode="any"), {"mode": "ANY"}),
        (ToolChoice(mode="tool", names=("look",)), {"mode": "ANY", "allowedFunctionNames": ["look"]}),
        (ToolChoice(mode="any", names=("look",)), {"mode": "ANY", "allowedFunctionNames": ["look"]}),
        (ToolChoice(mode="auto", names=("look",)), {"mode": "VALIDATED", "allowedFunctionNames": ["look"]}),
    ],
)
def test_pitfall_15_the_choice_of_tools(choice: ToolChoice, calling: Any) -> None:
    assert sent(tools=(LOOK,), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": calling}


def test_structured_output() -> None:
    wanted = Format(schema={"type": "object", "properties": {"a": {"type": "string"}}})
    assert sent(format=Format())["generationConfig"] == {"responseMimeType": "application/json"}
    assert sent(format=wanted)["generationConfig"]["responseSchema"]["properties"] == {"a": {"type": "STRING"}}
    assert sent(format=wanted, model="gemini-3-pro")["generationConfig"]["responseJsonSchema"] == wanted.schema


@pytest.mark.parametrize(
    ("name", "reasoning", "thinking"),
    [
        ("gemini-2.5-flash", Reasoning(off=True), {"thinkingBudget": 0}),
        ("gemini-2.5-pro", Reasoning(off=True), {"thinkingBudget": 128}),
        ("gemini-2.5-flash", Reasoning(effort="low"), {"includeThoughts": True, "thinkingBudget": 1024}),
        ("gemini-2.5-flash", Reasoning(effort="high", show=False), {"thinkingBudget": 24_576}),
        ("gemini-2.5-flash", Reasoning(), {"includeThoughts": True}),
        ("gemini-3-pro", Reasoning(budget_tokens=2000), {"includeThoughts": True, "thinkingBudget": 2000}),
        ("gemini-3-pro", Reasoning(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-3-flash", Reasoning(off=True), {"thinkingLevel": "minimal"}),
        ("gemini-flash-latest", Reasoning(effort="xhigh"), {"includeThoughts": True, "thinkingLevel": "high"}),
    ],
)
def test_thinking_by_budget_or_by_level(name: str, reasoning: Reasoning, thinking: Any) -> None:
    assert sent(model=name, reasoning=reasoning)["generationConfig"]["thinkingConfig"] == thinking
