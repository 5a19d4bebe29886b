"""An OpenAI chat request in the canonical form. Each field is translated, or a hint that is dropped, or refused by name.

`HINTS` are those that OpenAI's reference calls hints for caching, speed or bookkeeping; docs/protocols.md lists them.
"""

from typing import Any, Final, cast

from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.anthropic.canonical import tool_of
from tt_edge.protocols.anthropic.contents import mark_of
from tt_edge.protocols.canonical.read import (
    Json,
    bool_at,
    check_known,
    decoded,
    integer_at,
    list_at,
    number_at,
    object_at,
    one_of,
    text_at,
)
from tt_edge.protocols.canonical.request import (
    ChatRequest,
    Format,
    Reasoning,
    Tool,
    ToolChoice,
)
from tt_edge.protocols.openai.messages import messages_of
from tt_edge.protocols.port import Request

HINTS: Final = frozenset(
    {"metadata", "prediction", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "stream_options"}
)
NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "store": (False,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "verbosity": ("medium",),
}
"""Fields without a canonical form, with the values that ask for nothing."""
TRANSLATED: Final = frozenset(
    {
        "model",
        "stream",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "temperature",
        "top_p",
        "top_k",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "response_format",
        "reasoning_effort",
        "thinking",
        "user",
        "service_tier",
    }
)
TIERS: Final = {"auto": None, "default": "standard"}
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh")


def canonical_of(request: Request) -> ChatRequest:
    """Raises invalid_request naming the field that can't be translated, or whose value is wrong."""
    body = {name: value for name, value in decoded(request.fields).items() if value not in NEUTRAL.get(name, ())}
    check_known(body, TRANSLATED | HINTS)
    system, turns = messages_of(list_at(body["messages"], "messages"))
    tools, choice = body.get("tools"), body.get("tool_choice")
    return ChatRequest(
        stream=request.stream,
        system=tuple(system),
        turns=tuple(turns),
        tools=tuple(_tool(tool, f"tools[{at}]") for at, tool in enumerate(list_at(tools or [], "tools"))),
        tool_choice=_tool_choice(choice) if choice is not None and tools else None,
        parallel_tools=bool_at(body["parallel_tool_calls"], "parallel_tool_calls")
        if "parallel_tool_calls" in body
        else None,
        output_limit=request.demand.output_limit,
        choices=request.demand.choices,
        temperature=_number(body, "temperature"),
        top_p=_number(body, "top_p"),
        top_k=integer_at(body["top_k"], "top_k") if "top_k" in body else None,
        stop=_stop(body.get("stop")),
        seed=integer_at(body["seed"], "seed") if "seed" in body else None,
        frequency_penalty=_number(body, "frequency_penalty") or None,
        presence_penalty=_number(body, "presence_penalty") or None,
        format=_format(body.get("response_format")),
        reasoning=_reasoning(body),
        end_user=text_at(body["user"], "user") if "user" in body else None,
        service_tier=_tier(text_at(body.get("service_tier", "auto"), "service_tier")),
    )


def _tier(named: str) -> str | None:
    return TIERS.get(named, named)


def _number(body: Json, name: str) -> float | None:
    return number_at(body[name], name) if name in body else None


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else list_at(value, "stop")
    return tuple(text_at(item, "stop") for item in values)


def _reasoning(body: Json) -> Reasoning | None:
    """`reasoning_effort`, or Anthropic's `thinking`, which clients send to compatible servers."""
    if "thinking" in body:
        thinking = object_at(body["thinking"], "thinking")
        if one_of(thinking.get("type"), "thinking.type", ("enabled", "disabled", "adaptive")) == "disabled":
            return Reasoning(off=True)
        budget = thinking.get("budget_tokens")
        return Reasoning(budget_tokens=None if budget is None else integer_at(budget, "thinking.budget_tokens"))
    if "reasoning_effort" not in body:
        return None
    effort = one_of(body["reasoning_effort"], "reasoning_effort", EFFORTS)
    return Reasoning(off=True) if effort == "none" else Reasoning(effort=cast("Any", effort))


def _format(value: Any) -> Format | None:
    if value is None:
        return None
    kind = one_of(
        object_at(value, "response_format").get("type"),
        "response_format.type",
        ("text", "json_object", "json_schema"),
    )
    if kind == "text":
        return None
    if kind == "json_object":
        return Format()
    path = "response_format.json_schema"
    described = object_at(value.get("json_schema"), path)
    return Format(
        schema=object_at(described.get("schema"), f"{path}.schema"),
        name=text_at(described.get("name", "answer"), f"{path}.name"),
        strict=described.get("strict"),
    )


def _tool(value: Any, path: str) -> Tool:
    tool = object_at(value, path)
    if "input_schema" in tool:
        return tool_of(tool, path)
    if tool.get("type") != "function":
        raise invalid_request(f"'{path}.type': only functions can be translated for this model.", f"{path}.type")
    function = object_at(tool.get("function"), f"{path}.function")
    schema = function.get("parameters")
    return Tool(
        name=text_at(function.get("name"), f"{path}.function.name"),
        description=text_at(function.get("description") or "", f"{path}.function.description"),
        schema=None if schema is None else object_at(schema, f"{path}.function.parameters"),
        strict=function.get("strict"),
        cache=mark_of(tool) or mark_of(function),
    )


def _tool_choice(value: Any) -> ToolChoice:
    if isinstance(value, str):
        mode = one_of(value, "tool_choice", ("auto", "none", "required"))
        return ToolChoice(mode="any" if mode == "required" else cast("Any", mode))
    choice = object_at(value, "tool_choice")
    kind = one_of(choice.get("type"), "tool_choice.type", ("function", "allowed_tools"))
    if kind == "function":
        return ToolChoice(mode="tool", names=(_named(choice, "tool_choice"),))
    allowed = object_at(choice.get("allowed_tools"), "tool_choice.allowed_tools")
    names = [
        _named(object_at(tool, "tool_choice.allowed_tools.tools"), "tool_choice.allowed_tools.tools")
        for tool in list_at(allowed.get("tools"), "tool_choice.allowed_tools.tools")
    ]
    mode = one_of(allowed.get("mode"), "tool_choice.allowed_tools.mode", ("auto", "required"))
    return ToolChoice(mode="any" if mode == "required" else "auto", names=tuple(names))


def _named(tool: Json, path: str) -> str:
    return text_at(object_at(tool.get("function"), f"{path}.function").get("name"), f"{path}.function.name")
