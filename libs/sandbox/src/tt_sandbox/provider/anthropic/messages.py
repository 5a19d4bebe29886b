"""POST /v1/messages and /v1/messages/count_tokens: requests checked and reduced to `Ask`, answers whole or as events.

A stream has one block open at a time, a ping after the first block opens, and the whole signature in one delta.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from tt_sandbox.provider import answers, content
from tt_sandbox.provider.answers import Answer, Ask, Function
from tt_sandbox.provider.anthropic import rules
from tt_sandbox.provider.anthropic.forms import CountForm, MessageForm, MessagesForm, Text, ToolResult, ToolUse, read
from tt_sandbox.provider.dialect import Asked
from tt_sandbox.provider.streams import Event, Script, play
from tt_sandbox.provider.wire import Exchange

STOP_REASONS: dict[answers.Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "recitation": "refusal",
    "prompt_blocked": "refusal",
    "pause": "pause_turn",
    "bad_tool_call": "end_turn",
    "failed": "end_turn",
}
REFUSAL = {"type": "refusal", "category": "general_harms", "explanation": "The sandbox was asked to refuse."}
OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
# One delta: text of the whole block when it is sent whole, one token when it is streamed.
Delta = tuple[dict[str, Any], int]


async def answer(exchange: Exchange, asked: Asked) -> None:
    """Answers one call. Raises RequestRefused before anything is sent."""
    form = read(MessagesForm, asked.body)
    rules.check(form, asked.headers[b"anthropic-version"])
    call, switches = exchange.call, asked.switches
    message = _Message(call.seq, asked, form)
    call.id, call.stream = message.id, form.stream
    call.expect(message.answer.counts)
    if form.stream:
        call.completion_tokens = message.answer.hidden_tokens
        error = _event("error", {"error": OVERLOADED, "request_id": f"req_{call.seq:024d}"})
        await play(exchange, Script(message.opening(), message.content(), message.closing(), lambda: error), switches)
        return
    call.vendor_usage = None if switches.omit_usage else orjson.dumps(message.whole_usage())
    await exchange.answer(200, orjson.dumps(message.whole()))
    call.completion_tokens = message.answer.counts.output


async def count(exchange: Exchange, asked: Asked) -> None:
    """Answers count_tokens, which costs nothing: the record has no usage. Raises RequestRefused."""
    form = read(CountForm, asked.body)
    rules.check(form, asked.headers[b"anthropic-version"])
    tokens = asked.switches.prompt_tokens
    await exchange.answer(200, orjson.dumps({"input_tokens": _count_prompt(form) if tokens is None else tokens}))


class _Message:
    """One answer in Anthropic's shape, before it is sent."""

    def __init__(self, seq: int, asked: Asked, form: MessagesForm) -> None:
        self.id = f"msg_01sandbox{seq:012d}"
        self.answer = answers.plan(_ask(form), asked.switches)
        self._asked = asked
        self._seq = seq
        shown = form.thinking is None or form.thinking.display != "omitted"
        self._blocks = list(_blocks(self.answer, asked, seq, shown))

    def whole(self) -> dict[str, Any]:
        """The message that a stream of it accumulates to."""
        blocks: list[dict[str, Any]] = []
        for block, deltas in self._blocks:
            for delta, _ in deltas:
                _grow(block, delta)
            if block["type"] == "tool_use":
                block["input"] = orjson.loads("".join(delta["partial_json"] for delta, _ in deltas))
            blocks.append(block)
        return {**self._head(), "content": blocks, **self._end(), **self._used(self.whole_usage())}

    def whole_usage(self) -> dict[str, Any]:
        """The usage of the whole answer."""
        return {**self._start_usage(), **self._end_usage()}

    def opening(self) -> Iterator[Event]:
        """message_start."""
        usage = self._start_usage()
        message: dict[str, Any] = {
            **self._head(),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
        }
        yield self._with_usage(_event("message_start", {"message": {**message, **self._used(usage)}}), usage)
        if not self._blocks:
            yield Event(PING)

    def content(self) -> Iterator[Event]:
        """The blocks; the last one is left open."""
        for index, (block, deltas) in enumerate(self._blocks):
            if index:
                yield Event(_event("content_block_stop", {"index": index - 1}))
            hidden = len(self.answer.thinking) if block["type"] == "redacted_thinking" else 0
            yield Event(_event("content_block_start", {"index": index, "content_block": block}), hidden)
            if not index:
                yield Event(PING)
            for delta, tokens in deltas:
                yield Event(_event("content_block_delta", {"index": index, "delta": delta}), tokens)

    def closing(self) -> Iterator[Event]:
        """The last block's end, message_delta, message_stop."""
        if self._blocks:
            yield Event(_event("content_block_stop", {"index": len(self._blocks) - 1}))
        usage = self._end_usage()
        yield self._with_usage(_event("message_delta", {"delta": self._end(), **self._used(usage)}), usage)
        yield Event(_event("message_stop", {}))

    def _head(self) -> dict[str, Any]:
        return {"id": self.id, "type": "message", "role": "assistant", "model": self._asked.model}

    def _end(self) -> dict[str, Any]:
        reason = STOP_REASONS[self.answer.finish]
        details = REFUSAL if reason == "refusal" else None
        return {"stop_reason": reason, "stop_sequence": self.answer.stop_sequence, "stop_details": details}

    def _start_usage(self) -> dict[str, Any]:
        counts = self.answer.counts
        return {
            "input_tokens": counts.input,
            "cache_creation_input_tokens": counts.cache_write_5m + counts.cache_write_1h,
            "cache_read_input_tokens": counts.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": counts.cache_write_5m,
                "ephemeral_1h_input_tokens": counts.cache_write_1h,
            },
            "output_tokens": min(1, counts.output),
            "service_tier": self._asked.switches.service_tier or "standard",
            "inference_geo": "not_available",
        }

    def _end_usage(self) -> dict[str, Any]:
        """Cumulative; without the split of cache writes, as the vendor leaves it out."""
        counts = self.answer.counts
        usage: dict[str, Any] = {
            "input_tokens": counts.input,
            "cache_creation_input_tokens": counts.cache_write_5m + counts.cache_write_1h,
            "cache_read_input_tokens": counts.cache_read,
            "output_tokens": counts.output,
        }
        if counts.reasoning:
            usage["output_tokens_details"] = {"thinking_tokens": counts.reasoning}
        if counts.server_tool_calls:
            usage["server_tool_use"] = {"web_search_requests": counts.server_tool_calls, "web_fetch_requests": 0}
        return usage

    def _used(self, usage: dict[str, Any]) -> dict[str, Any]:
        return {} if self._asked.switches.omit_usage else {"usage": usage}

    def _with_usage(self, data: bytes, usage: dict[str, Any]) -> Event:
        return Event(data, 0, None if self._asked.switches.omit_usage else orjson.dumps(usage))


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def _blocks(said: Answer, asked: Asked, seq: int, shown: bool) -> Iterator[tuple[dict[str, Any], list[Delta]]]:
    """Each block as its content_block_start has it, and its deltas."""
    if said.thinking and asked.switches.redact_thinking:
        yield {"type": "redacted_thinking", "data": rules.REDACTED_DATA}, []
    elif said.thinking:
        text = "".join(said.thinking) if shown else ""
        deltas: list[Delta] = [({"type": "thinking_delta", "thinking": one}, 1) for one in said.thinking if shown]
        signature = {"type": "signature_delta", "signature": rules.sign(text)}
        deltas.append((signature, 0 if shown else len(said.thinking)))
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    for number in range(asked.switches.server_tool_calls):
        call_id = f"srvtoolu_01sandbox{seq:012d}{number}"
        query = {"type": "input_json_delta", "partial_json": '{"query": "sandbox"}'}
        yield {"type": "server_tool_use", "id": call_id, "name": "web_search", "input": {}}, [(query, 0)]
        found = {"type": "web_search_result", "title": "Sandbox", "url": "https://example.com/", "page_age": None}
        results = [{**found, "encrypted_content": rules.sign("result")}]
        yield {"type": "web_search_tool_result", "tool_use_id": call_id, "content": results}, []
    if said.text:
        yield {"type": "text", "text": ""}, [({"type": "text_delta", "text": one}, 1) for one in said.text]
    for number, tool in enumerate(said.tools):
        start: dict[str, Any] = {"type": "tool_use", "id": f"toolu_01sandbox{seq:012d}{number}", "name": tool.name}
        start["input"] = {}
        parts: list[Delta] = [({"type": "input_json_delta", "partial_json": one}, 1) for one in tool.arguments]
        # The vendor starts with an empty piece.
        yield start, [({"type": "input_json_delta", "partial_json": ""}, 0), *parts]


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for field in ("text", "thinking", "signature"):
        if field in delta:
            block[field] += delta[field]
    if block["type"] == "server_tool_use":
        block["input"] = orjson.loads(delta["partial_json"])


def _ask(form: MessagesForm) -> Ask:
    choice = form.tool_choice
    chosen = "auto" if choice is None else f"={choice.name}" if choice.name else choice.type
    output = None if form.output_config is None else form.output_config.format
    return Ask(
        prompt_tokens=_count_prompt(form),
        user_text=_user_text(form.messages[-1]),
        functions=tuple(Function(tool.name, tool.input_schema.model_dump()) for tool in form.custom_tools()),
        choice=chosen,
        parallel=choice is None or not choice.disable_parallel_tool_use,
        schema=None if output is None else output.schema_,
        stop=tuple(form.stop_sequences),
        tokens_max=form.max_tokens,
        thinks=form.thinking is not None and form.thinking.type != "disabled",
    )


def _user_text(message: MessageForm) -> str:
    """The text of a user's message; nothing when it brings tool results, which ask for no further tool."""
    if message.role != "user" or any(isinstance(block, ToolResult) for block in message.content):
        return ""
    return " ".join(block.text for block in message.content if isinstance(block, Text))


def _count_prompt(form: CountForm) -> int:
    tokens = sum(content.count_tokens(block.text) for block in form.system)
    tokens += sum(content.count_tokens(content.spaced_json(tool)) for tool in form.tools)
    for message in form.messages:
        tokens += content.MESSAGE_TOKENS
        for block in message.content:
            if isinstance(block, ToolResult):
                tokens += sum(_count_block(part) for part in block.content)
            elif isinstance(block, ToolUse):
                tokens += content.count_tokens(content.spaced_json(block.input))
            else:
                tokens += _count_block(block)
    return tokens


def _count_block(block: Any) -> int:
    """A text by its words, thinking not at all, anything else as an image."""
    if isinstance(block, Text):
        return content.count_tokens(block.text)
    return content.IMAGE_TOKENS if block.type in ("image", "document") else 0
