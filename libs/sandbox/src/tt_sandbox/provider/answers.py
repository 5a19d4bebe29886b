"""What is said, before any vendor's shape is given to it: thinking, text, tool calls, why it ends.

Deterministic. The dialects reduce a request to `Ask` and shape the `Answer`; a token is what `content` calls one, everywhere.
"""

from typing import Any, Literal, NamedTuple

from tt_sandbox.provider import content
from tt_sandbox.provider.records import TokenCounts
from tt_sandbox.provider.switches import Switches

Finish = Literal[
    "stop",
    "length",
    "stop_sequence",
    "tool_calls",
    "refusal",
    "recitation",
    "prompt_blocked",
    "pause",
    "bad_tool_call",
    "failed",
]

THOUGHT = tuple(content.split_tokens("The user asks something simple. I think about it, briefly, and then I answer."))
GREETING_TOKENS = tuple(content.split_tokens(content.GREETING))


class Function(NamedTuple):
    """A tool the caller offers."""

    name: str
    schema: dict[str, Any]


class ToolCall(NamedTuple):
    """A call of one function; `arguments` joined are its JSON text."""

    name: str
    arguments: tuple[str, ...]

    @property
    def text(self) -> str:
        """The arguments' JSON text."""
        return "".join(self.arguments)


class Ask(NamedTuple):
    """A request without its vendor's shape. `choice`: auto, none, any, or `=name`."""

    prompt_tokens: int
    user_text: str
    functions: tuple[Function, ...] = ()
    choice: str = "auto"
    parallel: bool = True
    schema: dict[str, Any] | None = None
    stop: tuple[str, ...] = ()
    tokens_max: int | None = None
    thinks: bool = False


class Answer(NamedTuple):
    """What is said. `hidden_tokens` are reasoning that is charged but not shown."""

    thinking: tuple[str, ...]
    text: tuple[str, ...]
    tools: tuple[ToolCall, ...]
    finish: Finish
    stop_sequence: str | None
    hidden_tokens: int
    counts: TokenCounts


def plan(ask: Ask, switches: Switches) -> Answer:
    """The answer to a request; the switches win over what the request would get by itself."""
    thinking = content.words(switches.reasoning_tokens) if switches.reasoning_tokens else THOUGHT if ask.thinks else ()
    tools = _tools(ask, switches)
    text = _text(ask, switches, bool(tools))
    finish: Finish = "tool_calls" if tools else "stop"
    text, stop_sequence = _stop(text, ask.stop)
    if stop_sequence is not None:
        tools, finish = (), "stop_sequence"
    if ask.tokens_max is not None and _size(thinking, text, tools) > ask.tokens_max:
        thinking = thinking[: ask.tokens_max]
        text, tools = text[: ask.tokens_max - len(thinking)], ()
        finish, stop_sequence = "length", None
    if switches.finish is not None:
        finish, stop_sequence, tools = switches.finish, None, ()
        if finish == "prompt_blocked":
            thinking, text = (), ()
    counts = _counts(ask, switches, _size(thinking, text, tools), len(thinking))
    if ask.thinks:
        return Answer(thinking, text, tools, finish, stop_sequence, 0, counts)
    return Answer((), text, tools, finish, stop_sequence, len(thinking), counts)


def _counts(ask: Ask, switches: Switches, output: int, reasoning: int) -> TokenCounts:
    prompt = ask.prompt_tokens if switches.prompt_tokens is None else switches.prompt_tokens
    read, short, long = switches.cached_tokens, switches.cache_write_5m_tokens, switches.cache_write_1h_tokens
    return TokenCounts(
        input=max(0, prompt - read - short - long),
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=long,
        output=output,
        reasoning=reasoning,
        server_tool_calls=switches.server_tool_calls,
    )


def _size(thinking: tuple[str, ...], text: tuple[str, ...], tools: tuple[ToolCall, ...]) -> int:
    return len(thinking) + len(text) + sum(len(tool.arguments) for tool in tools)


def _text(ask: Ask, switches: Switches, calls_tools: bool) -> tuple[str, ...]:
    if switches.completion_text is not None:
        return tuple(content.split_tokens(switches.completion_text))
    if calls_tools:
        return ()
    if switches.output_tokens is not None:
        return content.words(switches.output_tokens)
    if ask.schema is not None:
        return tuple(content.split_tokens(content.example_text(ask.schema)))
    return GREETING_TOKENS


def _tools(ask: Ask, switches: Switches) -> tuple[ToolCall, ...]:
    """The named function, any if one is required, or the first if the user mentions "weather" or "tool"."""
    functions = ask.functions
    if ask.choice.startswith("="):
        functions = tuple(function for function in functions if function.name == ask.choice[1:])
    if not functions or ask.choice == "none":
        return ()
    text = ask.user_text.lower()
    if ask.choice == "auto" and "weather" not in text and "tool" not in text:
        return ()
    count = switches.tool_calls if ask.parallel else 1
    chosen = [functions[index % len(functions)] for index in range(count)]
    return tuple(ToolCall(one.name, tuple(content.split_tokens(content.example_text(one.schema)))) for one in chosen)


def _stop(text: tuple[str, ...], sequences: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """The text up to the earliest stop sequence, and that sequence."""
    joined = "".join(text) if sequences else ""
    found = [(position, sequence) for sequence in sequences if (position := joined.find(sequence)) >= 0]
    if not found:
        return text, None
    position, sequence = min(found)
    return tuple(content.split_tokens(joined[:position])), sequence
