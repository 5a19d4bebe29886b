"""POST /v1beta/models/{model}:generateContent, :streamGenerateContent, :countTokens.

A stream is Server-Sent Events with `alt=sse`, else one JSON array written piece by piece. Every piece carries the usage so far;
a function call comes whole, and the finish reason after it, in a piece of its own.
"""

from collections.abc import Iterator
from typing import Any, Literal

import orjson

from tt_sandbox.provider import answers, content
from tt_sandbox.provider.answers import Ask, Function
from tt_sandbox.provider.dialect import Asked
from tt_sandbox.provider.gemini import rules
from tt_sandbox.provider.gemini.forms import Content, GenerateForm, Part, read_count, read_generate
from tt_sandbox.provider.streams import Event, Script, play
from tt_sandbox.provider.wire import EVENT_STREAM, Exchange

FINISH_REASONS: dict[answers.Finish, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "refusal": "SAFETY",
    "recitation": "RECITATION",
    "pause": "STOP",
    "bad_tool_call": "MALFORMED_FUNCTION_CALL",
    "failed": "OTHER",
}
TRAFFIC = {"default": "ON_DEMAND", "priority": "ON_DEMAND_PRIORITY", "flex": "ON_DEMAND_FLEX"}
HARM = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
OVERLOADED = {"code": 503, "message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"}
Modality = Literal["TEXT", "IMAGE", "AUDIO", "VIDEO", "DOCUMENT"]
MODALITIES: dict[str, Modality] = {"image": "IMAGE", "audio": "AUDIO", "video": "VIDEO", "application": "DOCUMENT"}


async def answer_whole(exchange: Exchange, asked: Asked) -> None:
    """generateContent. Raises RequestRefused."""
    reply = _begin(exchange, asked)
    exchange.call.vendor_usage = None if asked.switches.omit_usage else orjson.dumps(reply.usage(None))
    await exchange.answer(200, orjson.dumps(reply.whole()))
    exchange.call.completion_tokens = reply.said.counts.output


async def answer_stream(exchange: Exchange, asked: Asked) -> None:
    """streamGenerateContent. Raises RequestRefused before anything is sent."""
    exchange.call.stream = True
    reply = _begin(exchange, asked)
    exchange.call.completion_tokens = reply.said.hidden_tokens
    sse = asked.query.get("alt") == ["sse"]
    frame = _Frame(sse)
    script = Script(
        opening=(),
        content=reply.content(frame),
        closing=reply.closing(frame),
        error=lambda: frame.end(orjson.dumps({"error": OVERLOADED})),
    )
    await play(exchange, script, asked.switches, EVENT_STREAM if sse else b"application/json; charset=UTF-8")


async def count(exchange: Exchange, asked: Asked) -> None:
    """countTokens, which costs nothing: the record has no usage. Raises RequestRefused."""
    form = read_count(asked.body)
    rules.check(form, asked.model)
    by_modality = _count_prompt(form, asked.switches.prompt_tokens)
    total = {"totalTokens": sum(by_modality.values()), "promptTokensDetails": _details(by_modality)}
    await exchange.answer(200, orjson.dumps(total))


def _begin(exchange: Exchange, asked: Asked) -> "_Reply":
    form = read_generate(asked.body)
    rules.check(form, asked.model)
    reply = _Reply(exchange.call.seq, asked, form)
    exchange.call.id = reply.id
    exchange.call.expect(reply.said.counts)
    return reply


class _Frame:
    """What surrounds the pieces of a stream."""

    def __init__(self, sse: bool) -> None:
        self._sse = sse
        self._first = True

    def piece(self, payload: bytes) -> bytes:
        """The next piece."""
        if self._sse:
            return b"data: %b\r\n\r\n" % payload
        before, self._first = (b"[" if self._first else b",\r\n"), False
        return before + payload

    def end(self, payload: bytes) -> bytes:
        """The last piece."""
        return self.piece(payload) + (b"" if self._sse else b"]")


class _Reply:
    """One answer in Gemini's shape, before it is sent."""

    def __init__(self, seq: int, asked: Asked, form: GenerateForm) -> None:
        self.id = f"sandbox{seq:012d}"
        self._seq = seq
        self._asked = asked
        self._by_modality = _count_prompt(form, asked.switches.prompt_tokens)
        said = answers.plan(_ask(form, sum(self._by_modality.values())), asked.switches)
        # Gemini counts these apart from the prompt, at the same price; it reports no cache writes.
        tools, audio = asked.switches.tool_prompt_tokens, min(self._by_modality["AUDIO"], said.counts.input)
        written = said.counts.cache_write_5m + said.counts.cache_write_1h
        plain = said.counts.input + written + tools - audio
        counts = said.counts._replace(input=plain, audio_input=audio, cache_write_5m=0, cache_write_1h=0)
        self.said = said._replace(counts=counts)

    def whole(self) -> dict[str, Any]:
        """The answer that the pieces of its stream join to."""
        parts = [part for part, _ in self._parts(whole=True)]
        return self._piece(parts, None, ended=True)

    def content(self, frame: _Frame) -> Iterator[Event]:
        """A piece for each token, and for each function call."""
        sent = self.said.hidden_tokens
        for part, tokens in self._parts(whole=False):
            sent += tokens
            piece = self._piece([part], sent, ended=False)
            yield Event(frame.piece(orjson.dumps(piece)), tokens, self._sent_usage(sent))

    def closing(self, frame: _Frame) -> Iterator[Event]:
        """The finish reason, or why there is no answer."""
        tail = [{"text": ""}] if self.said.text or self.said.tools else []
        if self._signed() and not self.said.tools and tail:
            tail[0]["thoughtSignature"] = rules.sign("")
        yield Event(frame.end(orjson.dumps(self._piece(tail, None, ended=True))), 0, self._sent_usage(None))

    def usage(self, sent: int | None) -> dict[str, Any]:
        """usageMetadata after `sent` output tokens; None means all."""
        counts = self.said.counts
        output = counts.output if sent is None else sent
        thoughts = min(counts.reasoning, output)
        prompt = counts.input + counts.cache_read + counts.audio_input - self._asked.switches.tool_prompt_tokens
        found: dict[str, Any] = {
            "promptTokenCount": prompt,
            "totalTokenCount": prompt + output + self._asked.switches.tool_prompt_tokens,
            "promptTokensDetails": _details(self._by_modality),
        }
        if output > thoughts:
            found["candidatesTokenCount"] = output - thoughts
            found["candidatesTokensDetails"] = _details({"TEXT": output - thoughts})
        if thoughts:
            found["thoughtsTokenCount"] = thoughts
        if counts.cache_read:
            found["cachedContentTokenCount"] = counts.cache_read
            found["cacheTokensDetails"] = _details({"TEXT": counts.cache_read})
        if tool_prompt := self._asked.switches.tool_prompt_tokens:
            found["toolUsePromptTokenCount"] = tool_prompt
            found["toolUsePromptTokensDetails"] = _details({"TEXT": tool_prompt})
        if (tier := self._asked.switches.service_tier) is not None:
            found["trafficType"] = TRAFFIC.get(tier, tier)
        return found

    def _sent_usage(self, sent: int | None) -> bytes | None:
        return None if self._asked.switches.omit_usage else orjson.dumps(self.usage(sent))

    def _signed(self) -> bool:
        return bool(self.said.counts.reasoning) or rules.insists(self._asked.model)

    def _parts(self, *, whole: bool) -> Iterator[tuple[dict[str, Any], int]]:
        """The parts with their tokens: texts whole or a token each."""
        for tokens, extra in ((self.said.thinking, {"thought": True}), (self.said.text, {})):
            if not whole:
                yield from (({"text": token, **extra}, 1) for token in tokens)
            elif tokens:
                part = {"text": "".join(tokens), **extra}
                if not extra and self._signed() and not self.said.tools:
                    part["thoughtSignature"] = rules.sign("")
                yield part, len(tokens)
        for number, tool in enumerate(self.said.tools):
            call = {"name": tool.name, "args": orjson.loads(tool.text), "id": f"call{self._seq:08d}{number}"}
            signature = {"thoughtSignature": rules.sign(tool.name)} if self._signed() and not number else {}
            yield {"functionCall": call, **signature}, len(tool.arguments)

    def _piece(self, parts: list[dict[str, Any]], sent: int | None, *, ended: bool) -> dict[str, Any]:
        piece: dict[str, Any] = {}
        if self.said.finish == "prompt_blocked":
            piece["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": [HARM]}
        else:
            piece["candidates"] = [self._candidate(parts, ended)]
        if not self._asked.switches.omit_usage:
            piece["usageMetadata"] = self.usage(sent)
        return {**piece, "modelVersion": self._asked.model, "responseId": self.id}

    def _candidate(self, parts: list[dict[str, Any]], ended: bool) -> dict[str, Any]:
        candidate: dict[str, Any] = {"index": 0}
        if parts:
            candidate["content"] = {"parts": parts, "role": "model"}
        if not ended:
            return candidate
        candidate["finishReason"] = FINISH_REASONS[self.said.finish]
        if self.said.finish == "refusal":
            candidate["safetyRatings"] = [HARM]
        if self.said.finish == "bad_tool_call":
            candidate["finishMessage"] = "Malformed function call: print(default_api.get_weather("
        if searches := self._asked.switches.server_tool_calls:
            candidate["groundingMetadata"] = {"webSearchQueries": [f"sandbox {number}" for number in range(searches)]}
        return candidate


def _details(by_modality: dict[Modality, int]) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": tokens} for name, tokens in by_modality.items() if tokens]


def _ask(form: GenerateForm, prompt_tokens: int) -> Ask:
    config, calling = form.generation_config, form.tool_config.function_calling_config
    functions = [
        Function(one.name, _schema(one.parameters_json_schema, one.parameters))
        for tool in form.tools
        for one in tool.function_declarations
        if not calling.allowed_function_names or one.name in calling.allowed_function_names
    ]
    wants_json = config.response_mime_type == "application/json"
    return Ask(
        prompt_tokens=prompt_tokens,
        user_text=_user_text(form.contents[-1]),
        functions=tuple(functions),
        choice={"ANY": "any", "NONE": "none"}.get(calling.mode, "auto"),
        schema=_schema(config.response_json_schema, config.response_schema) if wants_json else None,
        stop=tuple(config.stop_sequences),
        tokens_max=config.max_output_tokens,
        thinks=config.thinking_config is not None and config.thinking_config.include_thoughts,
    )


def _schema(json_schema: dict[str, Any] | None, schema: Any) -> dict[str, Any]:
    if json_schema is not None:
        return json_schema
    return {"type": "object"} if schema is None else schema.model_dump(by_alias=True, exclude_defaults=True)


def _user_text(turn: Content) -> str:
    """The text of a user's turn; nothing when it brings function responses, which ask for no further call."""
    if turn.role == "model" or any(part.function_response is not None for part in turn.parts):
        return ""
    return " ".join(part.text for part in turn.parts if part.text is not None)


def _count_prompt(form: GenerateForm, wanted: int | None) -> dict[Modality, int]:
    """Prompt tokens by modality; when a switch sets the sum, text takes what the others leave."""
    found: dict[Modality, int] = {"TEXT": 0, "IMAGE": 0, "AUDIO": 0, "VIDEO": 0, "DOCUMENT": 0}
    for turn in [*form.contents, *([form.system_instruction] if form.system_instruction else [])]:
        found["TEXT"] += content.MESSAGE_TOKENS
        for part in turn.parts:
            modality, tokens = _count_part(part)
            found[modality] += tokens
    found["TEXT"] += sum(content.count_tokens(content.spaced_json(tool.model_dump())) for tool in form.tools)
    if wanted is not None:
        found["TEXT"] = max(0, wanted - sum(found.values()) + found["TEXT"])
    return found


def _count_part(part: Part) -> tuple[Modality, int]:
    media = part.inline_data or part.file_data
    if media is not None:
        return MODALITIES.get((media.mime_type or "application/pdf").partition("/")[0], "TEXT"), content.IMAGE_TOKENS
    if part.text is not None:
        return "TEXT", content.count_tokens(part.text)
    called = part.function_call.args if part.function_call else {}
    answered = part.function_response.response if part.function_response else {}
    return "TEXT", content.count_tokens(content.spaced_json(called or answered))
