"""POST /v1/audio/transcriptions and /v1/audio/translations: what the sandbox would say anyway, in every format.

Whisper's usage is its duration, and only in JSON; the others' is in tokens, and whatever the format the record has both.
"""

import math
from collections.abc import Iterator
from typing import Any

import orjson

from tt_sandbox.provider import answers, content
from tt_sandbox.provider.answers import Ask
from tt_sandbox.provider.dialect import Asked, RequestRefused
from tt_sandbox.provider.openai.audio.forms import WHISPER, TranscribeForm, TranslateForm, read_upload
from tt_sandbox.provider.openai.audio.transcripts import Transcript
from tt_sandbox.provider.openai.audio.uploads import seconds_of
from tt_sandbox.provider.openai.events import ERROR_EVENT
from tt_sandbox.provider.records import TokenCounts
from tt_sandbox.provider.streams import Event, Script, play
from tt_sandbox.provider.wire import JSON, Exchange

TOKENS_PER_SECOND = 10
PLAIN = b"text/plain; charset=utf-8"


async def transcribe(exchange: Exchange, asked: Asked) -> None:
    """Answers one transcription. Raises RequestRefused before anything is sent."""
    form = read_upload(asked, TranscribeForm)
    heard = _Heard(asked, form, seconds_of(asked))
    call = exchange.call
    # Whisper ignores the wish for a stream.
    if isinstance(form, TranscribeForm) and form.stream and heard.by_tokens:
        call.id, call.stream = f"tr-sandbox{call.seq:012d}", True
        call.expect(heard.counts)
        await play(exchange, Script((), heard.deltas(), heard.done(), lambda: ERROR_EVENT), asked.switches)
        return
    await _answer_whole(exchange, heard, usage=heard.usage)


async def translate(exchange: Exchange, asked: Asked) -> None:
    """Answers one translation, whose answer has no usage. Raises RequestRefused before anything is sent."""
    form = read_upload(asked, TranslateForm)
    if WHISPER not in form.model:
        raise RequestRefused(f"Model '{form.model}' can't translate. Use 'whisper-1'.", param="model")
    await _answer_whole(exchange, _Heard(asked, form, seconds_of(asked)), usage=None)


async def _answer_whole(exchange: Exchange, heard: "_Heard", usage: dict[str, Any] | None) -> None:
    call = exchange.call
    call.id = f"tr-sandbox{call.seq:012d}"
    call.expect(heard.counts)
    body = heard.body()
    if isinstance(body, str):
        await exchange.answer(200, body.encode(), media_type=PLAIN)
    else:
        if usage is not None and not heard.asked.switches.omit_usage:
            body["usage"] = usage
            call.vendor_usage = orjson.dumps(usage)
        await exchange.answer(200, orjson.dumps(body), media_type=JSON)
    call.delivered()


class _Heard:
    """One answer before its first byte."""

    def __init__(self, asked: Asked, form: TranslateForm, seconds: float) -> None:
        self.asked = asked
        self.by_tokens = WHISPER not in form.model
        self._form = form
        self._said = Transcript(answers.plan(Ask(0, ""), asked.switches).text, seconds)
        # The vendor bills begun seconds.
        self.counts = TokenCounts(seconds=math.ceil(seconds))
        if self.by_tokens:
            switches = asked.switches
            audio = math.ceil(seconds * TOKENS_PER_SECOND)
            if switches.audio_input_tokens is not None:
                audio = switches.audio_input_tokens
            text = content.count_tokens(form.prompt or "")
            if switches.prompt_tokens is not None:
                audio = min(audio, switches.prompt_tokens)
                text = switches.prompt_tokens - audio
            self.counts = self.counts._replace(input=text, audio_input=audio, output=len(self._said.tokens))

    @property
    def usage(self) -> dict[str, Any]:
        """The usage object as the model's family has it."""
        counts = self.counts
        if not self.by_tokens:
            return {"type": "duration", "seconds": counts.seconds}
        prompt = counts.input + counts.audio_input
        return {
            "type": "tokens",
            "input_tokens": prompt,
            "input_token_details": {"text_tokens": counts.input, "audio_tokens": counts.audio_input},
            "output_tokens": counts.output,
            "total_tokens": prompt + counts.output,
        }

    def body(self) -> dict[str, Any] | str:
        """The answer in the format that was asked for, without usage."""
        kind, said, form = self._form.response_format, self._said, self._form
        if kind == "text":
            return said.text + "\n"
        if kind in ("srt", "vtt"):
            return said.subtitles(kind)
        if kind == "verbose_json":
            wanted: list[str] = [*((isinstance(form, TranscribeForm) and form.timestamp_granularities) or ["segment"])]
            task = "transcribe" if isinstance(form, TranscribeForm) else "translate"
            return {"task": task, **said.verbose(wanted)}
        return said.diarized() if kind == "diarized_json" else {"text": said.text}

    def deltas(self) -> Iterator[Event]:
        """One event a token."""
        for token in self._said.tokens:
            yield Event(b'data: {"type":"transcript.text.delta","delta":%b}\n\n' % orjson.dumps(token), 1)

    def done(self) -> Iterator[Event]:
        """The whole text and the usage."""
        usage = None if self.asked.switches.omit_usage else orjson.dumps(self.usage)
        body: dict[str, Any] = {"type": "transcript.text.done", "text": self._said.text}
        if usage is not None:
            body["usage"] = orjson.Fragment(usage)
        yield Event(b"data: %b\n\n" % orjson.dumps(body), 0, usage)
