"""A request for a response in the canonical form: items become blocks of turns. Each field is translated, a hint, or refused by name."""

from collections.abc import Iterable
from typing import Any, Final, cast

from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.canonical.read import (
    Json,
    bool_at,
    check_known,
    data_url,
    decoded,
    list_at,
    number_at,
    object_at,
    one_of,
    only,
    text_at,
)
from tt_edge.protocols.canonical.request import (
    Audio,
    Block,
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
from tt_edge.protocols.responses.request import ResponsesRequest
from tt_edge.protocols.responses.seals import unsealed

HINTS: Final = frozenset(
    {"metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store", "stream_options"}
)
"""`store`: nothing is kept where a model is reached by translation, and the answer says so."""
NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "background": (False,),
    "include": ([], ["reasoning.encrypted_content"]),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
}
TRANSLATED: Final = frozenset(
    "model stream input instructions tools tool_choice parallel_tool_calls max_output_tokens temperature top_p text reasoning"
    " user service_tier".split()
)
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh")


def canonical_of(request: ResponsesRequest) -> ChatRequest:
    """Raises invalid_request naming the field that can't be translated, or whose value is wrong."""
    if request.earlier is not None:
        raise invalid_request(
            f"'{request.earlier}' needs a provider that keeps responses, and this model has none; send the whole input.",
            request.earlier,
        )
    body = {name: value for name, value in decoded(request.fields).items() if value not in NEUTRAL.get(name, ())}
    check_known(body, TRANSLATED | HINTS)
    system, turns = _input(body["input"])
    if "instructions" in body:
        system.insert(0, Text(text=text_at(body["instructions"], "instructions")))
    tools = list_at(body.get("tools", []), "tools")
    tier = body.get("service_tier", "auto")
    return ChatRequest(
        stream=request.stream,
        system=tuple(system),
        turns=tuple(turns),
        tools=tuple(_tool(object_at(tool, f"tools[{at}]"), f"tools[{at}]") for at, tool in enumerate(tools)),
        tool_choice=_tool_choice(body["tool_choice"]) if "tool_choice" in body and tools else None,
        parallel_tools=bool_at(body["parallel_tool_calls"], "parallel_tool_calls")
        if "parallel_tool_calls" in body
        else None,
        output_limit=request.demand.output_limit,
        temperature=number_at(body["temperature"], "temperature") if "temperature" in body else None,
        top_p=number_at(body["top_p"], "top_p") if "top_p" in body else None,
        format=_format(object_at(body.get("text", {}), "text")),
        reasoning=_reasoning(object_at(body["reasoning"], "reasoning")) if "reasoning" in body else None,
        end_user=text_at(body["user"], "user") if "user" in body else None,
        service_tier=None if tier == "auto" else "standard" if tier == "default" else text_at(tier, "service_tier"),
    )


def _reasoning(value: Json) -> Reasoning | None:
    check_known(value, ("effort", "summary", "generate_summary"), "reasoning.")
    show = value.get("summary") is not None or value.get("generate_summary") is not None
    effort = value.get("effort")
    if effort is None:
        return Reasoning(show=show) if show else None
    if one_of(effort, "reasoning.effort", EFFORTS) == "none":
        return Reasoning(off=True)
    return Reasoning(effort=cast("Any", effort), show=show)


def _format(text: Json) -> Format | None:
    if text.get("verbosity") not in (None, "medium"):
        raise invalid_request("'text.verbosity' can't be translated for this model; leave it out.", "text.verbosity")
    value = text.get("format")
    if value is None:
        return None
    path = "text.format"
    kind = one_of(object_at(value, path).get("type"), f"{path}.type", ("text", "json_object", "json_schema"))
    if kind == "text":
        return None
    if kind == "json_object":
        return Format()
    return Format(
        schema=object_at(value.get("schema"), f"{path}.schema"),
        name=text_at(value.get("name", "answer"), f"{path}.name"),
        strict=value.get("strict"),
    )


def _tool(tool: Json, path: str) -> Tool:
    if tool.get("type") != "function":
        raise invalid_request(f"'{path}.type': only functions can be translated for this model.", f"{path}.type")
    schema = tool.get("parameters")
    return Tool(
        name=text_at(tool.get("name"), f"{path}.name"),
        description=text_at(tool.get("description") or "", f"{path}.description"),
        schema=None if schema is None else object_at(schema, f"{path}.parameters"),
        strict=tool.get("strict"),
    )


def _tool_choice(value: Any) -> ToolChoice:
    if isinstance(value, str):
        mode = one_of(value, "tool_choice", ("auto", "none", "required"))
        return ToolChoice(mode="any" if mode == "required" else cast("Any", mode))
    choice = object_at(value, "tool_choice")
    kind = one_of(choice.get("type"), "tool_choice.type", ("function", "allowed_tools"))
    if kind == "function":
        return ToolChoice(mode="tool", names=(text_at(choice.get("name"), "tool_choice.name"),))
    path = "tool_choice.tools"
    names = tuple(
        text_at(object_at(tool, path).get("name"), f"{path}.name") for tool in list_at(choice.get("tools"), path)
    )
    mode = one_of(choice.get("mode"), "tool_choice.mode", ("auto", "required"))
    return ToolChoice(mode="any" if mode == "required" else "auto", names=names)


# -- input ------------------------------------------------------------------------------------------------------------


def _input(value: Any) -> tuple[list[Text], list[Turn]]:
    if isinstance(value, str):
        return [], [Turn(role="user", blocks=(Text(text=value),))]
    reader = _Items()
    for at, item in enumerate(list_at(value, "input")):
        reader.read(object_at(item, f"input[{at}]"), f"input[{at}]")
    return reader.system, reader.turns


class _Items:
    """Items in their order: those of the model in a row are one turn, results of functions are the user's."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self._names: dict[str, str] = {}
        self._signature = ""
        """Of the call behind it, from the reasoning item before."""

    def read(self, item: Json, path: str) -> None:
        kind = one_of(
            item.get("type", "message"),
            f"{path}.type",
            ("message", "function_call", "function_call_output", "reasoning"),
        )
        if kind == "message":
            self._message(item, path)
        elif kind == "reasoning":
            self._thought(item, path)
        elif kind == "function_call":
            call_id = text_at(item.get("call_id"), f"{path}.call_id")
            name = self._names[call_id] = text_at(item.get("name"), f"{path}.name")
            arguments = text_at(item.get("arguments") or "{}", f"{path}.arguments")
            call = ToolUse(id=call_id, name=name, arguments=arguments, signature=self._signature)
            self._signature = ""
            self._say("assistant", [call])
        else:
            call_id = text_at(item.get("call_id"), f"{path}.call_id")
            content = _content(item.get("output"), f"{path}.output")
            rule = "a result holds text, pictures and files"
            said = tuple(only(block, (Text, Image, Document), f"{path}.output", rule) for block in content)
            self._say("user", [ToolResult(id=call_id, name=self._names.get(call_id, ""), content=said)])

    def _message(self, item: Json, path: str) -> None:
        role = one_of(item.get("role"), f"{path}.role", ("user", "assistant", "system", "developer"))
        blocks = _content(item.get("content"), f"{path}.content")
        if role in ("system", "developer"):
            rule = "a system message holds text alone"
            self.system += [only(block, (Text,), f"{path}.content", rule) for block in blocks]
        else:
            self._say(role, blocks)

    def _thought(self, item: Json, path: str) -> None:
        parts = [*list_at(item.get("summary") or [], f"{path}.summary"), *(item.get("content") or [])]
        text = "".join(text_at(object_at(part, path).get("text"), f"{path}.summary.text") for part in parts)
        seal = unsealed(item.get("encrypted_content"))
        if seal is not None and seal.call:
            self._signature = seal.signature
        elif seal is not None:
            thought = Thinking(text=text, signature=seal.signature, vendor=seal.vendor, redacted=seal.redacted)
            self._say("assistant", [thought])
        elif text:
            self._say("assistant", [Thinking(text=text)])

    def _say(self, role: str, blocks: Iterable[Block]) -> None:
        last = self.turns[-1] if self.turns else None
        if last is not None and last.role == role == "assistant":
            self.turns[-1] = Turn(role="assistant", blocks=(*last.blocks, *blocks))
        else:
            self.turns.append(Turn(role=cast("Any", role), blocks=tuple(blocks)))


def _content(value: Any, path: str) -> list[Block]:
    if value is None:
        return []
    if isinstance(value, str):
        return [Text(text=value)] if value else []
    return [
        block
        for at, part in enumerate(list_at(value, path))
        if (block := _part(object_at(part, f"{path}[{at}]"), f"{path}[{at}]")) is not None
    ]


def _part(part: Json, path: str) -> Block | None:
    kinds = ("input_text", "output_text", "text", "refusal", "input_image", "input_file", "input_audio")
    kind = one_of(part.get("type"), f"{path}.type", kinds)
    if kind == "input_image":
        url = part.get("image_url")
        if not isinstance(url, str):
            raise invalid_request(f"'{path}.image_url' is needed: uploaded files can't be translated.", path)
        inline = data_url(url)
        if inline is None:
            return Image(url=url, detail=part.get("detail"))
        return Image(media_type=inline[0], data=inline[1], detail=part.get("detail"))
    if kind == "input_file":
        return _file(part, path)
    if kind == "input_audio":
        audio = object_at(part.get("input_audio"), f"{path}.input_audio")
        return Audio(format=text_at(audio.get("format"), path), data=text_at(audio.get("data"), path))
    name = "refusal" if kind == "refusal" else "text"
    text = text_at(part.get(name), f"{path}.{name}")
    return Text(text=text) if text else None


def _file(part: Json, path: str) -> Document:
    title = str(part.get("filename") or "")
    if isinstance(part.get("file_url"), str):
        return Document(url=part["file_url"], title=title)
    inline = data_url(part["file_data"]) if isinstance(part.get("file_data"), str) else None
    if inline is None:
        raise invalid_request(f"'{path}.file_data' must be a data URL; uploaded files can't be translated.", path)
    return Document(media_type=inline[0], data=inline[1], title=title)
