"""POST /v1/audio/speech: a plain tone, piece by piece, as bytes or as events. `wav` and `pcm` are real; the others carry the same samples.

Bytes have no usage; of events the last one has it. Older voices are billed by the character, the others by tokens.
"""

import base64
from collections.abc import Iterator

import orjson

from tt_sandbox.provider import content, sounds
from tt_sandbox.provider.dialect import Asked
from tt_sandbox.provider.openai.audio.forms import OLDER_VOICE, SpeechForm, read_speech
from tt_sandbox.provider.openai.events import ERROR_EVENT
from tt_sandbox.provider.records import TokenCounts
from tt_sandbox.provider.streams import Event, Script, play
from tt_sandbox.provider.wire import EVENT_STREAM, Exchange

AUDIO_TOKENS_PER_TOKEN = 4
MEDIA_TYPES = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/opus",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}


async def speak(exchange: Exchange, asked: Asked) -> None:
    """Answers one call. Raises RequestRefused before anything is sent."""
    form = read_speech(asked)
    call = exchange.call
    speech = _Speech(asked, form)
    call.id, call.stream = f"sp-sandbox{call.seq:012d}", form.stream_format == "sse"
    call.expect(speech.counts)
    if call.stream:
        script = Script((), speech.deltas(), speech.done(), lambda: ERROR_EVENT)
        await play(exchange, script, asked.switches, EVENT_STREAM)
        return
    # Within bytes there is no telling of an error: they just end.
    script = Script(speech.header(), speech.pieces(), (), lambda: b"")
    await play(exchange, script, asked.switches, MEDIA_TYPES[form.response_format])


class _Speech:
    """One answer before its first byte."""

    def __init__(self, asked: Asked, form: SpeechForm) -> None:
        switches = asked.switches
        self._form = form
        self._asked = asked
        words = max(1, content.count_tokens(form.input))
        sound = AUDIO_TOKENS_PER_TOKEN * words
        if switches.audio_output_tokens is not None:
            sound = switches.audio_output_tokens
        # One piece a word, which share the sound evenly.
        self._tokens = [sound // words + (number < sound % words) for number in range(words)]
        self._by_tokens = not form.model.startswith(OLDER_VOICE)
        self.counts = TokenCounts(characters=len(form.input))
        if self._by_tokens:
            prompt = words + content.count_tokens(form.instructions or "")
            if switches.prompt_tokens is not None:
                prompt = switches.prompt_tokens
            self.counts = self.counts._replace(input=prompt, audio_output=sound)

    def header(self) -> Iterator[Event]:
        """What a WAV file starts with."""
        if self._form.response_format == "wav":
            yield Event(sounds.wav_header(sum(len(sounds.pcm(tokens)) for tokens in self._tokens)))

    def pieces(self) -> Iterator[Event]:
        """The sound as bytes."""
        for tokens in self._tokens:
            yield self._event(sounds.pcm(tokens), tokens)

    def deltas(self) -> Iterator[Event]:
        """The sound as events."""
        for tokens in self._tokens:
            audio = base64.b64encode(sounds.pcm(tokens))
            yield self._event(b'data: {"type":"speech.audio.delta","audio":"%b"}\n\n' % audio, tokens)

    def done(self) -> Iterator[Event]:
        """The usage."""
        if self._asked.switches.omit_usage:
            yield Event(b'data: {"type":"speech.audio.done"}\n\n')
            return
        prompt, sound = self.counts.input, self.counts.audio_output
        usage = orjson.dumps({"input_tokens": prompt, "output_tokens": sound, "total_tokens": prompt + sound})
        yield Event(b'data: {"type":"speech.audio.done","usage":%b}\n\n' % usage, 0, usage)

    def _event(self, data: bytes, tokens: int) -> Event:
        return Event(data, is_sound=True, audio_tokens=tokens if self._by_tokens else 0)
