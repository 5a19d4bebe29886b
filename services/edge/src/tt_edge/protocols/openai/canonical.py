"""An OpenAI chat request in the canonical form. Each field is translated, or a hint that is dropped, or refused by name.

`HINTS` are those that OpenAI's reference calls hints for caching, speed or bookkeeping; docs/protocols.md lists them.
"""

from collections.abc import Iterator
from typing import Any, Final, cast

from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.anthropic.canonical import tool_of
from tt_edge.protocols.anthropic.contents import Contents
from tt_edge.protocols.canonical.read import (
    Json,
    bool_at,
    check_known,
    data_url,
    decoded,
    integer_at,
    list_at,
    number_at,
    object_at,
    one_of,
    text_at,
)
from tt_edge.protocols.canonical.request import (
    Audio,
    Block,
    CacheMark,
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
    Vendor,
)
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
ANTHROPICS: Final = ("tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document")
"""Blocks that some coding clients send here as Anthropic has them, where the model's name says claude."""
TIERS: Final = {"auto": None, "default": "standard"}
ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh")


def canonical_of(request: Request) -> ChatRequest:
    """Raises invalid_request naming the field that can't be translated, or whose value is wrong."""
    body = {name: value for name, value in decoded(request.fields).items() if value not in NEUTRAL.get(name, ())}
    check_known(body, TRANSLATED | HINTS)
    system, turns = _messages(list_at(body["messages"], "messages"))
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
        service_tier=TIERS.get(body.get("service_tier", "auto"), body.get("service_tier")),
    )


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
        cache=_mark(tool) or _mark(function),
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


def _messages(messages: list[Any]) -> tuple[list[Text], list[Turn]]:
    system: list[Text] = []
    turns: list[Turn] = []
    names: dict[str, str] = {}
    for at, value in enumerate(messages):
        path = f"messages[{at}]"
        message = object_at(value, path)
        role = one_of(message.get("role"), f"{path}.role", ROLES)
        if role in ("system", "developer"):
            blocks = _content(message.get("content"), f"{path}.content", names)
            system += [block for block in blocks if isinstance(block, Text)]
        elif role == "user":
            turns.append(Turn(role="user", blocks=tuple(_content(message.get("content"), f"{path}.content", names))))
        elif role == "function":
            name = text_at(message.get("name"), f"{path}.name")
            turns.append(Turn(role="user", blocks=(_result({**message, "tool_call_id": name}, path, names),)))
        elif role == "tool":
            turns.append(Turn(role="user", blocks=(_result(message, path, names),)))
        else:
            turns.append(Turn(role="assistant", blocks=tuple(_assistant(message, path, names))))
    return system, turns


def _result(message: Json, path: str, names: dict[str, str]) -> ToolResult:
    call_id = text_at(message.get("tool_call_id"), f"{path}.tool_call_id")
    content = _content(message.get("content"), f"{path}.content", names)
    return ToolResult(
        id=call_id,
        name=names.get(call_id, ""),
        content=tuple(block for block in content if isinstance(block, (Text, Image, Document))),
        cache=_mark(message),
    )


def _assistant(message: Json, path: str, names: dict[str, str]) -> Iterator[Block]:
    for at, detail in enumerate(list_at(message.get("reasoning_details") or [], f"{path}.reasoning_details")):
        yield from _thought(object_at(detail, f"{path}.reasoning_details[{at}]"))
    yield from _content(message.get("content"), f"{path}.content", names)
    if message.get("refusal"):
        yield Text(text=text_at(message["refusal"], f"{path}.refusal"))
    if message.get("function_call") is not None:
        yield _function_call(object_at(message["function_call"], f"{path}.function_call"), path, names)
    for at, value in enumerate(list_at(message.get("tool_calls") or [], f"{path}.tool_calls")):
        where = f"{path}.tool_calls[{at}]"
        call = object_at(value, where)
        function = object_at(call.get("function"), f"{where}.function")
        call_id = text_at(call.get("id"), f"{where}.id")
        name = names[call_id] = text_at(function.get("name"), f"{where}.function.name")
        extra = call.get("extra_content") or {}
        yield ToolUse(
            id=call_id,
            name=name,
            arguments=text_at(function.get("arguments") or "{}", f"{where}.function.arguments"),
            signature=(extra.get("google") or {}).get("thought_signature") or "",
        )


def _function_call(function: Json, path: str, names: dict[str, str]) -> ToolUse:
    """As calls were written in 2023, one at a time and without an id: the name stands for it."""
    name = text_at(function.get("name"), f"{path}.function_call.name")
    names[name] = name
    arguments = text_at(function.get("arguments") or "{}", f"{path}.function_call.arguments")
    return ToolUse(id=name, name=name, arguments=arguments)


def _thought(detail: Json) -> Iterator[Thinking]:
    vendor = cast("Vendor | None", detail.get("format"))
    if detail.get("type") == "reasoning.encrypted":
        yield Thinking(signature=detail.get("data") or "", vendor=vendor, redacted=True)
    elif detail.get("type") == "reasoning.text":
        yield Thinking(text=detail.get("text") or "", signature=detail.get("signature") or "", vendor=vendor)


def _content(value: Any, path: str, names: dict[str, str]) -> list[Block]:
    if value is None:
        return []
    if isinstance(value, str):
        return [Text(text=value)] if value else []
    blocks: list[Block] = []
    foreign = Contents(names)
    for at, item in enumerate(list_at(value, path)):
        where = f"{path}[{at}]"
        part = object_at(item, where)
        blocks += foreign.block(part, where) if part.get("type") in ANTHROPICS else _part(part, where)
    return blocks


def _part(part: Json, path: str) -> Iterator[Block]:
    kind = one_of(part.get("type"), f"{path}.type", ("text", "refusal", "image_url", "input_audio", "file"))
    mark = _mark(part)
    if kind in ("text", "refusal"):
        text = text_at(part.get(kind), f"{path}.{kind}")
        if text:
            yield Text(text=text, cache=mark)
    elif kind == "image_url":
        image = part.get("image_url")
        image = {"url": image} if isinstance(image, str) else object_at(image, f"{path}.image_url")
        url = text_at(image.get("url"), f"{path}.image_url.url")
        inline = data_url(url)
        if inline is None:
            yield Image(url=url, detail=image.get("detail"), cache=mark)
        else:
            yield Image(media_type=inline[0], data=inline[1], detail=image.get("detail"), cache=mark)
    elif kind == "input_audio":
        audio = object_at(part.get("input_audio"), f"{path}.input_audio")
        yield Audio(
            format=text_at(audio.get("format"), f"{path}.input_audio.format"),
            data=text_at(audio.get("data"), f"{path}.input_audio.data"),
        )
    else:
        yield _file(object_at(part.get("file"), f"{path}.file"), f"{path}.file", mark)


def _file(file: Json, path: str, mark: CacheMark | None) -> Document:
    if "file_data" not in file:
        raise invalid_request(f"'{path}': uploaded files can't be translated; send 'file_data'.", path)
    inline = data_url(text_at(file["file_data"], f"{path}.file_data"))
    if inline is None:
        raise invalid_request(f"'{path}.file_data' must be a data URL.", f"{path}.file_data")
    return Document(media_type=inline[0], data=inline[1], title=str(file.get("filename") or ""), cache=mark)


def _mark(part: Json) -> CacheMark | None:
    """`cache_control` as Anthropic has it, which clients send to compatible servers."""
    control = part.get("cache_control")
    if not isinstance(control, dict):
        return None
    return "1h" if cast("Json", control).get("ttl") == "1h" else "5m"
