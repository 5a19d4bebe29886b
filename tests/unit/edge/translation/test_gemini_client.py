"""Gemini's requests in the canonical form: what it claims to keep is kept, what it can't keep is refused by name."""

import base64
import json
from typing import Any

import pytest

from tt_common.errors import DomainError
from tt_edge.protocols.canonical.request import (
    Audio,
    ChatRequest,
    Document,
    Format,
    Image,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from tt_edge.protocols.gemini.client import GeminiClient
from tt_edge.protocols.gemini.outgoing import outgoing_body
from tt_edge.protocols.gemini.request import parse_generate
from tt_edge.protocols.port import Target

CLIENT = GeminiClient()
PATH = "/v1beta/models/asked:generateContent"
ASK: list[Any] = [{"role": "user", "parts": [{"text": "hi"}]}]


def canonical(contents: Any = ASK, **fields: Any) -> ChatRequest:
    body = json.dumps({"contents": contents, **fields}).encode()
    return CLIENT.canonical(parse_generate(Target(PATH, b"", {}), body))


def blocks(*parts: Any, role: str = "model") -> tuple[Any, ...]:
    [turn] = canonical([{"role": role, "parts": list(parts)}]).turns
    return turn.blocks


FULL = ChatRequest(
    stream=False,
    system=(Text(text="Be brief."),),
    turns=(
        Turn(
            role="user",
            blocks=(
                Text(text="See"),
                Image(media_type="image/png", data="AAAA"),
                Image(media_type="image/webp", url="https://x.test/a"),
                Audio(format="wav", data="BBBB"),
                Document(media_type="application/pdf", data="CCCC"),
            ),
        ),
        Turn(
            role="assistant",
            blocks=(
                Thinking(text="hm", signature="c2ln", vendor="gemini"),
                Text(text="I look."),
                ToolUse(id="a", name="look", arguments='{"at":1}', signature="c2ln"),
                ToolUse(id="b", name="now", arguments="{}"),
            ),
        ),
        Turn(
            role="user",
            blocks=(
                ToolResult(id="a", name="look", content=(Text(text='{"found":[1]}'),)),
                ToolResult(id="b", name="now", content=(Text(text="no clock"),), is_error=True),
                Text(text="And now?"),
            ),
        ),
    ),
    tools=(
        Tool(name="look", description="Look.", schema={"type": "object", "properties": {"at": {"type": "integer"}}}),
    ),
    tool_choice=ToolChoice(mode="tool", names=("look",)),
    output_limit=50,
    choices=2,
    temperature=0.3,
    top_p=0.9,
    top_k=4,
    stop=("END",),
    seed=7,
    frequency_penalty=0.5,
    presence_penalty=-0.5,
    format=Format(schema={"type": "object", "properties": {"a": {"type": "string"}}}),
    reasoning=Reasoning(budget_tokens=2000),
    service_tier="flex",
)


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro"])
def test_a_request_with_everything_comes_back_as_it_went_out(model: str) -> None:
    assert canonical(**outgoing_body(FULL, model, None)) == FULL


def test_what_goes_through_geminis_own_schemas_comes_back_as_json_schema() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", None]},
            "b": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["b"],
    }
    body = outgoing_body(
        ChatRequest(stream=False, turns=FULL.turns[:1], tools=(Tool(name="f", schema=schema),)), "m", None
    )
    assert canonical(**body).tools[0].schema == schema


def test_names_in_snake_case_are_read_too() -> None:
    asked = canonical(
        [{"parts": {"inline_data": {"mime_type": "image/png", "data": "A-_A"}}}],
        system_instruction={"parts": {"text": "s"}},
        generation_config={"max_output_tokens": 5, "thinking_config": {"include_thoughts": True}},
        tools={
            "function_declarations": {"name": "f", "parameters": {"type": "OBJECT", "any_of": [{"min_items": "1"}]}}
        },
    )
    assert asked.turns[0].blocks == (Image(media_type="image/png", data="A+/A"),)
    assert (asked.system, asked.output_limit, asked.reasoning) == ((Text(text="s"),), 5, Reasoning(show=True))
    assert asked.tools == (Tool(name="f", schema={"type": "object", "anyOf": [{"minItems": 1}]}),)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        ({"tools": [{"codeExecution": {}}]}, "tools[0].codeExecution"),
        ({"futureField": 1}, "futureField"),
        ({"generationConfig": {"speechConfig": {}}}, "generationConfig.speechConfig"),
        ({"generationConfig": {"responseLogprobs": True}}, "generationConfig.responseLogprobs"),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}}, "generationConfig.responseModalities"),
        ({"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"generationConfig": {"responseSchema": {"type": "OBJECT"}}}, "generationConfig.responseMimeType"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "DEEP"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        ({"safetySettings": [{"category": "X", "threshold": "BLOCK_LOW_AND_ABOVE"}]}, "safetySettings[0].threshold"),
        ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"executableCode": {"code": "1"}}]}]}, "contents[0].parts[0].executableCode"),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": "A"}}]}]},
            "contents[0].parts[0].inlineData.mimeType",
        ),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "gs://x/y"}}]}]}, "contents[0].parts[0].fileData.fileUri"),
    ],
)
def test_what_can_not_be_translated_is_refused_by_its_own_name(fields: Any, name: str) -> None:
    with pytest.raises(DomainError) as refused:
        canonical(**fields)
    assert (refused.value.code, refused.value.data["param"]) == ("invalid_request", name)


def test_hints_and_filters_that_are_off_are_dropped() -> None:
    asked = canonical(
        labels={"team": "x"},
        safetySettings=[{"category": "X", "threshold": "BLOCK_NONE"}, {"category": "Y", "threshold": "OFF"}],
        generationConfig={
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "responseModalities": ["TEXT"],
            "responseLogprobs": False,
        },
        serviceTier="unspecified",
    )
    assert asked == canonical()


@pytest.mark.parametrize(
    ("calling", "choice"),
    [
        ({}, None),
        ({"mode": "auto"}, ToolChoice(mode="auto")),
        ({"mode": "NONE"}, ToolChoice(mode="none")),
        ({"mode": "ANY"}, ToolChoice(mode="any")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice(mode="tool", names=("f",))),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice(mode="any", names=("f", "g"))),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ToolChoice(mode="auto", names=("f",))),
    ],
)
def test_pitfall_15_the_choice_of_tools(calling: Any, choice: ToolChoice | None) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    assert canonical(tools=tools, toolConfig={"functionCallingConfig": calling}).tool_choice == choice


@pytest.mark.parametrize(
    ("config", "reasoning"),
    [
        ({}, None),
        ({"thinkingBudget": 0}, Reasoning(off=True)),
        ({"thinkingBudget": -1}, Reasoning(show=False)),
        ({"thinkingBudget": 99, "includeThoughts": True}, Reasoning(budget_tokens=99)),
        ({"thinkingLevel": "HIGH"}, Reasoning(effort="high", show=False)),
    ],
)
def test_thinking(config: Any, reasoning: Reasoning | None) -> None:
    assert canonical(generationConfig={"thinkingConfig": config}).reasoning == reasoning


def test_pitfall_8_calls_and_responses_without_ids_find_each_other_by_name_in_order() -> None:
    def call(name: str, **more: Any) -> Any:
        return {"functionCall": {"name": name, "args": {}, **more}}

    def response(name: str, said: str, **more: Any) -> Any:
        return {"functionResponse": {"name": name, "response": {"result": said}, **more}}

    asked = canonical(
        [
            *ASK,
            {"role": "model", "parts": [call("f"), call("g", id="mine"), call("f")]},
            {"role": "function", "parts": [response("f", "1"), response("f", "3"), response("g", "2", id="mine")]},
        ]
    )
    made = [block.id for block in asked.turns[1].blocks if isinstance(block, ToolUse)]
    answers = {block.id: block for block in asked.turns[2].blocks if isinstance(block, ToolResult)}
    assert len(set(made)) == 3
    assert made[1] == "mine"
    assert [answers[call_id].content for call_id in made] == [(Text(text=text),) for text in "123"]
    assert [answers[call_id].name for call_id in made] == ["f", "g", "f"]


def test_a_response_may_carry_pictures() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA", "displayName": "a.png"}}
    call = {"functionCall": {"name": "f"}}
    answer = {"functionResponse": {"name": "f", "response": {}, "parts": [picture]}}
    asked = canonical([{"role": "model", "parts": [call]}, {"role": "user", "parts": [answer]}])
    [result] = asked.turns[1].blocks
    assert isinstance(result, ToolResult)
    assert result.content == (Text(text="{}"), Image(media_type="image/png", data="AAAA"))


def test_text_files_are_read() -> None:
    data = base64.b64encode("Grüße".encode()).decode()
    part = {"inlineData": {"mimeType": "text/csv", "data": data}}
    assert blocks(part, role="user") == (Document(media_type="text/csv", text="Grüße"),)


def test_pitfall_9_geminis_own_signatures_stay_geminis() -> None:
    found = blocks(
        {"text": "said", "thoughtSignature": "c2ln"},
        {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"},
    )
    assert found == (
        Text(text="said"),
        Thinking(signature="c2ln", vendor="gemini", redacted=True),
        Thinking(text="hm", signature="c2ln", vendor="gemini"),
        ToolUse(id="call_1", name="f", arguments="{}", signature="c2ln"),
    )
