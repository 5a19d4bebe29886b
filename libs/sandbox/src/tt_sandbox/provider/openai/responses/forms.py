"""What POST /v1/responses accepts, field by field: the official SDK's parameter types for messages, functions and reasoning.

Other kinds of items and of hosted tools than web search are refused as values that the vendor doesn't know.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from tt_sandbox.provider.openai.fields import Form

Json = dict[str, Any]
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64)]
Status = Literal["in_progress", "completed", "incomplete"]


class InputText(Form, frozen=True, tag_field="type", tag="input_text"):
    text: str
    prompt_cache_breakpoint: Json | None = None


class InputImage(Form, frozen=True, tag_field="type", tag="input_image"):
    image_url: str | None = None
    file_id: str | None = None
    detail: Literal["auto", "low", "high", "original"] = "auto"
    prompt_cache_breakpoint: Json | None = None


class InputFile(Form, frozen=True, tag_field="type", tag="input_file"):
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: Literal["auto", "low", "high"] = "auto"
    prompt_cache_breakpoint: Json | None = None


class OutputText(Form, frozen=True, tag_field="type", tag="output_text"):
    text: str
    annotations: list[Json] = field(default_factory=list[Json])
    logprobs: list[Json] | None = None


class Refusal(Form, frozen=True, tag_field="type", tag="refusal"):
    refusal: str


Part = InputText | InputImage | InputFile | OutputText | Refusal


class Message(Form, frozen=True, tag_field="type", tag="message"):
    """A message of any role; `type` may be left out."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]
    id: str | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class FunctionCall(Form, frozen=True, tag_field="type", tag="function_call"):
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: Status | None = None
    caller: Json | None = None
    namespace: str | None = None


class FunctionCallOutput(Form, frozen=True, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str | list[InputText | InputImage | InputFile]
    id: str | None = None
    status: Status | None = None
    name: str | None = None
    caller: Json | None = None


class SummaryText(Form, frozen=True, tag_field="type", tag="summary_text"):
    text: str


class Reasoning(Form, frozen=True, tag_field="type", tag="reasoning"):
    id: str
    summary: list[SummaryText]
    content: list[Json] | None = None
    encrypted_content: str | None = None
    status: Status | None = None


class WebSearchCall(Form, frozen=True, tag_field="type", tag="web_search_call"):
    id: str
    action: Json
    status: str


class ItemReference(Form, frozen=True, tag_field="type", tag="item_reference"):
    id: str


Item = Message | FunctionCall | FunctionCallOutput | Reasoning | WebSearchCall | ItemReference


class FunctionTool(Form, frozen=True, tag_field="type", tag="function"):
    name: Name
    parameters: Json | None = None
    strict: bool | None = None
    description: str | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None
    output_schema: Json | None = None


class WebSearchTool(msgspec.Struct, frozen=True, tag_field="type", tag="web_search"):
    """Its options are not looked at."""


class WebSearchPreviewTool(msgspec.Struct, frozen=True, tag_field="type", tag="web_search_preview"):
    """Its options are not looked at."""


class FunctionChoice(Form, frozen=True, tag_field="type", tag="function"):
    name: str


class AllowedTools(Form, frozen=True, tag_field="type", tag="allowed_tools"):
    mode: Literal["auto", "required"]
    tools: list[Json]


class TextFormat(Form, frozen=True, tag_field="type", tag="text"):
    """No format."""


class JsonFormat(Form, frozen=True, tag_field="type", tag="json_object"):
    """Any JSON object."""


class SchemaFormat(Form, frozen=True, tag_field="type", tag="json_schema"):
    name: Name
    schema: Json
    description: str | None = None
    strict: bool | None = None


class TextForm(Form, frozen=True):
    format: TextFormat | JsonFormat | SchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningForm(Form, frozen=True):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: str | None = None


class StreamOptions(Form, frozen=True):
    include_obfuscation: bool = False


class ResponsesForm(Form, frozen=True):
    """The whole request."""

    model: str
    input: str | Annotated[list[Item], Meta(min_length=1)]
    access_programs: Json | None = None
    background: bool | None = None
    context_management: list[Json] | None = None
    conversation: str | Json | None = None
    image: Json | None = None
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Meta(ge=16)] | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    metadata: dict[str, str] | None = None
    moderation: Json | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt: Json | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Json | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning: ReasoningForm | None = None
    safety_identifier: str | None = None
    sandbox: Json | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    text: TextForm | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | AllowedTools | None = None
    tools: list[FunctionTool | WebSearchTool | WebSearchPreviewTool] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None
