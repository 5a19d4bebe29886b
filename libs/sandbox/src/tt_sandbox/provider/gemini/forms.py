"""What Gemini accepts, field by field, in camel or snake case; a name it doesn't know refuses the whole request.

Rules that span fields are in `rules`. Shapes are those of the official SDK's types for the developer API.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tt_sandbox.provider.dialect import RequestRefused

FUNCTION_NAME = r"^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$"


class Form(BaseModel):
    """Refuses names it doesn't know."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Blob(Form):
    mime_type: str
    data: str
    display_name: str | None = None


class FileData(Form):
    file_uri: str
    mime_type: str | None = None
    display_name: str | None = None


class FunctionCall(Form):
    name: str
    args: dict[str, Any] = {}
    id: str | None = None


class FunctionResponse(Form):
    name: str = Field(min_length=1)
    response: dict[str, Any]
    id: str | None = None
    parts: list[dict[str, Any]] = []
    will_continue: bool | None = None
    scheduling: str | None = None


class Part(Form):
    """One piece of a turn; exactly one of its data fields is set."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: dict[str, Any] | None = None
    code_execution_result: dict[str, Any] | None = None
    thought: bool = False
    thought_signature: str | None = None
    video_metadata: dict[str, Any] | None = None
    media_resolution: Any = None

    def data(self) -> list[str]:
        """The names of the data fields that are set."""
        names = ("text", "inline_data", "file_data", "function_call", "function_response")
        return [
            name for name in (*names, "executable_code", "code_execution_result") if getattr(self, name) is not None
        ]


class Content(Form):
    role: str | None = None
    parts: list[Part] = []


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Schema(Form):
    """The subset of OpenAPI's schemas that Gemini takes."""

    type: Annotated[
        Literal["string", "number", "integer", "boolean", "array", "object", "null"] | None, BeforeValidator(_lower)
    ] = None
    format: str | None = None
    title: str | None = None
    description: str | None = None
    nullable: bool | None = None
    enum: list[str] | None = None
    items: "Schema | None" = None
    properties: "dict[str, Schema]" = {}
    required: list[str] = []
    any_of: "list[Schema]" = []
    property_ordering: list[str] = []
    max_items: int | None = None
    min_items: int | None = None
    max_length: int | None = None
    min_length: int | None = None
    max_properties: int | None = None
    min_properties: int | None = None
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    example: Any = None
    default: Any = None


class FunctionDeclaration(Form):
    name: str = Field(pattern=FUNCTION_NAME)
    description: str | None = None
    parameters: Schema | None = None
    parameters_json_schema: dict[str, Any] | None = None
    response: Schema | None = None
    response_json_schema: dict[str, Any] | None = None
    behavior: str | None = None


class Tool(Form):
    function_declarations: list[FunctionDeclaration] = []
    google_search: dict[str, Any] | None = None
    google_search_retrieval: dict[str, Any] | None = None
    code_execution: dict[str, Any] | None = None
    url_context: dict[str, Any] | None = None


class CallingConfig(Form):
    mode: Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"] = "AUTO"
    allowed_function_names: list[str] = []


class ToolConfig(Form):
    function_calling_config: CallingConfig = CallingConfig()
    retrieval_config: dict[str, Any] | None = None


class ThinkingConfig(Form):
    include_thoughts: bool = False
    thinking_budget: int | None = None
    thinking_level: str | None = None


class GenerationConfig(Form):
    candidate_count: int = Field(1, ge=1, le=1)
    stop_sequences: list[str] = Field([], max_length=5)
    max_output_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: float | None = Field(None, ge=1)
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    response_mime_type: str | None = None
    response_schema: Schema | None = None
    response_json_schema: dict[str, Any] | None = None
    response_modalities: list[str] | None = None
    thinking_config: ThinkingConfig | None = None
    media_resolution: str | None = None
    speech_config: dict[str, Any] | None = None
    image_config: dict[str, Any] | None = None


class GenerateForm(Form):
    """The body of generateContent and streamGenerateContent."""

    contents: list[Content] = []
    model: str | None = None
    system_instruction: Content | None = None
    tools: list[Tool] = []
    tool_config: ToolConfig = ToolConfig()
    safety_settings: list[dict[str, Any]] = []
    generation_config: GenerationConfig = Field(default_factory=lambda: GenerationConfig.model_validate({}))
    cached_content: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    sandbox: dict[str, Any] | None = None


class CountForm(Form):
    """The body of countTokens."""

    contents: list[Content] = []
    generate_content_request: GenerateForm | None = None
    sandbox: dict[str, Any] | None = None


def read_generate(body: Any) -> GenerateForm:
    """The body as a form. Raises RequestRefused in the vendor's words."""
    return _read(GenerateForm, body)


def read_count(body: Any) -> GenerateForm:
    """What countTokens counts, as a request to generate. Raises RequestRefused."""
    form = _read(CountForm, body)
    return form.generate_content_request or GenerateForm(contents=form.contents)


def _read(form: Any, body: Any) -> Any:
    try:
        return form.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        *where, last = first["loc"]
        if first["type"] == "extra_forbidden":
            path = f" at '{_path(where)}'" if where else ""
            raise RequestRefused(
                f'Invalid JSON payload received. Unknown name "{last}"{path}: Cannot find field.'
            ) from None
        raise RequestRefused(f"* GenerateContentRequest.{_path([*where, last])}: {first['msg']}") from None


def _path(steps: list[Any]) -> str:
    """As the vendor writes paths: snake case, and indexes in brackets."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: "_" + match[1].lower(), text.removeprefix("."))
