"""What Anthropic accepts, field by field: unknown fields are refused, and a refusal reads `path: reason` as the vendor's does.

Rules that span fields are in `rules`. Shapes are those of the official SDK's parameter types.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tt_sandbox.provider.dialect import RequestRefused

TOOL_ID = r"^[a-zA-Z0-9_-]+$"
TOOL_NAME = r"^[a-zA-Z0-9_-]{1,128}$"
MESSAGES_MAX = 100_000
Wanted = TypeVar("Wanted", bound=BaseModel)


def _as_blocks(value: Any) -> Any:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


class Form(BaseModel):
    """Refuses what it doesn't know."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CacheControl(Form):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Cacheable(Form):
    """A block that can end a cached prefix."""

    cache_control: CacheControl | None = None


class Text(Cacheable):
    type: Literal["text"]
    text: str
    citations: list[dict[str, Any]] | None = None


class Base64Image(Form):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str = Field(min_length=1)


class UrlSource(Form):
    type: Literal["url"]
    url: str


class FileSource(Form):
    type: Literal["file"]
    file_id: str


class Image(Cacheable):
    type: Literal["image"]
    source: Annotated[Base64Image | UrlSource | FileSource, Field(discriminator="type")]


class Base64Document(Form):
    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: str = Field(min_length=1)


class TextDocument(Form):
    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class ContentDocument(Form):
    type: Literal["content"]
    content: str | list[dict[str, Any]]


class Document(Cacheable):
    type: Literal["document"]
    source: Annotated[
        Base64Document | TextDocument | ContentDocument | UrlSource | FileSource, Field(discriminator="type")
    ]
    title: str | None = None
    context: str | None = None
    citations: dict[str, Any] | None = None


class SearchResult(Cacheable):
    type: Literal["search_result"]
    content: list[Text]
    source: str
    title: str
    citations: dict[str, Any] | None = None


class Thinking(Form):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinking(Form):
    type: Literal["redacted_thinking"]
    data: str


class ToolUse(Cacheable):
    type: Literal["tool_use"]
    id: str = Field(pattern=TOOL_ID)
    name: str = Field(pattern=TOOL_NAME)
    input: dict[str, Any]
    caller: dict[str, Any] | None = None


class ToolResult(Cacheable):
    type: Literal["tool_result"]
    tool_use_id: str = Field(pattern=TOOL_ID)
    content: Annotated[
        list[Annotated[Text | Image | Document | SearchResult, Field(discriminator="type")]],
        BeforeValidator(_as_blocks),
    ] = []
    is_error: bool | None = None


class ServerToolUse(Cacheable):
    type: Literal["server_tool_use"]
    id: str
    name: str
    input: dict[str, Any]
    caller: dict[str, Any] | None = None


class WebSearchResult(Cacheable):
    type: Literal["web_search_tool_result"]
    tool_use_id: str
    content: list[dict[str, Any]] | dict[str, Any]
    caller: dict[str, Any] | None = None


Block = Annotated[
    Text
    | Image
    | Document
    | SearchResult
    | Thinking
    | RedactedThinking
    | ToolUse
    | ToolResult
    | ServerToolUse
    | WebSearchResult,
    Field(discriminator="type"),
]


class MessageForm(Form):
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Block], BeforeValidator(_as_blocks)]


class InputSchema(BaseModel):
    """A JSON schema; only its outermost type is looked at."""

    model_config = ConfigDict(extra="allow")
    type: Literal["object"]


class CustomTool(Cacheable):
    type: Literal["custom"] | None = None
    name: str = Field(pattern=TOOL_NAME)
    description: str | None = None
    input_schema: InputSchema
    strict: bool | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None
    allowed_callers: list[str] | None = None
    input_examples: list[dict[str, Any]] | None = None


class ServerTool(BaseModel):
    """A tool of the vendor's own, such as web_search_20250305."""

    model_config = ConfigDict(extra="allow")
    type: str = Field(pattern=r"^[a-z_]+_\d{8}$")
    name: str = ""
    cache_control: CacheControl | None = None


class ToolChoice(Form):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class ThinkingForm(Form):
    type: Literal["enabled", "adaptive", "between_tools", "disabled"]
    budget_tokens: int | None = Field(None, ge=1024)
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(Form):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Form):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class CountForm(Cacheable):
    """POST /v1/messages/count_tokens."""

    model: str
    messages: list[MessageForm] = Field(max_length=MESSAGES_MAX)
    system: Annotated[list[Text], BeforeValidator(_as_blocks)] = []
    tools: list[dict[str, Any]] = []
    tool_choice: ToolChoice | None = None
    thinking: ThinkingForm | None = None
    output_config: OutputConfig | None = None
    context_management: dict[str, Any] | None = None
    mcp_servers: list[dict[str, Any]] = []
    speed: Literal["standard", "fast"] | None = None
    sandbox: dict[str, Any] | None = None

    def custom_tools(self) -> list[CustomTool]:
        """The caller's own tools. Raises RequestRefused naming the tool that is wrong."""
        return [tool for tool in self.checked_tools() if isinstance(tool, CustomTool)]

    def checked_tools(self) -> list[CustomTool | ServerTool]:
        """All tools in order. Raises RequestRefused."""
        checked: list[CustomTool | ServerTool] = []
        for index, tool in enumerate(self.tools):
            custom = tool.get("type") in (None, "custom")
            where = ("tools", index, "custom") if custom else ("tools", index)
            checked.append(read(CustomTool, tool, where) if custom else read(ServerTool, tool, where))
        return checked


class MessagesForm(CountForm):
    """POST /v1/messages."""

    max_tokens: int = Field(ge=1)
    stream: bool = False
    stop_sequences: list[str] = []
    temperature: Annotated[float, Field(ge=0, le=1, strict=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, strict=False)] | None = None
    top_k: int | None = Field(None, ge=0)
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    container: str | dict[str, Any] | None = None
    inference_geo: str | None = None
    diagnostics: dict[str, Any] | None = None


def read(form: type[Wanted], body: Any, where: tuple[str | int, ...] = ()) -> Wanted:
    """The body as a form. Raises RequestRefused with the vendor's `path: reason`."""
    try:
        return form.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, (*where, *first["loc"])))
        raise RequestRefused(f"{path}: {first['msg']}") from None
