"""POST /v1/chat/completions: plans an answer, then sends it whole or as events in OpenAI's shape.

Each content event carries exactly one token, so `chunks_sent` of a call's record is what the client was really given.
"""

import time
from typing import Any, cast

import orjson

from tt_sandbox.provider import content
from tt_sandbox.provider.dialect import Asked, RequestRefused
from tt_sandbox.provider.records import TokenCounts
from tt_sandbox.provider.switches import Switches
from tt_sandbox.provider.wire import Exchange

CHOICES_MAX = 128
FINGERPRINT = "fp_sandbox"
# Ends that OpenAI calls content_filter; the others it doesn't know, and stops.
FILTERED = ("refusal", "recitation", "prompt_blocked")
DONE = b"data: [DONE]\n\n"


class ChatPlan:
    """Everything about an answer before its first byte."""

    __slots__ = (
        "created",
        "finish",
        "function",
        "id",
        "model",
        "n",
        "prompt_tokens",
        "switches",
        "tokens",
        "with_usage",
    )

    def __init__(self, seq: int, model: str, body: dict[str, Any], switches: Switches) -> None:
        """Raises RequestRefused."""
        messages = _messages(body.get("messages"))
        self.n = body.get("n") or 1
        if not isinstance(self.n, int) or not 1 <= self.n <= CHOICES_MAX:
            raise RequestRefused(f"'n' must be an integer between 1 and {CHOICES_MAX}.")
        self.created = int(time.time())
        self.id = f"chatcmpl-sandbox{seq:012d}"
        self.model = model
        self.switches = switches
        options: dict[str, Any] = body.get("stream_options") or {}
        self.with_usage = bool(options.get("include_usage")) and not switches.omit_usage
        counted = content.count_prompt(messages) if switches.prompt_tokens is None else switches.prompt_tokens
        self.prompt_tokens = counted
        self.function = content.choose_tool(body, messages)
        self.tokens = self._tokens(body)
        self.finish = "stop" if self.function is None else "tool_calls"
        limit = body.get("max_completion_tokens")
        limit = body.get("max_tokens") if limit is None else limit
        if isinstance(limit, int) and len(self.tokens) + switches.reasoning_tokens > limit:
            self.tokens = self.tokens[: max(0, limit - switches.reasoning_tokens)]
            self.finish = "length"
        if switches.finish in FILTERED:
            self.finish, self.function = "content_filter", None
            self.tokens = self._tokens(body) if switches.finish != "prompt_blocked" else ()

    def _tokens(self, body: dict[str, Any]) -> tuple[str, ...]:
        switches = self.switches
        if self.function is not None:
            return tuple(content.split_tokens(content.tool_arguments(self.function)))
        if switches.completion_text is not None:
            return tuple(content.split_tokens(switches.completion_text))
        if switches.output_tokens is not None:
            return content.words(switches.output_tokens)
        structured = content.structured_text(body.get("response_format"))
        return GREETING_TOKENS if structured is None else tuple(content.split_tokens(structured))

    def usage(self, tokens_sent: int) -> dict[str, Any]:
        """The usage object for `tokens_sent` visible tokens over all choices."""
        reasoning = self.switches.reasoning_tokens * self.n
        completion = tokens_sent + reasoning
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": self.switches.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def counts(self) -> TokenCounts:
        """The same in the common classes."""
        cached, reasoning = self.switches.cached_tokens, self.switches.reasoning_tokens * self.n
        output = len(self.tokens) * self.n + reasoning
        return TokenCounts(max(0, self.prompt_tokens - cached), cached, output=output, reasoning=reasoning)

    def tool_call(self, arguments: str, choice: int) -> dict[str, Any]:
        """One tool call with the given arguments."""
        name = (self.function or {}).get("name", "")
        call_id = f"call_{self.id[-12:]}{choice}"
        return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _messages(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in cast("list[Any]", value)):
        raise RequestRefused("'messages' must be a non-empty array of objects.")
    return cast("list[dict[str, Any]]", value)


GREETING_TOKENS = tuple(content.split_tokens(content.GREETING))


async def answer(exchange: Exchange, asked: Asked) -> None:
    """Answers one chat call. Raises RequestRefused before anything is sent."""
    call, body = exchange.call, asked.body
    plan = ChatPlan(call.seq, asked.model, body, asked.switches)
    call.id, call.stream = plan.id, bool(body.get("stream"))
    call.expect(plan.counts())
    if call.stream:
        await answer_stream(exchange, plan)
    else:
        await answer_whole(exchange, plan)


async def answer_whole(exchange: Exchange, plan: ChatPlan) -> None:
    """The non-streaming answer."""
    text = "".join(plan.tokens)
    choices: list[dict[str, Any]] = []
    for index in range(plan.n):
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        if plan.function is not None:
            message["content"] = None
            message["tool_calls"] = [plan.tool_call(text, index)]
        choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": plan.finish})
    sent = len(plan.tokens) * plan.n
    usage = plan.usage(sent)
    body: dict[str, Any] = {
        "id": plan.id,
        "object": "chat.completion",
        "created": plan.created,
        "model": plan.model,
        "choices": choices,
        "usage": usage,
        "service_tier": plan.switches.service_tier or "default",
        "system_fingerprint": FINGERPRINT,
    }
    if plan.switches.omit_usage:
        del body["usage"]
    else:
        exchange.call.vendor_usage = orjson.dumps(usage)
    await exchange.answer(200, orjson.dumps(body))
    exchange.call.completion_tokens = usage["completion_tokens"]


async def answer_stream(exchange: Exchange, plan: ChatPlan) -> None:
    """The streaming answer: role, one event a token, finish, usage if asked for, [DONE]; or it breaks as told."""
    await exchange.open_stream()
    events = _Events(plan)
    for choice in range(plan.n):
        await exchange.write(events.opening(choice))
    if not await _send_tokens(exchange, plan, events):
        return
    if plan.switches.truncate:
        await exchange.close_stream(completed=False)
        return
    for choice in range(plan.n):
        await exchange.write(events.delta(choice, b"{}", plan.finish))
    if plan.with_usage:
        usage = orjson.dumps(plan.usage(len(plan.tokens) * plan.n))
        await exchange.write(events.usage(usage))
        exchange.call.vendor_usage = usage
    await exchange.write(DONE)
    await exchange.close_stream()


async def _send_tokens(exchange: Exchange, plan: ChatPlan, events: "_Events") -> bool:
    """Sends the content. False when a switch ended the stream: the connection then closes without a last chunk."""
    switches, call = plan.switches, exchange.call
    call.completion_tokens = switches.reasoning_tokens * plan.n
    delay_s = switches.chunk_delay_ms / 1000
    for token in plan.tokens:
        encoded = orjson.dumps(token)
        for choice in range(plan.n):
            if call.chunks_sent == switches.error_after_chunks:
                return await _send_error(exchange)
            if call.chunks_sent == switches.die_after_chunks:
                return False
            if delay_s:
                await exchange.wait(delay_s)
            await exchange.write(events.token(choice, encoded))
            call.chunks_sent += 1
            call.completion_tokens += 1
    if call.chunks_sent == switches.error_after_chunks:
        return await _send_error(exchange)
    return call.chunks_sent != switches.die_after_chunks


async def _send_error(exchange: Exchange) -> bool:
    error = {"message": "The server had an error while processing your request.", "type": "server_error"}
    await exchange.write(b"data: " + orjson.dumps({"error": {**error, "param": None, "code": None}}) + b"\n\n")
    await exchange.close_stream(completed=False)
    return False


class _Events:
    """Builds the events of one stream around what is the same in all of them."""

    def __init__(self, plan: ChatPlan) -> None:
        self._plan = plan
        head = {"id": plan.id, "object": "chat.completion.chunk", "created": plan.created, "model": plan.model}
        head |= {"service_tier": plan.switches.service_tier or "default", "system_fingerprint": FINGERPRINT}
        self._head = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['
        # With include_usage every event but the last carries "usage": null.
        self._tail = b',"usage":null}\n\n' if plan.with_usage else b"}\n\n"
        self._before = (
            b'"delta":{"content":'
            if plan.function is None
            else b'"delta":{"tool_calls":[{"index":0,"function":{"arguments":'
        )
        self._after = b"}" if plan.function is None else b"}}]}"

    def opening(self, choice: int) -> bytes:
        delta: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        if self._plan.function is not None:
            delta["content"] = None
            delta["tool_calls"] = [{"index": 0, **self._plan.tool_call("", choice)}]
        return self.delta(choice, orjson.dumps(delta), None)

    def token(self, choice: int, encoded: bytes) -> bytes:
        body = b'{"index":%d,%b%b%b,"logprobs":null,"finish_reason":null}]' % (
            choice,
            self._before,
            encoded,
            self._after,
        )
        return self._head + body + self._tail

    def delta(self, choice: int, delta: bytes, finish: str | None) -> bytes:
        body = b'{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b}]' % (choice, delta, orjson.dumps(finish))
        return self._head + body + self._tail

    def usage(self, usage: bytes) -> bytes:
        return self._head + b'],"usage":' + usage + b"}\n\n"
