"""Connections are kept, limited, expired and given away only when nothing of the exchange before is left on them."""

import asyncio

import pytest

from tests.unit.edge.upstream.scripted import OK, REQUEST, Asked, ScriptedServer, ask, rest, sends
from tt_common.provider_access import parse_provider_url
from tt_edge.clients import http1_pool
from tt_edge.clients.answers import UpstreamFailure
from tt_edge.clients.http1_pool import HttpPool

SECRET = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"


@pytest.mark.parametrize(
    "leftover",
    [SECRET, SECRET[:1], SECRET[:20], b"garbage"],
    ids=["a whole answer", "one byte", "half a head", "garbage"],
)
@pytest.mark.parametrize("pause_s", [0.0, 0.05], ids=["at once", "while idle"])
async def test_bytes_after_an_answer_never_reach_the_next_call(
    server: ScriptedServer, pool: HttpPool, leftover: bytes, pause_s: float
) -> None:
    server.script = sends(OK, pause_s, leftover) if pause_s else sends(OK + leftover)
    assert await ask(pool) == (200, b"ok")
    await asyncio.sleep(pause_s * 2)
    server.script = sends(OK)
    assert await ask(pool) == (200, b"ok")
    assert [asked.connection for asked in server.asked] == [0, 1]


async def test_a_connection_that_speaks_first_is_not_used(server: ScriptedServer, pool: HttpPool) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SECRET)
        await asyncio.sleep(1)

    server.on_connect = talk
    connection = await pool.take(1)
    await asyncio.sleep(0.05)
    with pytest.raises(UpstreamFailure, match="connect"):
        await connection.ask(REQUEST, 1)


async def test_an_answer_that_was_not_read_to_its_end_frees_nothing(server: ScriptedServer, pool: HttpPool) -> None:
    first = await pool.take(1)
    await first.ask(REQUEST, 1)
    assert await first.next_chunk(1) == b"ok"
    assert await pool.take(1) is not first
    assert await first.next_chunk(1) == b""
    assert await pool.take(1) is first


async def test_an_answer_before_the_request_was_sent_is_given_out_and_the_connection_dropped() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK.replace(b"200 OK", b"413 No"))
        await asyncio.sleep(2)  # and reads no more

    async with ScriptedServer() as server:
        server.on_connect = early
        pool = HttpPool(parse_provider_url(server.url), 4, 30)
        connection = await pool.take(1)
        body = bytes(20 * 1024 * 1024)
        await connection.ask(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body), 1, body)
        assert (connection.status, await rest(connection)) == (413, b"ok")
        assert connection.closed
        pool.close()


async def test_a_body_of_20_mib_arrives_whole(server: ScriptedServer, pool: HttpPool) -> None:
    body = bytes(range(256)) * 80 * 1024
    connection = await pool.take(1)
    await connection.ask(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body), 10, body)
    assert await rest(connection) == b"ok"
    assert server.asked[0].body == body
    assert not connection.closed


async def test_a_kept_connection_that_the_server_closed_is_not_used_again(
    server: ScriptedServer, pool: HttpPool
) -> None:
    server.script = sends(OK, close=True)
    await ask(pool)
    await asyncio.sleep(0.05)
    assert await ask(pool) == (200, b"ok")
    assert not pool._open or all(not connection.closed for connection in pool._open)


async def test_a_kept_connection_closed_under_a_request_is_stale_and_takes_the_older_ones_with_it(
    server: ScriptedServer, pool: HttpPool
) -> None:
    both = [await pool.take(1) for _ in range(2)]
    for connection in both:
        await connection.ask(REQUEST, 1)
    for connection in both:
        await rest(connection)
    server.script = sends(close=True)
    with pytest.raises(UpstreamFailure, match="stale"):
        await ask(pool)
    assert not pool._idle
    server.script = sends(OK)
    assert await ask(pool) == (200, b"ok")
    assert server.asked[-1].connection == 2


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 2"])
async def test_a_first_request_or_a_begun_answer_is_broken_not_stale(
    server: ScriptedServer, pool: HttpPool, answer: bytes
) -> None:
    if answer:
        await ask(pool)
    server.script = sends(answer, close=True)
    with pytest.raises(UpstreamFailure, match="broken"):
        await ask(pool)


async def test_an_idle_connection_is_closed_when_its_time_is_over(server: ScriptedServer) -> None:
    pool = HttpPool(parse_provider_url(server.url), 4, keepalive_s=0.1)
    first, second = await pool.take(1), await pool.take(1)
    await first.ask(REQUEST, 1)
    await rest(first)
    await asyncio.sleep(0.06)
    await second.ask(REQUEST, 1)
    await rest(second)
    await asyncio.sleep(0.07)
    assert first.closed and not second.closed
    await asyncio.sleep(0.1)
    assert second.closed and not pool._open and pool._sweeper is None and len(server.writers) == 0


async def test_at_the_limit_a_call_waits_for_the_connection_that_becomes_free(
    server: ScriptedServer, pool: HttpPool
) -> None:
    server.script = sends(0.02, OK)
    answers = await asyncio.gather(*[ask(pool) for _ in range(40)])
    assert answers == [(200, b"ok")] * 40
    assert server.connections == 4


async def test_at_the_limit_a_call_gets_the_place_of_a_lost_connection(server: ScriptedServer, pool: HttpPool) -> None:
    taken = [await pool.take(1) for _ in range(4)]
    waiting = asyncio.create_task(pool.take(1))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    taken[0].close()
    assert not (await waiting).closed
    assert len(pool._open) == 4


async def test_waiting_at_the_limit_ends_with_the_connect_time_out(server: ScriptedServer, pool: HttpPool) -> None:
    taken = [await pool.take(1) for _ in range(4)]
    with pytest.raises(UpstreamFailure, match="connect: TimeoutError"):
        await pool.take(0.05)
    assert not pool._waiters
    taken[0].close()
    assert await pool.take(1)


async def test_a_cancelled_waiter_passes_its_turn_on(server: ScriptedServer, pool: HttpPool) -> None:
    taken = [await pool.take(1) for _ in range(4)]
    first, second = asyncio.create_task(pool.take(1)), asyncio.create_task(pool.take(1))
    await asyncio.sleep(0.02)
    pool._wake_next()  # what a freed place does
    taken[0].close()
    first.cancel()
    assert await second
    assert first.cancelled()


async def test_many_at_once_never_pass_the_limit(server: ScriptedServer, pool: HttpPool) -> None:
    taking = [asyncio.create_task(pool.take(0.2)) for _ in range(50)]
    done = await asyncio.gather(*taking, return_exceptions=True)
    assert len([one for one in done if not isinstance(one, UpstreamFailure)]) == 4
    assert server.connections == 4


async def test_cancelled_and_failed_connects_give_their_place_back(server: ScriptedServer) -> None:
    pool = HttpPool(parse_provider_url(server.url), 2, 30)
    for ticks in range(12):
        taking = asyncio.create_task(pool.take(1))
        for _ in range(ticks):
            await asyncio.sleep(0)
        taking.cancel()
        done = await asyncio.gather(taking, return_exceptions=True)
        if not isinstance(done[0], BaseException):
            done[0].close()
    await asyncio.sleep(0.05)
    assert not pool._open and not pool._opening and not server.writers


async def test_a_server_that_closes_at_once_leaves_nothing_counted(server: ScriptedServer) -> None:
    async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server.on_connect = slam
    pool = HttpPool(parse_provider_url(server.url), 2, 30)
    for _ in range(20):
        with pytest.raises(UpstreamFailure):
            await ask(pool)
    await asyncio.sleep(0.05)
    assert not pool._open and not pool._opening


async def test_a_port_that_nobody_listens_on_and_a_name_that_is_none_fail_to_connect(server: ScriptedServer) -> None:
    async with ScriptedServer() as gone:
        pass
    for url in (gone.url, "http://no-such-host.invalid/v1", f"http://{'x' * 70}.invalid/v1"):
        pool = HttpPool(parse_provider_url(url), 1, 30)
        for _ in range(2):  # the place is given back
            with pytest.raises(UpstreamFailure, match="connect"):
                await pool.take(5)


async def test_closing_the_pool_drops_idle_ones_lets_exchanges_end_and_refuses_new_ones(
    server: ScriptedServer, pool: HttpPool
) -> None:
    idle, busy = await pool.take(1), await pool.take(1)
    await idle.ask(REQUEST, 1)
    await rest(idle)
    others = [await pool.take(1) for _ in range(3)]
    waiting = asyncio.create_task(pool.take(5))
    server.script = sends(0.05, OK)
    asking = asyncio.create_task(busy.ask(REQUEST, 1))
    await asyncio.sleep(0.01)
    pool.close()
    pool.close()
    with pytest.raises(UpstreamFailure, match="pool is closed"):
        await waiting
    with pytest.raises(UpstreamFailure, match="pool is closed"):
        await pool.take(1)
    await asking
    assert await rest(busy) == b"ok"
    assert busy.closed
    for connection in others:
        connection.close()
    await asyncio.sleep(0.05)
    assert not pool._open and not server.writers


async def test_an_ipv6_literal_is_reached_and_named_in_brackets() -> None:
    async with ScriptedServer(host="::1") as server:
        address = parse_provider_url(server.url)
        pool = HttpPool(address, 1, 30)
        assert await ask(pool) == (200, b"ok")
        assert address.authority == f"[::1]:{server.port}"
        pool.close()


async def test_nothing_of_a_finished_request_stays_for_the_next_turn(server: ScriptedServer, pool: HttpPool) -> None:
    async def numbered(asked: Asked) -> None:
        text = b"%d/%d" % (asked.connection, asked.turn)
        asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))

    server.script = numbered
    assert [await ask(pool) for _ in range(3)] == [(200, b"0/0"), (200, b"0/1"), (200, b"0/2")]


async def test_a_name_that_leads_to_a_link_local_address_is_told_nothing(
    server: ScriptedServer, pool: HttpPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given that the address which the name has now were the cloud's metadata service
    monkeypatch.setattr(http1_pool, "is_link_local", lambda host: host == "127.0.0.1")

    with pytest.raises(UpstreamFailure, match="connect"):
        await ask(pool)

    assert server.asked == []
    monkeypatch.undo()
    assert await ask(pool) == (200, b"ok")
