"""What Anthropic refuses beyond single fields: turns, tool results and their calls, thinking that came back changed.

Facts: the vendor's documentation and error messages; where its exact words are unknown, the message only says what is wrong.
"""

import base64
import hashlib

from tt_sandbox.provider.anthropic.forms import (
    Block,
    Cacheable,
    CountForm,
    MessageForm,
    MessagesForm,
    RedactedThinking,
    SearchResult,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from tt_sandbox.provider.dialect import RequestRefused

CACHE_POINTS_MAX = 4
# What SDKs since 2.0 send. Facts: the vendor's page on API versions; only its changes to requests that are used here.
STRICT_VERSION = b"2026-10-21"
ASSISTANT_ONLY = ("thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result")
ANYWHERE = ("text", "document")
THINKING_FIRST = (
    "Expected `thinking` or `redacted_thinking`, but found `{}`. "
    "When `thinking` is enabled, a final `assistant` message must start with a thinking block."
)


def sign(thinking: str) -> str:
    """The signature that goes with a thinking text; the text and it must come back together, unchanged."""
    return base64.b64encode(b"sandbox" + hashlib.sha512(thinking.encode()).digest()).decode()


REDACTED_DATA = sign("redacted")


def check(form: CountForm, version: bytes = STRICT_VERSION) -> None:
    """Raises RequestRefused."""
    if version == STRICT_VERSION:
        _check_strictly(form)
    if not form.messages:
        raise RequestRefused("messages: at least one message is required")
    if form.messages[0].role == "assistant":
        raise RequestRefused('messages: first message must use the "user" role')
    for index, message in enumerate(form.messages):
        _check_message(form, index, message)
    _check_pairs(form.messages)
    _check_tools(form)
    _check_cache_points(form)
    if isinstance(form, MessagesForm):
        _check_sampling(form)
        _check_thinking(form, form.messages)


def _check_strictly(form: CountForm) -> None:
    """What the newer version refuses and the older one took."""
    for field in ("temperature", "top_p", "top_k"):
        if getattr(form, field, None) is not None:
            raise RequestRefused(f"{field}: Extra inputs are not permitted")
    for index, message in enumerate(form.messages):
        for position, block in enumerate(message.content):
            where = f"messages.{index}.content.{position}"
            if message.role == "assistant" and block.type == "document":
                raise RequestRefused(f"{where}: `document` blocks are not allowed in `assistant` messages")
            texts = block.content if isinstance(block, SearchResult) else [block]
            if message.role == "user" and any(isinstance(text, Text) and text.citations for text in texts):
                raise RequestRefused(f"{where}: `citations` are not allowed in `user` messages")


def _check_message(form: CountForm, index: int, message: MessageForm) -> None:
    final = index == len(form.messages) - 1 and message.role == "assistant"
    if not message.content and not final:
        raise RequestRefused(
            f"messages.{index}: all messages must have non-empty content except for the optional final assistant message"
        )
    for position, block in enumerate(message.content):
        where = f"messages.{index}.content.{position}"
        if isinstance(block, Text) and not block.text:
            raise RequestRefused("messages: text content blocks must be non-empty")
        if (block.type in ASSISTANT_ONLY) != (message.role == "assistant") and block.type not in ANYWHERE:
            raise RequestRefused(f"{where}: `{block.type}` blocks are not allowed in `{message.role}` messages")
        if isinstance(block, Thinking) and block.signature != sign(block.thinking):
            raise RequestRefused(f"{where}: Invalid `signature` in `thinking` block")
        if isinstance(block, RedactedThinking) and block.data != REDACTED_DATA:
            raise RequestRefused(f"{where}: Invalid `data` in `redacted_thinking` block")
    if final and message.content and isinstance(last := message.content[-1], Text) and last.text != last.text.rstrip():
        raise RequestRefused("messages: final assistant content cannot end with trailing whitespace")


def _check_pairs(messages: list[MessageForm]) -> None:
    """Each tool_use is answered at the start of the next message, and nothing else is."""
    # Neighbours of the same role are one turn.
    turns: list[tuple[int, str, list[Block]]] = []
    for index, message in enumerate(messages):
        if turns and turns[-1][1] == message.role:
            turns[-1][2].extend(message.content)
        elif message.role != "system":
            turns.append((index, message.role, list(message.content)))
    seen: set[str] = set()
    open_calls: list[str] = []
    for number, (index, role, blocks) in enumerate(turns):
        results = [block.tool_use_id for block in blocks if isinstance(block, ToolResult)]
        for result in results:
            if result not in open_calls:
                raise RequestRefused(
                    f"messages.{index}.content: unexpected `tool_use_id` found in `tool_result` blocks: {result}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
        leading = {block.tool_use_id for block in blocks[: len(results)] if isinstance(block, ToolResult)}
        if missing := [call for call in open_calls if call not in leading]:
            raise RequestRefused(
                f"messages.{turns[number - 1][0]}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in "
                "the next message."
            )
        if len(set(results)) != len(results):
            raise RequestRefused(f"messages.{index}.content: each tool_use must have a single result")
        open_calls = [block.id for block in blocks if isinstance(block, ToolUse)] if role == "assistant" else []
        if len(set(open_calls)) != len(open_calls) or seen & set(open_calls):
            raise RequestRefused(f"messages.{index}.content: `tool_use` ids must be unique")
        seen.update(open_calls)


def _check_tools(form: CountForm) -> None:
    names = [tool.name for tool in form.checked_tools()]
    if len(set(names)) != len(names):
        raise RequestRefused("tools: Tool names must be unique.")
    choice = form.tool_choice
    if choice is None:
        return
    if (choice.type == "tool") != (choice.name is not None):
        raise RequestRefused(f"tool_choice.{choice.type}.name: a name belongs to the type `tool`, and only to it")
    if not names:
        raise RequestRefused("tool_choice: may only be specified while providing tools")
    if choice.name is not None and choice.name not in names:
        raise RequestRefused(f"Tool '{choice.name}' not found in provided tools")


def _check_cache_points(form: CountForm) -> None:
    blocks = [*form.system, *form.checked_tools(), *(block for message in form.messages for block in message.content)]
    found = sum(1 for block in blocks if getattr(block, "cache_control", None) is not None)
    for message in form.messages:
        for block in message.content:
            if isinstance(block, ToolResult):
                inner: list[Cacheable] = [*block.content]
                found += sum(1 for part in inner if part.cache_control is not None)
    if found > CACHE_POINTS_MAX:
        raise RequestRefused(
            f"A maximum of {CACHE_POINTS_MAX} blocks with cache_control may be provided. Found {found}."
        )


def _check_sampling(form: MessagesForm) -> None:
    if any(not sequence.strip() for sequence in form.stop_sequences):
        raise RequestRefused("stop_sequences: each stop sequence must contain non-whitespace")


def _check_thinking(form: MessagesForm, messages: list[MessageForm]) -> None:
    thinking = form.thinking
    if thinking is None or thinking.type == "disabled":
        return
    if thinking.type == "enabled":
        if thinking.budget_tokens is None:
            raise RequestRefused("thinking.enabled.budget_tokens: Field required")
        if thinking.budget_tokens >= form.max_tokens:
            raise RequestRefused("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if form.temperature not in (None, 1):
        raise RequestRefused("`temperature` may only be set to 1 when thinking is enabled.")
    if form.tool_choice is not None and form.tool_choice.type in ("any", "tool"):
        raise RequestRefused("Thinking may not be enabled when tool_choice forces tool use.")
    # Adaptive thinking doesn't insist on a thought at the beginning of each turn.
    if thinking.type != "enabled" or not any(isinstance(block, ToolResult) for block in messages[-1].content):
        return
    # A loop of tool calls is one turn, whose first message holds the thinking.
    asked = max(number for number, message in enumerate(messages) if _is_question(message))
    index = next(number for number, message in enumerate(messages) if number > asked and message.role == "assistant")
    first = messages[index].content[0]
    if not isinstance(first, Thinking | RedactedThinking):
        raise RequestRefused(f"messages.{index}.content.0.type: {THINKING_FIRST.format(first.type)}")


def _is_question(message: MessageForm) -> bool:
    return message.role == "user" and not any(isinstance(block, ToolResult) for block in message.content)
