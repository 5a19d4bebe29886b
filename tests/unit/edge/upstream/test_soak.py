"""A few seconds of many calls, cancellations, closes and slow chunks: nothing is left over."""

import asyncio
import gc
import random
import resource
import weakref

import pytest

from tests.unit.edge.upstream.scripted import Asked, ScriptedServer
from tests.unit.edge.upstream.test_port import provider
from tt_edge.clients.answers import UpstreamFailure, UpstreamRequest
from tt_edge.clients.http1 import HttpConnection
from tt_edge.clients.upstream_http1 import Http1Client

HUNG_S = 20.0  # far above what a busy machine needs for one call
SOAK_S = 4.0
TASKS = 64


def _connections() -> int:
    return sum(isinstance(thing, HttpConnection) for thing in gc.get_objects())


async def _answer(asked: Asked) -> None:
    chance = random.random()
    if chance < 0.1:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            asked.writer.write(b"5\r\nhello\r\n")
            await asyncio.sleep(0.005)
        asked.writer.write(b"0\r\n\r\n")
    elif chance < 0.2:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000))
        await asked.writer.drain()
    elif chance < 0.25:
        asked.writer.close()
    else:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n" + b"hello" * 5)
        if chance < 0.35:
            asked.writer.close()


@pytest.mark.timeout(60)
async def test_after_a_soak_no_connection_timer_or_task_is_left_and_memory_is_flat(server: ScriptedServer) -> None:
    server.script = _answer
    loop = asyncio.get_running_loop()
    client = Http1Client(provider(server, between_bytes_timeout_s=30.0, first_byte_timeout_s=30.0), {})
    counts = {"whole": 0, "failed": 0, "cancelled": 0}

    async def call() -> None:
        patience_s = random.choice([0.001, 0.01, HUNG_S, HUNG_S, HUNG_S])
        try:
            async with asyncio.timeout(patience_s):
                answer = await client.post(UpstreamRequest("/x", b"{}"), "call_1")
                try:
                    body = await answer.read(1_000_000)
                finally:
                    answer.close()
        except UpstreamFailure:
            counts["failed"] += 1
        except TimeoutError:
            assert patience_s < HUNG_S, "a call hung"
            counts["cancelled"] += 1
        else:
            assert body in (b"hello" * 5, bytes(500_000))
            counts["whole"] += 1

    async def worker() -> None:
        while loop.time() < end:
            await call()
            server.asked.clear()

    tasks_before = asyncio.all_tasks()
    gc.collect()  # what earlier tests left in cycles
    connections_before = _connections()
    end = loop.time() + SOAK_S
    working = [asyncio.create_task(worker()) for _ in range(TASKS)]
    await asyncio.sleep(SOAK_S / 2)
    half_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await asyncio.gather(*working)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - half_kib

    assert min(counts.values()) > 10, counts
    pool = client._pool
    assert len(pool._open) == len([one for one in pool._idle if not one.closed]) <= TASKS
    assert not pool._opening and not pool._waiters
    timers = [weakref.ref(one._timer) for one in pool._open if one._timer is not None]
    await client.close()
    await asyncio.sleep(0.1)
    gc.collect()
    assert not pool._open and pool._sweeper is None
    assert _connections() == connections_before
    assert all(timer is None or timer.cancelled() for timer in (left() for left in timers))
    assert asyncio.all_tasks() - tasks_before <= server._tasks and not server.writers
    assert grown_kib < 32 * 1024
