"""What POST /v1/chat/completions accepts, field by field: the official SDK's parameter types, and the older `functions`."""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from tt_sandbox.provider.openai.fields import Form

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Json = dict[str, Any]


class Text(Form, frozen=True, tag_field="type", tag="text"):
    text: str
    prompt_cache_breakpoint: Json | None = None


class ImageUrl(Form, frozen=True):
    url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"


class Image(Form, frozen=True, tag_field="type", tag="image_url"):
    image_url: ImageUrl
    prompt_cache_breakpoint: Json | None = None


class AudioData(Form, frozen=True):
    data: str
    format: Literal["wav", "mp3"]


class Audio(Form, frozen=True, tag_field="type", tag="input_audio"):
    input_audio: AudioData
    prompt_cache_breakpoint: Json | None = None


class FileData(Form, frozen=True):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class File(Form, frozen=True, tag_field="type", tag="file"):
    file: FileData
    prompt_cache_breakpoint: Json | None = None


class RefusalPart(Form, frozen=True, tag_field="type", tag="refusal"):
    refusal: str


Texts = Annotated[list[Text], Meta(min_length=1)]


class System(Form, frozen=True, tag_field="role", tag="system"):
    content: str | Texts
    name: str | None = None


class Developer(Form, frozen=True, tag_field="role", tag="developer"):
    content: str | Texts
    name: str | None = None


class User(Form, frozen=True, tag_field="role", tag="user"):
    content: str | Annotated[list[Text | Image | Audio | File], Meta(min_length=1)]
    name: str | None = None


class CalledFunction(Form, frozen=True):
    name: str
    arguments: str


class FunctionCall(Form, frozen=True, tag_field="type", tag="function"):
    id: str
    function: CalledFunction


class CustomCall(Form, frozen=True, tag_field="type", tag="custom"):
    id: str
    custom: Json


class Assistant(Form, frozen=True, tag_field="role", tag="assistant"):
    """`annotations` is no parameter of the SDK, but comes back in every message that was answered, and is taken."""

    content: str | Annotated[list[Text | RefusalPart], Meta(min_length=1)] | None = None
    tool_calls: Annotated[list[FunctionCall | CustomCall], Meta(min_length=1, max_length=128)] = field(
        default_factory=list[FunctionCall | CustomCall]
    )
    refusal: str | None = None
    name: str | None = None
    audio: Json | None = None
    function_call: CalledFunction | None = None
    annotations: list[Json] = field(default_factory=list[Json])


class Tool(Form, frozen=True, tag_field="role", tag="tool"):
    content: str | Texts
    tool_call_id: str
    name: str | None = None


class FunctionResult(Form, frozen=True, tag_field="role", tag="function"):
    name: str
    content: str | None


Message = System | Developer | User | Assistant | Tool | FunctionResult


class FunctionForm(Form, frozen=True):
    name: Name
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class FunctionTool(Form, frozen=True, tag_field="type", tag="function"):
    function: FunctionForm


class CustomTool(Form, frozen=True, tag_field="type", tag="custom"):
    custom: Json


class NamedFunction(Form, frozen=True):
    name: str


class FunctionChoice(Form, frozen=True, tag_field="type", tag="function"):
    function: NamedFunction


class CustomChoice(Form, frozen=True, tag_field="type", tag="custom"):
    custom: NamedFunction


class AllowedTool(Form, frozen=True, tag_field="type", tag="function"):
    function: NamedFunction


class AllowedTools(Form, frozen=True):
    mode: Literal["auto", "required"]
    tools: list[AllowedTool]


class AllowedChoice(Form, frozen=True, tag_field="type", tag="allowed_tools"):
    allowed_tools: AllowedTools


class SchemaForm(Form, frozen=True):
    name: Name
    schema: Json | None = None
    description: str | None = None
    strict: bool | None = None


class TextFormat(Form, frozen=True, tag_field="type", tag="text"):
    """No format."""


class JsonFormat(Form, frozen=True, tag_field="type", tag="json_object"):
    """Any JSON object."""


class SchemaFormat(Form, frozen=True, tag_field="type", tag="json_schema"):
    json_schema: SchemaForm


class StreamOptions(Form, frozen=True):
    include_usage: bool = False
    include_obfuscation: bool = False


class Voice(Form, frozen=True):
    """How audio is answered."""

    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: str | Json


class ChatForm(Form, frozen=True):
    """The whole request."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    model: str
    audio: Voice | None = None
    frequency_penalty: Penalty | None = None
    function_call: str | Json | None = None
    functions: list[FunctionForm] | None = None
    logit_bias: dict[str, int] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    metadata: dict[str, str] | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    moderation: Json | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    parallel_tool_calls: bool | None = None
    prediction: Json | None = None
    presence_penalty: Penalty | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Json | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    safety_identifier: str | None = None
    sandbox: Json | None = None
    seed: int | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | CustomChoice | AllowedChoice | None = None
    tools: Annotated[list[FunctionTool | CustomTool], Meta(min_length=1, max_length=128)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: Json | None = None
