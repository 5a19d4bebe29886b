"""A Gemini request in the canonical form. Each field is translated, or a hint that is dropped, or refused by name.

Safety settings are thresholds of Google's own filters: those that ask for less filtering ask nothing of another vendor, stricter ones
are refused. What Google runs itself (search, code, caches, uploaded files) is refused.
"""

from typing import Any, Final, Literal, cast

from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.canonical.read import (
    Json,
    bool_at,
    decoded,
    integer_at,
    list_at,
    number_at,
    object_at,
    one_of,
    text_at,
)
from tt_edge.protocols.canonical.request import ChatRequest, Format, Reasoning, Text, Tool, ToolChoice
from tt_edge.protocols.gemini.fields import fields_of, items_at
from tt_edge.protocols.gemini.schema import json_schema
from tt_edge.protocols.gemini.turns import read_turns
from tt_edge.protocols.port import Request

TOP: Final = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "serviceTier"}
)
TOP_HINTS: Final = frozenset({"model", "labels"})
CONFIG: Final = frozenset(
    {
        "temperature",
        "topP",
        "topK",
        "maxOutputTokens",
        "stopSequences",
        "candidateCount",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseModalities",
        "thinkingConfig",
    }
)
CONFIG_HINTS: Final = frozenset({"mediaResolution"})
FUNCTION: Final = frozenset({"name", "description", "parameters", "parametersJsonSchema"})
FUNCTION_HINTS: Final = frozenset({"response", "responseJsonSchema"})
"""What a function answers: told to the model as help, and no other vendor's tools have it."""
LENIENT: Final = frozenset({"BLOCK_NONE", "OFF", "BLOCK_ONLY_HIGH", "HARM_BLOCK_THRESHOLD_UNSPECIFIED"})
LEVELS: Final = ("minimal", "low", "medium", "high", "xhigh")
MODES: Final = ("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED")


def canonical_of(request: Request) -> ChatRequest:
    """Raises invalid_request naming the field that can't be translated, or whose value is wrong."""
    body = fields_of(decoded(request.fields), "", TOP, TOP_HINTS)
    path = "generationConfig"
    config = fields_of(body.get(path, {}), path, CONFIG, CONFIG_HINTS)
    _check_modalities(config.get("responseModalities", ["TEXT"]))
    for setting, where in items_at(body.get("safetySettings"), "safetySettings"):
        _check_safety(setting, where)
    tools = [
        _tool(function, at)
        for tool, where in items_at(body.get("tools"), "tools")
        for function, at in items_at(
            fields_of(tool, where, frozenset({"functionDeclarations"})).get("functionDeclarations"),
            f"{where}.functionDeclarations",
        )
    ]
    tier = text_at(body.get("serviceTier", "unspecified"), "serviceTier").lower().removeprefix("service_tier_")
    top_k = config.get("topK")
    return ChatRequest(
        stream=request.stream,
        turns=read_turns(items_at(body.get("contents"), "contents")),
        system=_system(body.get("systemInstruction")),
        tools=tuple(tools),
        tool_choice=_tool_choice(body.get("toolConfig", {})) if tools else None,
        output_limit=request.demand.output_limit,
        choices=request.demand.choices,
        temperature=_number(config, "temperature"),
        top_p=_number(config, "topP"),
        top_k=None if top_k is None else int(number_at(top_k, f"{path}.topK")),
        stop=tuple(
            text_at(stop, f"{path}.stopSequences")
            for stop in list_at(config.get("stopSequences", []), f"{path}.stopSequences")
        ),
        seed=integer_at(config["seed"], f"{path}.seed") if "seed" in config else None,
        frequency_penalty=_number(config, "frequencyPenalty") or None,
        presence_penalty=_number(config, "presencePenalty") or None,
        format=_format(config),
        reasoning=_reasoning(config.get("thinkingConfig", {})),
        service_tier=None if tier == "unspecified" else tier,
    )


def _number(config: Json, name: str) -> float | None:
    return number_at(config[name], f"generationConfig.{name}") if name in config else None


def _system(value: Any) -> tuple[Text, ...]:
    path = "systemInstruction"
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(text=value),)
    content = fields_of(value, path, frozenset({"role", "parts"}))
    parts = [
        fields_of(part, where, frozenset({"text"})).get("text", "")
        for part, where in items_at(content.get("parts"), f"{path}.parts")
    ]
    return tuple(Text(text=text_at(text, f"{path}.parts")) for text in parts if text)


def _check_modalities(value: Any) -> None:
    path = "generationConfig.responseModalities"
    if any(str(item).upper() != "TEXT" for item in list_at(value, path)):
        raise invalid_request(f"'{path}': this model answers in text alone.", path)


def _check_safety(value: Any, path: str) -> None:
    setting = fields_of(value, path, frozenset({"category", "threshold"}), frozenset({"method"}))
    if str(setting.get("threshold", "OFF")).upper() not in LENIENT:
        raise invalid_request(
            f"'{path}.threshold' can't be translated for this model, which has no such filter; leave it out or ask for BLOCK_NONE.",
            f"{path}.threshold",
        )


def _tool(value: Any, path: str) -> Tool:
    function = fields_of(value, path, FUNCTION, FUNCTION_HINTS)
    schema: Json | None = None
    if "parametersJsonSchema" in function:
        schema = object_at(function["parametersJsonSchema"], f"{path}.parametersJsonSchema")
    elif "parameters" in function:
        schema = json_schema(object_at(function["parameters"], f"{path}.parameters"))
    return Tool(
        name=text_at(function.get("name"), f"{path}.name"),
        description=text_at(function.get("description", ""), f"{path}.description"),
        schema=schema,
    )


def _tool_choice(value: Any) -> ToolChoice | None:
    path = "toolConfig.functionCallingConfig"
    config = fields_of(value, "toolConfig", frozenset({"functionCallingConfig"}))
    calling = fields_of(
        config.get("functionCallingConfig", {}),
        path,
        frozenset({"mode", "allowedFunctionNames"}),
    )
    mode = one_of(str(calling.get("mode", "MODE_UNSPECIFIED")).upper(), f"{path}.mode", MODES)
    allowed = list_at(calling.get("allowedFunctionNames", []), f"{path}.allowedFunctionNames")
    names = tuple(text_at(name, f"{path}.allowedFunctionNames") for name in allowed)
    if mode == "ANY":
        return ToolChoice(mode="tool" if len(names) == 1 else "any", names=names)
    if mode == "NONE":
        return ToolChoice(mode="none")
    if mode == "MODE_UNSPECIFIED":
        return None
    return ToolChoice(mode="auto", names=names)


def _format(config: Json) -> Format | None:
    path = "generationConfig"
    mime = one_of(
        config.get("responseMimeType", "text/plain"), f"{path}.responseMimeType", ("text/plain", "application/json")
    )
    schema: Json | None = None
    if "responseJsonSchema" in config:
        schema = object_at(config["responseJsonSchema"], f"{path}.responseJsonSchema")
    elif "responseSchema" in config:
        schema = json_schema(object_at(config["responseSchema"], f"{path}.responseSchema"))
    if mime == "text/plain":
        if schema is not None:
            message = "A response schema needs 'generationConfig.responseMimeType' to be application/json."
            raise invalid_request(message, f"{path}.responseMimeType")
        return None
    return Format(schema=schema)


def _reasoning(value: Any) -> Reasoning | None:
    path = "generationConfig.thinkingConfig"
    config = fields_of(value, path, frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"}))
    show = bool_at(config.get("includeThoughts", False), f"{path}.includeThoughts")
    budget = integer_at(config["thinkingBudget"], f"{path}.thinkingBudget") if "thinkingBudget" in config else -1
    level = str(config.get("thinkingLevel", "THINKING_LEVEL_UNSPECIFIED")).lower()
    if budget == 0:
        return Reasoning(off=True)
    if level != "thinking_level_unspecified":
        effort = one_of(level, f"{path}.thinkingLevel", LEVELS)
        return Reasoning(effort=cast('Literal["minimal", "low", "medium", "high", "xhigh"]', effort), show=show)
    if budget > 0:
        return Reasoning(budget_tokens=budget, show=show)
    return Reasoning(show=show) if show or "thinkingBudget" in config else None
