"""Sends a prepared stream, event by event, breaking where the switches say; the record follows what was written.

Invariant: a record's tokens and its vendor usage are those of events that went out. Knows no vendor's shape.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tt_sandbox.provider.records import Call
from tt_sandbox.provider.switches import Switches
from tt_sandbox.provider.wire import EVENT_STREAM, Exchange


class Event(NamedTuple):
    """One write. Tokens, sound and images make it a chunk, which faults count; `usage` is the vendor's usage object in it."""

    data: bytes
    tokens: int = 0
    usage: bytes | None = None
    audio_tokens: int = 0
    images: int = 0
    is_sound: bool = False

    @property
    def is_chunk(self) -> bool:
        """Whether it brings a part of what was asked for."""
        return bool(self.tokens or self.audio_tokens or self.images or self.is_sound)


class Script(NamedTuple):
    """A whole stream; `error` makes what comes instead of the rest when it fails."""

    opening: Iterable[Event]
    content: Iterable[Event]
    closing: Iterable[Event]
    error: Callable[[], bytes]


async def play(exchange: Exchange, script: Script, switches: Switches, media_type: bytes = EVENT_STREAM) -> None:
    """Sends the stream. When told to die it returns without an end, and the server drops the connection."""
    call, write = exchange.call, exchange.write
    fails_after, dies_after = switches.error_after_chunks, switches.die_after_chunks
    delay_s = switches.chunk_delay_ms / 1000
    await exchange.open_stream(media_type)
    for event in script.opening:
        await write(event.data)
        _count(call, event)
    for event in script.content:
        # Tokens are asked for first: nearly all events are one token, and benchmarks run through here.
        if event.tokens or event.is_chunk:
            if call.chunks_sent == fails_after:
                await _fail(exchange, script)
                return
            if call.chunks_sent == dies_after:
                return
            if delay_s:
                await exchange.wait(delay_s)
        await write(event.data)
        _count(call, event)
    if call.chunks_sent == fails_after:
        await _fail(exchange, script)
    elif switches.truncate:
        await exchange.close_stream(completed=False)
    elif call.chunks_sent != dies_after:
        for event in script.closing:
            await write(event.data)
            _count(call, event)
        await exchange.close_stream()


def _count(call: Call, event: Event) -> None:
    if event.tokens or event.is_chunk:
        call.chunks_sent += 1
        call.completion_tokens += event.tokens
        call.audio_sent += event.audio_tokens
        call.images_sent += event.images
    if event.usage is not None:
        call.vendor_usage = event.usage


async def _fail(exchange: Exchange, script: Script) -> None:
    await exchange.write(script.error())
    await exchange.close_stream(completed=False)
