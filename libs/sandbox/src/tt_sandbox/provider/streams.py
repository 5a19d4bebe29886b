"""Sends a prepared stream, event by event, breaking where the switches say; the record follows what was written.

Invariant: a record's tokens and its vendor usage are those of events that went out. Knows no vendor's shape.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

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
    call = exchange.call
    await exchange.open_stream(media_type)
    delay_s = switches.chunk_delay_ms / 1000
    for event in script.opening:
        await _send(exchange, event)
    for event in script.content:
        if event.is_chunk:
            if call.chunks_sent == switches.error_after_chunks:
                await _fail(exchange, script)
                return
            if call.chunks_sent == switches.die_after_chunks:
                return
            if delay_s:
                await exchange.wait(delay_s)
        await _send(exchange, event)
    if call.chunks_sent == switches.error_after_chunks:
        await _fail(exchange, script)
    elif switches.truncate:
        await exchange.close_stream(completed=False)
    elif call.chunks_sent != switches.die_after_chunks:
        for event in script.closing:
            await _send(exchange, event)
        await exchange.close_stream()


async def _send(exchange: Exchange, event: Event) -> None:
    await exchange.write(event.data)
    call = exchange.call
    if event.is_chunk:
        call.chunks_sent += 1
        call.completion_tokens += event.tokens
    if event.usage is not None:
        call.vendor_usage = event.usage
    call.audio_sent += event.audio_tokens
    call.images_sent += event.images


async def _fail(exchange: Exchange, script: Script) -> None:
    await exchange.write(script.error())
    await exchange.close_stream(completed=False)
