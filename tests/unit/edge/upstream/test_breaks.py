"""Time-outs, cancellations and closing in every state: the caller hears of it at once, and the connection is gone."""

import asyncio
import gc
import weakref

import pytest

from tests.unit.edge.upstream.scripted import OK, REQUEST, ScriptedServer, ask, rest, sends
from tt_edge.clients.answers import UpstreamFailure
from tt_edge.clients.http1 import HttpConnection
from tt_edge.clients.http1_pool import HttpPool

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


async def test_no_head_in_time_is_a_time_out_even_while_bytes_trickle_in(
    server: ScriptedServer, pool: HttpPool
) -> None:
    for pieces in ((), tuple(piece for byte in OK for piece in (bytes([byte]), 0.02))):
        server.script = sends(*pieces, 1.0)
        connection = await pool.take(1)
        began = asyncio.get_running_loop().time()
        with pytest.raises(UpstreamFailure, match="timeout"):
            await connection.ask(REQUEST, 0.15)
        assert 0.1 < asyncio.get_running_loop().time() - began < 0.4
        assert connection.closed


async def test_interim_answers_do_not_extend_the_time_for_the_head(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(*(piece for _ in range(50) for piece in (b"HTTP/1.1 100 Continue\r\n\r\n", 0.02)))
    with pytest.raises(UpstreamFailure, match="timeout"):
        await ask(pool, timeout_s=0.15)


async def test_a_pause_between_bytes_is_a_time_out_counted_from_the_last_byte(
    server: ScriptedServer, pool: HttpPool
) -> None:
    server.script = sends(HEAD, *(piece for _ in range(6) for piece in (0.1, b"x")), 5.0)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 60)
    received = b""
    with pytest.raises(UpstreamFailure, match="timeout"):
        while data := await connection.next_chunk(0.25):
            received += data
    assert received == b"xxxxxx"
    assert connection.closed


async def test_a_shorter_time_out_after_a_longer_one_holds(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(HEAD, 5.0)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 60)
    began = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamFailure, match="timeout"):
        await connection.next_chunk(0.1)
    assert asyncio.get_running_loop().time() - began < 0.3


async def test_a_time_out_in_a_body_without_length_is_no_end(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(b"HTTP/1.1 200 OK\r\n\r\npart", 5.0)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    assert await connection.next_chunk(1) == b"part"
    for _ in range(2):
        with pytest.raises(UpstreamFailure, match="timeout"):
            await connection.next_chunk(0.05)
        await asyncio.sleep(0.02)


async def test_a_reset_in_a_body_without_length_is_no_end(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(b"HTTP/1.1 200 OK\r\n\r\npart", 0.1)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    connection.connection_lost(ConnectionResetError())
    assert await connection.next_chunk(1) == b"part"
    with pytest.raises(UpstreamFailure, match="broken: ConnectionResetError"):
        await connection.next_chunk(1)


async def test_a_time_out_that_falls_due_as_the_bytes_arrive_does_not_drop_them(
    server: ScriptedServer, pool: HttpPool
) -> None:
    server.script = sends(5.0)
    connection = await pool.take(1)
    asking = asyncio.create_task(connection.ask(REQUEST, 1))
    await asyncio.sleep(0.05)
    connection.data_received(OK[:-1])
    connection._deadline = 0.001
    connection._look_at_deadline()  # in the same turn of the loop, before the task runs
    await asking
    connection.data_received(OK[-1:])
    assert await rest(connection) == b"ok"


async def test_a_cancelled_ask_drops_the_connection(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(5.0)
    asking = asyncio.create_task(ask(pool))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.02)
    assert not pool._open


async def test_a_cancelled_read_loses_nothing(server: ScriptedServer, pool: HttpPool) -> None:
    body = bytes(range(200))
    pieces = [piece for byte in body for piece in (bytes([byte]), 0.001)]
    server.script = sends(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", *pieces)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    received = b""
    for patience in range(10_000):
        reading = asyncio.create_task(connection.next_chunk(1))
        await asyncio.sleep(0.0005 * (patience % 4))
        reading.cancel()
        try:
            data = await reading
        except asyncio.CancelledError:
            continue
        received += data
        if not data:
            break
    assert received == body
    server.script = sends(OK)
    assert await ask(pool) == (200, b"ok")
    assert server.connections == 1


@pytest.mark.parametrize("state", ["fresh", "reading", "buffered", "complete", "paused", "failed", "idle", "lost"])
async def test_closing_drops_the_connection_in_every_state_and_never_looks_like_an_end(
    server: ScriptedServer, pool: HttpPool, state: str
) -> None:
    connection = await pool.take(1)
    reading: asyncio.Task[bytes] | None = None
    if state != "fresh":
        script = {
            "complete": sends(OK),
            "idle": sends(OK),
            "paused": sends(HEAD, bytes(900_000), 5.0),
            "failed": sends(OK.replace(b"2\r\n", b"9\r\n"), close=True),
            "reading": sends(HEAD, 5.0),
        }
        server.script = script.get(state, sends(HEAD, b"x", 5.0))
        await connection.ask(REQUEST, 1)
        await asyncio.sleep(0.05)
    if state == "reading":
        reading = asyncio.create_task(connection.next_chunk(5))
        await asyncio.sleep(0.01)
    if state == "paused":
        assert connection._paused
    if state == "idle":
        await rest(connection)
    connection.close()
    if state == "lost":
        await asyncio.sleep(0.02)
        connection.close()
    assert connection.closed
    if reading is not None:
        with pytest.raises(UpstreamFailure, match="broken: closed by us"):
            await reading
    elif state not in ("fresh", "idle"):
        with pytest.raises(UpstreamFailure):
            await connection.next_chunk(1)
    with pytest.raises(UpstreamFailure):
        await connection.ask(REQUEST, 1)
    await asyncio.sleep(0.02)
    assert connection.gone and not pool._open


async def test_bytes_buffered_while_paused_stay_readable_when_the_connection_breaks(
    server: ScriptedServer, pool: HttpPool
) -> None:
    server.script = sends(HEAD, bytes(900_000), 5.0)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    await asyncio.sleep(0.1)
    assert connection._paused
    connection._fail("broken", "as a failed write would")
    assert len(await connection.next_chunk(1)) > 200_000  # and does not resume what is closing
    with pytest.raises(UpstreamFailure, match="broken"):
        await connection.next_chunk(1)


async def test_finishing_takes_a_short_rest_and_keeps_the_connection(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", 0.05, b"cd")
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    await connection.finish(0.5)
    assert await pool.take(1) is connection


@pytest.mark.parametrize("pieces", [(5.0,), tuple(piece for _ in range(400) for piece in (b"x", 0.01))])
async def test_finishing_has_one_time_limit_for_all_of_the_rest(
    server: ScriptedServer, pool: HttpPool, pieces: tuple[bytes | float, ...]
) -> None:
    server.script = sends(HEAD, *pieces)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    async with asyncio.timeout(0.6):
        await connection.finish(0.2)
    assert connection.closed


async def test_a_cancelled_finish_drops_the_connection(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(HEAD, 5.0)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    finishing = asyncio.create_task(connection.finish(5))
    await asyncio.sleep(0.02)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    assert connection.closed


async def test_a_lost_connection_is_freed_at_once_without_the_collector(server: ScriptedServer, pool: HttpPool) -> None:
    gc.collect()
    gc.disable()
    try:
        connection: HttpConnection | None = await pool.take(1)
        assert connection is not None
        await connection.ask(REQUEST, 60)
        await rest(connection)
        left = weakref.ref(connection)
        connection.close()
        connection = None
        await asyncio.sleep(0.05)
        pool._idle.clear()
        assert left() is None
    finally:
        gc.enable()
