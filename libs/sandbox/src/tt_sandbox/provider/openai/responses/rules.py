"""What OpenAI refuses in a response's input beyond single fields: outputs and their calls, reasoning and what it led to.

Facts: the vendor's error messages as they are public; where the exact words are unknown, the message only says what is wrong.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, cast

from tt_sandbox.provider.dialect import RequestRefused
from tt_sandbox.provider.openai import schemas
from tt_sandbox.provider.openai.fields import read
from tt_sandbox.provider.openai.responses.forms import (
    FunctionCall,
    FunctionCallOutput,
    FunctionChoice,
    FunctionTool,
    Item,
    ItemReference,
    JsonFormat,
    Message,
    OutputText,
    Reasoning,
    Refusal,
    ResponsesForm,
    SchemaFormat,
)
from tt_sandbox.provider.openai.responses.store import Kept, ResponseStore

# Ids of items that came out of reasoning end in r and a number: their reasoning must come back with them.
REASONED = re.compile(r"^(?:fc|msg|ws)_(?P<seq>sandbox\d+)r\d+$")


def encrypt(item_id: str) -> str:
    """The `encrypted_content` of a reasoning item; it must come back unchanged."""
    return "gAAAAA" + base64.b64encode(hashlib.sha512(item_id.encode()).digest()).decode()


def read_request(body: Mapping[str, Any], store: ResponseStore) -> tuple[ResponsesForm, Kept | None]:
    """The request as the vendor would take it, and the response that it builds on. Raises RequestRefused."""
    form = read(ResponsesForm, {**body, "input": _typed(body["input"])} if "input" in body else body)
    _check_options(form)
    previous = None if form.previous_response_id is None else store.previous(form.previous_response_id)
    items = [] if isinstance(form.input, str) else form.input
    for index, item in enumerate(items):
        _check_item(item, index, store)
    _check_calls(items, previous)
    # With a previous response the vendor has the reasoning itself.
    if previous is None:
        _check_reasoning(items)
    return form, previous


def _typed(items: Any) -> Any:
    """Messages and references may come without their type."""
    if not isinstance(items, list):
        return items
    typed: list[Any] = []
    for item in cast("list[Any]", items):
        if isinstance(item, dict) and cast("dict[str, Any]", item).get("type") is None:
            kind = "message" if "role" in item else "item_reference"
            typed.append({**cast("dict[str, Any]", item), "type": kind})
        else:
            typed.append(item)
    return typed


def _check_item(item: Item, index: int, store: ResponseStore) -> None:
    if isinstance(item, Message) and not isinstance(item.content, str):
        for position, part in enumerate(item.content):
            spoken = isinstance(part, OutputText | Refusal)
            if spoken != (item.role == "assistant"):
                supported = (
                    "'output_text' and 'refusal'"
                    if item.role == "assistant"
                    else "'input_text', 'input_image', and 'input_file'"
                )
                kind: Any = type(part).__struct_config__.tag
                raise RequestRefused(
                    f"Invalid value: '{kind}'. Supported values are: {supported}.",
                    code="invalid_value",
                    param=f"input[{index}].content[{position}]",
                )
    if isinstance(item, Reasoning) and item.encrypted_content is not None:
        if item.encrypted_content != encrypt(item.id):
            raise RequestRefused(
                "The encrypted content could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
                code="invalid_encrypted_content",
            )
    elif isinstance(item, Reasoning | ItemReference) and not store.has_item(item.id):
        raise RequestRefused(
            f"Item with id '{item.id}' not found. Items are not persisted when `store` is set to false. Try again with "
            "`store` set to true, or remove this item from your input.",
            404,
            param="input",
        )


def _check_calls(items: list[Item], previous: Kept | None) -> None:
    """Each call has its output, and each output its call."""
    referred = any(isinstance(item, ItemReference) for item in items)
    waiting = set(previous.open_calls) if previous else set[str]()
    for item in items:
        if isinstance(item, FunctionCall):
            waiting.add(item.call_id)
        elif isinstance(item, FunctionCallOutput):
            if item.call_id not in waiting and not referred:
                raise RequestRefused(
                    f"No tool call found for function call output with call_id {item.call_id}.", param="input"
                )
            waiting.discard(item.call_id)
    if waiting:
        raise RequestRefused(f"No tool output found for function call {min(waiting)}.", param="input")


def _check_reasoning(items: list[Item]) -> None:
    seen = {item.id for item in items if isinstance(item, Reasoning | ItemReference)}
    for index, item in enumerate(items):
        if isinstance(item, Reasoning):
            following = items[index + 1] if index + 1 < len(items) else None
            if not _follows_reasoning(following):
                raise RequestRefused(
                    f"Item '{item.id}' of type 'reasoning' was provided without its required following item.",
                    param="input",
                )
        found = REASONED.match(item.id or "") if isinstance(item, FunctionCall | Message) else None
        if found and f"rs_{found['seq']}" not in seen:
            kind = "message" if isinstance(item, Message) else "function_call"
            raise RequestRefused(
                f"Item '{found[0]}' of type '{kind}' was provided without its required 'reasoning' item: "
                f"'rs_{found['seq']}'.",
                param="input",
            )


def _follows_reasoning(item: Item | None) -> bool:
    return item is not None and (
        item.role == "assistant" if isinstance(item, Message) else not isinstance(item, FunctionCallOutput)
    )


def _check_options(form: ResponsesForm) -> None:
    tools = [tool for tool in form.tools or () if isinstance(tool, FunctionTool)]
    for index, tool in enumerate(form.tools or ()):
        if isinstance(tool, FunctionTool) and tool.strict:
            schemas.check_strict(tool.parameters, f"function '{tool.name}'", f"tools[{index}].parameters")
    if form.tool_choice == "required" and not form.tools:
        raise RequestRefused("Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice")
    if isinstance(choice := form.tool_choice, FunctionChoice) and choice.name not in [tool.name for tool in tools]:
        raise RequestRefused(f"Tool choice '{choice.name}' not found in 'tools' parameter.", param="tool_choice")
    wanted = form.text.format if form.text else None
    if isinstance(wanted, SchemaFormat) and wanted.strict:
        schemas.check_strict(wanted.schema, f"response_format '{wanted.name}'", "text.format.schema")
    if isinstance(wanted, JsonFormat) and "json" not in _texts(form).lower():
        raise RequestRefused(
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
            param="input",
        )
    if form.stream_options is not None and not form.stream:
        raise RequestRefused(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if form.background:
        raise RequestRefused("Background mode is not supported by the sandbox.", param="background")
    if form.conversation is not None or form.prompt is not None:
        field = "prompt" if form.conversation is None else "conversation"
        raise RequestRefused(f"The sandbox keeps no {field}s.", 404, param=field)


def _texts(form: ResponsesForm) -> str:
    if isinstance(form.input, str):
        return form.input
    found = [form.instructions or ""]
    for item in form.input:
        if isinstance(item, Message):
            found += (
                [item.content]
                if isinstance(item.content, str)
                else [getattr(part, "text", "") for part in item.content]
            )
    return " ".join(found)
