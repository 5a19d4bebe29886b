"""A thousand streams at once, an event each 100 ms: how long a client waits between two events at worst, and what a stream costs in memory.

Asked of provider, passthrough and edge in turn, each fresh. The provider's own worst wait and the load generator's own worst delay stand
beside the edge's: where they are as long, the edge was not what was measured.
"""

import asyncio
import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import psutil

from tests.bench.findings import Finding
from tests.bench.load import LAST_CHUNK
from tests.bench.measures import BadAnswer, Bench
from tests.bench.requests import Ask
from tt_sandbox.stack.ports import HOST

STREAMS = 1_000
PACE_MS = 100
RAMP_S = 4.0
# Long enough that all run together for as long as the ramp.
ASK = Ask(stream=True, chunk_delay_ms=PACE_MS, output_tokens=int(2 * RAMP_S * 1000 / PACE_MS))
GIVE_UP_S = 60.0
LOOK_EVERY_S = 0.1
KIB = 1024


@dataclass
class Crowd:
    """What was seen of one target."""

    stall_s: float = 0.0
    memory_kib: float = 0.0
    generator_late_s: float = 0.0
    waits_s: list[float] = field(default_factory=list[float])
    """Each stream's longest."""


class _Stream(asyncio.Protocol):
    """One connection with one stream; remembers the longest time between two arrivals of events."""

    def __init__(self, request: bytes) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answer = bytearray()
        self.longest_s = 0.0
        self._request = request
        self._last_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        if self._last_s:
            self.longest_s = max(self.longest_s, now_s - self._last_s)
        if self._last_s or b"data: " in data:  # from the first event on
            self._last_s = now_s
        self.answer += data
        if data.endswith(LAST_CHUNK):
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def measure_crowd(bench: Bench) -> list[Finding]:
    """Raises BadAnswer. Restarts the edge."""
    await bench.bed.restart_edge()
    seen = {name: await _crowd(bench, name) for name in ("provider", "passthrough", "edge")}
    stalls = {name: f"{crowd.stall_s * 1000:.0f} ms" for name, crowd in seen.items()}
    edge, bare = seen["edge"], seen["passthrough"]
    late = max(crowd.generator_late_s for crowd in seen.values()) * 1000
    together = f"{STREAMS:,} streams, an event each {PACE_MS} ms"
    return [
        Finding(
            "crowd_stall_ms",
            f"{together}: longest wait between two events of any (load generator itself late by {late:.0f} ms at most)",
            stalls["edge"],
            edge.stall_s * 1000,
            "250 ms",
            stalls["passthrough"],
            stalls["provider"],
        ),
        Finding(
            "crowd_memory_kib",
            f"{together}: memory of a stream",
            f"{edge.memory_kib:.0f} KiB",
            edge.memory_kib,
            "50 KiB",
            f"{bare.memory_kib:.0f} KiB",
        ),
    ]


async def _crowd(bench: Bench, name: str) -> Crowd:
    # Every account has its grant, and the process what it needs for any call.
    await bench.run(name, Ask(stream=True), 32, 0.5)
    await bench.bed.quiet()
    process = psutil.Process(bench.bed.pid(name))
    before = process.memory_info().rss
    crowd, peak = Crowd(), before
    loop = asyncio.get_running_loop()
    requests = bench.target(name, ASK).requests
    streams: list[_Stream] = []
    gc.collect()
    gc.disable()
    try:
        starting = asyncio.create_task(_start(requests, bench.bed.ports[name], streams))
        async with asyncio.timeout(GIVE_UP_S):
            while not starting.done() or not all(stream.ended.done() for stream in streams):
                due_s = loop.time() + LOOK_EVERY_S
                await asyncio.sleep(LOOK_EVERY_S)
                crowd.generator_late_s = max(crowd.generator_late_s, loop.time() - due_s)
                peak = max(peak, process.memory_info().rss)
        await starting
    finally:
        gc.enable()
    whole = sum(ASK.is_whole(bytes(stream.answer)) for stream in streams)
    await bench.count(name, ASK, whole)
    if whole < STREAMS:
        bad = next(bytes(stream.answer) for stream in streams if not ASK.is_whole(bytes(stream.answer)))
        raise BadAnswer(f"{name}: {STREAMS - whole} of {STREAMS} streams: {bad[:600]!r}")
    crowd.waits_s = [stream.longest_s for stream in streams]
    crowd.stall_s = max(crowd.waits_s)
    crowd.memory_kib = (peak - before) / KIB / STREAMS
    return crowd


async def _start(requests: Sequence[bytes], port: int, streams: list[_Stream]) -> None:
    """One after the other, evenly over the ramp, so that their events are spread over time."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number in range(STREAMS):
        await asyncio.sleep(max(0.0, began_s + number * RAMP_S / STREAMS - loop.time()))
        stream = _Stream(requests[number % len(requests)])
        streams.append(stream)
        await loop.create_connection(lambda stream=stream: stream, HOST, port)
