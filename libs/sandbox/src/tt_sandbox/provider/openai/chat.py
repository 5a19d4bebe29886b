"""POST /v1/chat/completions: plans an answer, then sends it whole or as events in OpenAI's shape.

Each content event carries exactly one token, so `chunks_sent` of a call's record is what the client was really given.
"""

import base64
import time
from typing import Any

import orjson

from tt_sandbox.provider import answers, content, sounds
from tt_sandbox.provider.answers import Ask, Function
from tt_sandbox.provider.dialect import Asked
from tt_sandbox.provider.openai.chat_events import ChatEvents
from tt_sandbox.provider.openai.chat_forms import (
    AllowedChoice,
    Audio,
    ChatForm,
    FunctionChoice,
    FunctionTool,
    JsonFormat,
    Message,
    SchemaFormat,
    Text,
    User,
)
from tt_sandbox.provider.openai.chat_rules import read_chat
from tt_sandbox.provider.openai.costs import Counted, chat_usage
from tt_sandbox.provider.streams import Script, play
from tt_sandbox.provider.wire import Exchange

FINGERPRINT = "fp_sandbox"
FINISH_REASONS: dict[answers.Finish, str] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "recitation": "content_filter",
    "prompt_blocked": "content_filter",
}
AUDIO_PART_TOKENS = 50
AUDIO_TOKENS_PER_TOKEN = 4
AUDIO_EXPIRES_S = 3600
JSON_OBJECT = {"type": "object", "properties": {"answer": {"const": content.GREETING}}}


async def answer(exchange: Exchange, asked: Asked) -> None:
    """Answers one call. Raises RequestRefused before anything is sent."""
    form = read_chat(asked.body)
    call, switches = exchange.call, asked.switches
    chat = Chat(call.seq, asked, form)
    call.id, call.stream = chat.id, bool(form.stream)
    call.expect(chat.counts)
    if form.stream:
        call.completion_tokens = chat.said.hidden_tokens * chat.n
        events = ChatEvents(chat.head(), chat.choices(), with_usage=chat.with_usage)
        usage = orjson.dumps(chat.usage) if chat.with_usage else None
        await play(exchange, Script(events.opening(), events.content(), events.closing(usage), events.error), switches)
        return
    call.vendor_usage = None if switches.omit_usage else orjson.dumps(chat.usage)
    await exchange.answer(200, orjson.dumps(chat.whole()))
    call.delivered()


class Chat:
    """Everything about an answer before its first byte."""

    __slots__ = ("_asked", "_created", "_form", "counts", "id", "n", "said", "usage", "with_usage")

    def __init__(self, seq: int, asked: Asked, form: ChatForm) -> None:
        switches = asked.switches
        self.id = f"chatcmpl-sandbox{seq:012d}"
        self.n = form.n or 1
        self._asked = asked
        self._form = form
        self._created = int(time.time())
        tokens, audio = _count_prompt(form)
        if switches.audio_input_tokens is not None:
            audio = switches.audio_input_tokens
        self.said = answers.plan(_ask(form, tokens + audio), switches)
        speech = 0
        if "audio" in (form.modalities or ()) and self.said.text:
            speech = switches.audio_output_tokens or AUDIO_TOKENS_PER_TOKEN * len(self.said.text)
        self.counts = Counted(audio, speech, self.n).counts(self.said.counts)
        self.usage = chat_usage(self.counts)
        self.with_usage = bool(form.stream_options and form.stream_options.include_usage) and not switches.omit_usage

    def head(self) -> dict[str, Any]:
        """What all events of the stream share."""
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._asked.model,
            "service_tier": self._asked.switches.service_tier or "default",
            "system_fingerprint": FINGERPRINT,
        }

    def whole(self) -> dict[str, Any]:
        """The answer that a stream of it accumulates to."""
        body: dict[str, Any] = {**self.head(), "object": "chat.completion"}
        body["choices"] = [self._choice(index) for index in range(self.n)]
        return body if self._asked.switches.omit_usage else {**body, "usage": self.usage}

    def choices(self) -> list[dict[str, Any]]:
        """The choices as they are answered whole, with the tokens of their texts in `tokens`."""
        tokens: dict[str, Any] = {"text": self.said.text, "tools": [tool.arguments for tool in self.said.tools]}
        tokens["audio_tokens"] = self.counts.audio_output // self.n
        return [{**self._choice(index), "tokens": tokens} for index in range(self.n)]

    def _choice(self, index: int) -> dict[str, Any]:
        said, text = self.said, "".join(self.said.text)
        refused = said.finish == "refusal"
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": text if refused else None}
        message["annotations"] = _annotations(said.counts.server_tool_calls)
        if self.counts.audio_output:
            sound = base64.b64encode(sounds.pcm(self.counts.audio_output // self.n)).decode()
            expires = self._created + AUDIO_EXPIRES_S
            audio = {"id": f"audio_{self.id[-12:]}{index}", "data": sound, "expires_at": expires, "transcript": text}
            message["audio"] = audio
        elif not refused and (text or not said.tools):
            message["content"] = text
        if said.tools:
            message["tool_calls"] = [
                {
                    "id": f"call_{self.id[-12:]}{index}{number}",
                    "type": "function",
                    "function": {"name": tool.name, "arguments": tool.text},
                }
                for number, tool in enumerate(said.tools)
            ]
        reason = FINISH_REASONS.get(said.finish, "stop")
        # Of a call that the request named the vendor says `stop`.
        if said.tools and isinstance(self._form.tool_choice, FunctionChoice):
            reason = "stop"
        return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}


def _annotations(searches: int) -> list[dict[str, Any]]:
    """What web searches leave in a message; the usage doesn't count them."""
    cited = {"title": "Sandbox", "start_index": 0, "end_index": 0}
    return [
        {"type": "url_citation", "url_citation": {**cited, "url": f"https://example.com/{number}"}}
        for number in range(searches)
    ]


def _ask(form: ChatForm, prompt_tokens: int) -> Ask:
    choice, mode = form.tool_choice, form.tool_choice
    functions = [tool.function for tool in form.tools or () if isinstance(tool, FunctionTool)]
    if isinstance(choice, AllowedChoice):
        mode = choice.allowed_tools.mode
        names = [tool.function.name for tool in choice.allowed_tools.tools]
        functions = [function for function in functions if function.name in names]
    chosen = "none"
    if isinstance(choice, FunctionChoice):
        chosen = f"={choice.function.name}"
    elif mode is None or isinstance(mode, str):
        chosen = {"required": "any"}.get(mode or "auto", mode or "auto")
    return Ask(
        prompt_tokens=prompt_tokens,
        user_text=_user_text(form.messages[-1]),
        functions=tuple(Function(one.name, one.parameters or {"type": "object"}) for one in functions),
        choice=chosen,
        parallel=form.parallel_tool_calls is not False,
        schema=_schema(form),
        stop=(form.stop,) if isinstance(form.stop, str) else tuple(form.stop or ()),
        tokens_max=form.max_tokens if form.max_completion_tokens is None else form.max_completion_tokens,
    )


def _schema(form: ChatForm) -> dict[str, Any] | None:
    wanted = form.response_format
    if isinstance(wanted, SchemaFormat):
        return wanted.json_schema.schema
    return JSON_OBJECT if isinstance(wanted, JsonFormat) else None


def _user_text(message: Message) -> str:
    """The text of a user's message; a tool's result asks for no further tool."""
    if not isinstance(message, User):
        return ""
    if isinstance(message.content, str):
        return message.content
    return " ".join(part.text for part in message.content if isinstance(part, Text))


def _count_prompt(form: ChatForm) -> tuple[int, int]:
    """Tokens of the prompt without audio, and of its audio."""
    tokens = audio = 0
    for message in form.messages:
        tokens += content.MESSAGE_TOKENS
        if isinstance(message.content, str):
            tokens += content.count_tokens(message.content)
            continue
        for part in message.content or ():
            if isinstance(part, Text):
                tokens += content.count_tokens(part.text)
            elif isinstance(part, Audio):
                audio += AUDIO_PART_TOKENS
            else:
                tokens += content.IMAGE_TOKENS
    return tokens, audio
