"""A chat request without a protocol. Each client protocol makes one of its own request, each dialect builds its own request of one.

Invariant: what is None or empty was not asked for. What a protocol has and this form hasn't is refused where the request is read;
what this form has and a dialect hasn't is refused where it is built, with `Inexpressible`. Never a silent loss, but for the hints that
docs/protocols.md lists.
"""

from typing import Literal

import msgspec

CacheMark = Literal["5m", "1h"]
"""A prompt-cache breakpoint behind a block or tool, by how long it lives."""
Vendor = Literal["openai", "anthropic", "gemini"]
"""Who signed a thought: a signature only means something to the vendor that made it."""


class Inexpressible(Exception):
    """The dialect has no words for it. `field` is the canonical name (a field of these structs); `message` says it to people."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Text(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    cache: CacheMark | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """By `url`, or by `data` (base64) of `media_type`. `detail` as OpenAI names it: low, high, auto."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str | None = None
    cache: CacheMark | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A file to read: `data` (base64) of `media_type`, `text`, or by `url`."""

    media_type: str = ""
    data: str = ""
    text: str = ""
    url: str = ""
    title: str = ""
    cache: CacheMark | None = None


class Audio(msgspec.Struct, frozen=True, kw_only=True):
    """`data` is base64, `format` such as wav or mp3."""

    format: str
    data: str


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """`signature` proves to `vendor` that the thought is its own; `redacted`: there is only the signature."""

    text: str = ""
    signature: str = ""
    vendor: Vendor | None = None
    redacted: bool = False


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """A call that the model wants made. `arguments` is the text of a JSON object; `signature` is Gemini's thought signature."""

    id: str
    name: str
    arguments: str
    signature: str = ""
    cache: CacheMark | None = None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call. `name` is that of the call; "" where no call with that id came before."""

    id: str
    name: str
    content: tuple["Text | Image | Document", ...]
    is_error: bool = False
    cache: CacheMark | None = None


Block = Text | Image | Document | Audio | Thinking | ToolUse | ToolResult


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Turns of one role may follow each other; a dialect joins them where it must. Results of tools are the user's."""

    role: Literal["user", "assistant"]
    blocks: tuple[Block, ...]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function. `schema` is JSON Schema as decoded JSON; None where it takes nothing."""

    name: str
    description: str = ""
    schema: dict[str, object] | None = None
    strict: bool | None = None
    cache: CacheMark | None = None


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """`names`: for `tool` the one that must be called, for `any` those among which to choose (empty: all)."""

    mode: Literal["auto", "none", "any", "tool"]
    names: tuple[str, ...] = ()


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """JSON output, of `schema` where there is one."""

    schema: dict[str, object] | None = None
    name: str = "answer"
    strict: bool | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True):
    """How much to think: by `effort`, or by `budget_tokens`; `off`: not at all. `show`: the client wants to read the thoughts."""

    off: bool = False
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    budget_tokens: int | None = None
    show: bool = True


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that all of it can say. `system` in the order it came, wherever it stood."""

    stream: bool
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    output_limit: int | None = None
    choices: int = 1
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    format: Format | None = None
    reasoning: Reasoning | None = None
    end_user: str | None = None
    service_tier: str | None = None
