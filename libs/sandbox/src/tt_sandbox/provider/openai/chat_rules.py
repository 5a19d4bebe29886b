"""What OpenAI refuses in a chat beyond single fields: tool messages and their calls, options that need or exclude others.

Facts: the vendor's error messages as they are public; where the exact words are unknown, the message only says what is wrong.
"""

import re
from collections.abc import Mapping
from typing import Any

from tt_sandbox.provider.dialect import RequestRefused
from tt_sandbox.provider.openai import schemas
from tt_sandbox.provider.openai.chat_forms import (
    Assistant,
    ChatForm,
    FunctionChoice,
    FunctionTool,
    Image,
    JsonFormat,
    SchemaFormat,
    Text,
    Tool,
    User,
)
from tt_sandbox.provider.openai.fields import missing, read

KNOWN = frozenset(ChatForm.__struct_fields__)
# Models that reason take no `max_tokens`.
REASONING_MODEL = re.compile(r"^(o\d|gpt-[5-9])")


def read_chat(body: Mapping[str, Any]) -> ChatForm:
    """The request as the vendor would take it. Raises RequestRefused."""
    if strangers := [name for name in body if name not in KNOWN]:
        plural = "s" * (len(strangers) > 1)
        raise RequestRefused(f"Unrecognized request argument{plural} supplied: {', '.join(strangers)}")
    form = read(ChatForm, body)
    _check_messages(form)
    _check_tools(form)
    _check_format(form)
    _check_options(form)
    return form


def _check_messages(form: ChatForm) -> None:
    open_calls: list[str] = []
    answerable: set[str] = set()
    for index, message in enumerate(form.messages):
        if isinstance(message, Tool):
            if message.tool_call_id not in answerable:
                raise RequestRefused(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    param=f"messages.[{index}].role",
                )
            open_calls = [call for call in open_calls if call != message.tool_call_id]
            continue
        _all_answered(open_calls, index)
        answerable = set()
        if isinstance(message, Assistant):
            said = message.content is not None or message.refusal is not None or message.audio is not None
            if not (said or message.tool_calls or message.function_call):
                raise RequestRefused(
                    "Invalid value for 'content': expected a string, got null.", param=f"messages.[{index}].content"
                )
            open_calls = [call.id for call in message.tool_calls]
            answerable = set(open_calls)
        elif isinstance(message, User) and not isinstance(message.content, str):
            for position, part in enumerate(message.content):
                _check_image(part, f"messages[{index}].content[{position}].image_url.url")
    _all_answered(open_calls, len(form.messages) - 1)


def _all_answered(open_calls: list[str], index: int) -> None:
    if open_calls:
        raise RequestRefused(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: " + ", ".join(open_calls),
            param=f"messages.[{index}].role",
        )


def _check_image(part: Any, param: str) -> None:
    if isinstance(part, Image) and not part.image_url.url.startswith(("https://", "http://", "data:image/")):
        raise RequestRefused(
            f"Invalid '{param}'. Expected a base64-encoded data URL with an image MIME type "
            "(e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value without the 'data:' prefix.",
            code="invalid_value",
            param=param,
        )


def _check_tools(form: ChatForm) -> None:
    tools = form.tools or ()
    for index, tool in enumerate(tools):
        if isinstance(tool, FunctionTool) and tool.function.strict:
            what = f"function '{tool.function.name}'"
            schemas.check_strict(tool.function.parameters, what, f"tools[{index}].function.parameters")
    for name in ("tool_choice", "parallel_tool_calls"):
        # A choice of none or auto is what holds without tools anyway, but the vendor refuses it too.
        if getattr(form, name) is not None and not tools:
            raise RequestRefused(
                f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", param=name
            )
    if isinstance(choice := form.tool_choice, FunctionChoice):
        offered = [tool.function.name for tool in tools if isinstance(tool, FunctionTool)]
        if choice.function.name not in offered:
            raise RequestRefused(
                f"Tool choice '{choice.function.name}' not found in 'tools' parameter.", param="tool_choice"
            )


def _check_format(form: ChatForm) -> None:
    wanted = form.response_format
    if isinstance(wanted, JsonFormat) and not any("json" in text.lower() for text in _texts(form)):
        raise RequestRefused(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )
    if isinstance(wanted, SchemaFormat):
        if wanted.json_schema.schema is None:
            raise missing("response_format.json_schema.schema")
        if wanted.json_schema.strict:
            what = f"response_format '{wanted.json_schema.name}'"
            schemas.check_strict(wanted.json_schema.schema, what, "response_format")


def _check_options(form: ChatForm) -> None:
    if form.stream_options is not None and not form.stream:
        raise RequestRefused(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if form.max_tokens is not None and REASONING_MODEL.match(form.model):
        raise RequestRefused(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            code="unsupported_parameter",
            param="max_tokens",
        )
    if form.max_tokens is not None and form.max_completion_tokens is not None:
        raise RequestRefused(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
        )
    if form.top_logprobs and not form.logprobs:
        raise RequestRefused("'top_logprobs' is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    if "audio" in (form.modalities or ()):
        if form.audio is None:
            raise missing("audio")
        if form.stream and form.audio.format != "pcm16":
            raise RequestRefused(
                "Unsupported value: 'audio.format' does not support this value when stream=true. Supported values are: "
                "'pcm16'.",
                code="unsupported_value",
                param="audio.format",
            )


def _texts(form: ChatForm) -> list[str]:
    found: list[str] = []
    for message in form.messages:
        if isinstance(message.content, str):
            found.append(message.content)
        else:
            found += [part.text for part in message.content or () if isinstance(part, Text)]
    return found
