"""An Anthropic request in the canonical form. Each field is translated, or a hint that is dropped, or refused by name.

`HINTS` are those that the vendor's reference calls hints for caching, speed or bookkeeping; docs/protocol-anthropic.md lists them.
"""

from typing import Any, Final, cast

from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.anthropic.contents import Contents, mark_of
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
from tt_edge.protocols.canonical.request import ChatRequest, Format, Reasoning, Text, Tool, ToolChoice, Turn
from tt_edge.protocols.port import Request

HINTS: Final = frozenset({"cache_control", "context_management", "diagnostics"})
NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {"speed": ("standard",), "mcp_servers": ([],), "inference_geo": ("",)}
"""Fields without a canonical form, with the values that ask for nothing."""
TRANSLATED: Final = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "stream",
        "system",
        "tools",
        "tool_choice",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
        "service_tier",
    }
)
TOOL_FIELDS: Final = ("type", "name", "description", "input_schema", "strict", "cache_control")
TOOL_HINTS: Final = ("eager_input_streaming", "input_examples", "defer_loading", "allowed_callers")
EFFORTS: Final = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"}


def canonical_of(request: Request) -> ChatRequest:
    """Raises invalid_request naming the field that can't be translated, or whose value is wrong."""
    body = {name: value for name, value in decoded(request.fields).items() if value not in NEUTRAL.get(name, ())}
    check_known(body, TRANSLATED | HINTS)
    if request.demand.output_limit == 0:
        raise invalid_request(
            "'max_tokens' must be at least 1: this model's cache can't be warmed without an answer.", "max_tokens"
        )
    contents = Contents()
    system = _texts(contents, body.get("system", []), "system")
    turns = _turns(contents, list_at(body["messages"], "messages"), system)
    tools = list_at(body.get("tools", []), "tools")
    output = _known_object(body, "output_config", ("effort", "format"))
    choice = _known_object(body, "tool_choice", ("type", "name", "disable_parallel_tool_use"))
    metadata = _known_object(body, "metadata", ("user_id",))
    alone = choice.get("disable_parallel_tool_use")
    return ChatRequest(
        stream=request.stream,
        system=tuple(system),
        turns=tuple(turns),
        tools=tuple(tool_of(object_at(tool, f"tools.{at}"), f"tools.{at}") for at, tool in enumerate(tools)),
        tool_choice=_tool_choice(choice) if choice and tools else None,
        parallel_tools=False if alone and bool_at(alone, "tool_choice.disable_parallel_tool_use") else None,
        output_limit=request.demand.output_limit,
        temperature=number_at(body["temperature"], "temperature") if "temperature" in body else None,
        top_p=number_at(body["top_p"], "top_p") if "top_p" in body else None,
        top_k=integer_at(body["top_k"], "top_k") if "top_k" in body else None,
        stop=tuple(
            text_at(item, "stop_sequences") for item in list_at(body.get("stop_sequences", []), "stop_sequences")
        ),
        format=_format(output.get("format"), "output_config.format")
        or _format(body.get("output_format"), "output_format"),
        reasoning=_reasoning(body, output),
        end_user=text_at(metadata["user_id"], "metadata.user_id") if metadata.get("user_id") is not None else None,
        service_tier="standard" if _tier(body) == "standard_only" else None,
    )


def _known_object(body: Json, name: str, known: tuple[str, ...]) -> Json:
    """A field's object, whose own fields are all known; empty where it is left out."""
    if name not in body:
        return {}
    value = object_at(body[name], name)
    check_known(value, known, f"{name}.")
    return value


def _tier(body: Json) -> str:
    return one_of(body.get("service_tier", "auto"), "service_tier", ("auto", "standard_only"))


def _texts(contents: Contents, value: Any, path: str) -> list[Text]:
    texts: list[Text] = []
    for block in contents.blocks(value, path):
        if not isinstance(block, Text):
            raise invalid_request(f"'{path}' may only hold text.", path)
        texts.append(block)
    return texts


def _turns(contents: Contents, messages: list[Any], system: list[Text]) -> list[Turn]:
    """The turns; what system messages among them say is added to `system`."""
    turns: list[Turn] = []
    for at, value in enumerate(messages):
        path = f"messages.{at}"
        message = object_at(value, path)
        check_known(message, ("role", "content"), f"{path}.")
        role = one_of(message.get("role"), f"{path}.role", ("user", "assistant", "system"))
        if role == "system":
            system += _texts(contents, message.get("content"), f"{path}.content")
            continue
        blocks = contents.blocks(message.get("content"), f"{path}.content")
        if not blocks and role == "user":
            raise invalid_request(f"'{path}.content': all messages must have non-empty content.", f"{path}.content")
        if blocks:
            turns.append(Turn(role=cast("Any", role), blocks=tuple(blocks)))
    return turns


def tool_of(tool: Json, path: str) -> Tool:
    """A tool of the caller's own. Raises invalid_request."""
    if tool.get("type") not in (None, "custom"):
        raise invalid_request(
            f"'{path}.type': '{tool['type']}' is run by Anthropic; only your own tools can be translated for this model.",
            f"{path}.type",
        )
    check_known(tool, (*TOOL_FIELDS, *TOOL_HINTS), f"{path}.")
    strict = tool.get("strict")
    return Tool(
        name=text_at(tool.get("name"), f"{path}.name"),
        description=text_at(tool.get("description") or "", f"{path}.description"),
        schema=object_at(tool.get("input_schema"), f"{path}.input_schema"),
        strict=None if strict is None else bool_at(strict, f"{path}.strict"),
        cache=mark_of(tool),
    )


def _tool_choice(choice: Json) -> ToolChoice:
    mode = one_of(choice.get("type"), "tool_choice.type", ("auto", "any", "tool", "none"))
    names = (text_at(choice.get("name"), "tool_choice.name"),) if mode == "tool" else ()
    return ToolChoice(mode=cast("Any", mode), names=names)


def _format(value: Any, path: str) -> Format | None:
    if value is None:
        return None
    described = object_at(value, path)
    check_known(described, ("type", "schema"), f"{path}.")
    one_of(described.get("type"), f"{path}.type", ("json_schema",))
    schema = object_at(described.get("schema"), f"{path}.schema")
    return Format(schema=schema, strict=True if _complete(schema) else None)


def _complete(schema: Any) -> bool:
    """Whether every object in it is closed and needs all its properties: what other vendors can hold a model to."""
    if isinstance(schema, list):
        return all(_complete(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required") or []
        needed = isinstance(required, list) and len(required) == len(properties)
        if (
            schema.get("additionalProperties") is not False
            or not needed
            or any(name not in required for name in properties)
        ):
            return False
    return all(_complete(value) for value in schema.values())


def _reasoning(body: Json, output: Json) -> Reasoning | None:
    effort = output.get("effort")
    if effort is not None:
        effort = EFFORTS[one_of(effort, "output_config.effort", EFFORTS)]
    thinking = _known_object(body, "thinking", ("type", "budget_tokens", "display"))
    if not thinking:
        return None if effort is None else Reasoning(effort=cast("Any", effort))
    kind = one_of(thinking.get("type"), "thinking.type", ("enabled", "adaptive", "disabled"))
    if kind == "disabled":
        return Reasoning(off=True)
    budget = thinking.get("budget_tokens")
    return Reasoning(
        effort=cast("Any", effort),
        budget_tokens=None if budget is None else integer_at(budget, "thinking.budget_tokens"),
        show=thinking.get("display") != "omitted",
    )
