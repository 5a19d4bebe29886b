"""POST /v1/responses: plans an answer, then sends it whole or as events; what was answered with `store` is kept."""

import time
from typing import Any

import msgspec
import orjson

from tt_sandbox.provider import answers, content
from tt_sandbox.provider.answers import Ask, Function
from tt_sandbox.provider.dialect import Asked
from tt_sandbox.provider.openai.costs import Counted, responses_usage
from tt_sandbox.provider.openai.responses import items
from tt_sandbox.provider.openai.responses.events import ResponseEvents
from tt_sandbox.provider.openai.responses.forms import (
    AllowedTools,
    FunctionCall,
    FunctionCallOutput,
    FunctionChoice,
    FunctionTool,
    InputText,
    JsonFormat,
    Message,
    OutputText,
    ResponsesForm,
    SchemaFormat,
)
from tt_sandbox.provider.openai.responses.rules import read_request
from tt_sandbox.provider.openai.responses.store import Kept, ResponseStore
from tt_sandbox.provider.streams import Script, play
from tt_sandbox.provider.wire import Exchange

INCOMPLETE = {"length": "max_output_tokens", "recitation": "content_filter", "prompt_blocked": "content_filter"}
FAILED = {"code": "server_error", "message": "An error occurred while processing your request."}
NO_IMAGES = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
JSON_OBJECT = {"type": "object", "properties": {"answer": {"const": content.GREETING}}}


class Responses:
    """The endpoint with its store."""

    def __init__(self) -> None:
        self.store = ResponseStore()

    async def answer(self, exchange: Exchange, asked: Asked) -> None:
        """Answers one call. Raises RequestRefused before anything is sent."""
        form, previous = read_request(asked.body, self.store)
        call, switches = exchange.call, asked.switches
        response = _Response(call.seq, asked, form, previous)
        call.id, call.stream = response.id, bool(form.stream)
        call.expect(response.counts)
        usage = None if switches.omit_usage else orjson.dumps(response.usage)
        if form.stream:
            call.completion_tokens = response.hidden_tokens
            events = ResponseEvents(response.started(), lambda: self._kept(response), response.items)
            script = Script(events.opening(), events.content(), events.closing(usage), events.error)
            await play(exchange, script, switches)
            return
        call.vendor_usage = usage
        await exchange.answer(200, orjson.dumps(self._kept(response)))
        call.delivered()

    def _kept(self, response: "_Response") -> dict[str, Any]:
        whole = response.whole()
        if whole["store"]:
            kept = Kept(orjson.dumps(whole), response.context_tokens, response.open_calls)
            self.store.keep(response.id, kept, [item.body["id"] for item in response.items])
        return whole


class _Response:
    """Everything about an answer before its first byte."""

    def __init__(self, seq: int, asked: Asked, form: ResponsesForm, previous: Kept | None) -> None:
        self.id = f"resp_sandbox{seq:012d}"
        self._asked = asked
        self._form = form
        self._created_at = int(time.time())
        before = 0 if previous is None else previous.context_tokens
        said = self._said = answers.plan(_ask(form, before + _count_prompt(form)), asked.switches)
        self.counts = Counted().counts(said.counts)
        self.usage = responses_usage(self.counts)
        reasoning = form.reasoning
        summary = reasoning is not None and (reasoning.summary or reasoning.generate_summary) is not None
        wanted = items.Wanted(summary, "reasoning.encrypted_content" in (form.include or ()))
        self.items = list(items.build(seq, said, wanted))
        self.hidden_tokens = said.counts.reasoning - (len(said.thinking) if summary else 0)
        self.context_tokens: int = self.usage["total_tokens"]
        self.open_calls = frozenset(str(item.body["call_id"]) for item in self.items if "call_id" in item.body)

    def started(self) -> dict[str, Any]:
        """The response before it said anything."""
        form = self._form
        text = form.text
        choice = form.tool_choice
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created_at,
            "status": "in_progress",
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "instructions": form.instructions,
            "max_output_tokens": form.max_output_tokens,
            "max_tool_calls": form.max_tool_calls,
            "metadata": form.metadata or {},
            "model": self._asked.model,
            "output": [],
            "parallel_tool_calls": form.parallel_tool_calls is not False,
            "previous_response_id": form.previous_response_id,
            "prompt_cache_key": form.prompt_cache_key,
            "reasoning": {
                "effort": form.reasoning.effort if form.reasoning else None,
                "summary": form.reasoning.summary if form.reasoning else None,
            },
            "safety_identifier": form.safety_identifier,
            "service_tier": form.service_tier or "auto",
            "store": form.store is not False,
            "temperature": 1.0 if form.temperature is None else form.temperature,
            "text": {
                "format": msgspec.to_builtins(text.format) if text and text.format else {"type": "text"},
                "verbosity": (text and text.verbosity) or "medium",
            },
            "tool_choice": msgspec.to_builtins(choice or "auto"),
            "tools": [{"strict": True, **tool} for tool in self._asked.body.get("tools") or ()],
            "top_logprobs": form.top_logprobs or 0,
            "top_p": 1.0 if form.top_p is None else form.top_p,
            "truncation": form.truncation or "disabled",
            "usage": None,
            "user": form.user,
        }

    def whole(self) -> dict[str, Any]:
        """The response as it ended."""
        finish, switches = self._said.finish, self._asked.switches
        reason = INCOMPLETE.get(finish)
        status = "failed" if finish == "failed" else "incomplete" if reason else "completed"
        searches = self.counts.server_tool_calls
        return {
            **self.started(),
            "status": status,
            "completed_at": self._created_at if status == "completed" else None,
            "error": FAILED if status == "failed" else None,
            "incomplete_details": {"reason": reason} if reason else None,
            "output": [item.body for item in self.items],
            "service_tier": switches.service_tier or "default",
            "usage": None if switches.omit_usage else self.usage,
            **({"tool_usage": {"image_gen": NO_IMAGES, "web_search": {"num_requests": searches}}} if searches else {}),
        }


def _ask(form: ResponsesForm, prompt_tokens: int) -> Ask:
    choice, mode = form.tool_choice, form.tool_choice
    functions = [tool for tool in form.tools or () if isinstance(tool, FunctionTool)]
    if isinstance(choice, AllowedTools):
        mode = choice.mode
        names = [tool.get("name") for tool in choice.tools]
        functions = [function for function in functions if function.name in names]
    chosen = f"={choice.name}" if isinstance(choice, FunctionChoice) else "auto"
    if isinstance(mode, str):
        chosen = {"required": "any"}.get(mode, mode)
    wanted = form.text.format if form.text else None
    schema = JSON_OBJECT if isinstance(wanted, JsonFormat) else None
    return Ask(
        prompt_tokens=prompt_tokens,
        user_text=_user_text(form),
        functions=tuple(Function(one.name, one.parameters or {"type": "object"}) for one in functions),
        choice=chosen,
        parallel=form.parallel_tool_calls is not False,
        schema=wanted.schema if isinstance(wanted, SchemaFormat) else schema,
        tokens_max=form.max_output_tokens,
        thinks=form.reasoning is not None and form.reasoning.effort != "none",
    )


def _user_text(form: ResponsesForm) -> str:
    """The text of the last item if it is a user's message; a function's output asks for no further call."""
    if isinstance(form.input, str):
        return form.input
    last = form.input[-1]
    if not isinstance(last, Message) or last.role != "user":
        return ""
    if isinstance(last.content, str):
        return last.content
    return " ".join(part.text for part in last.content if isinstance(part, InputText))


def _count_prompt(form: ResponsesForm) -> int:
    tokens = content.count_tokens(form.instructions or "")
    if isinstance(form.input, str):
        return tokens + content.MESSAGE_TOKENS + content.count_tokens(form.input)
    for item in form.input:
        tokens += content.MESSAGE_TOKENS
        if isinstance(item, FunctionCall):
            tokens += content.count_tokens(item.arguments)
        parts = item.output if isinstance(item, FunctionCallOutput) else ()
        parts = item.content if isinstance(item, Message) else parts
        if isinstance(parts, str):
            tokens += content.count_tokens(parts)
            continue
        for part in parts:
            text = part.text if isinstance(part, InputText | OutputText) else None
            tokens += content.IMAGE_TOKENS if text is None else content.count_tokens(text)
    return tokens
