"""TLS: the same exchanges, and handshakes that fail do so quickly and leave nothing behind."""

import asyncio
import ssl

import pytest

from tests.unit.edge.upstream.scripted import OK, REQUEST, ScriptedServer, ask, rest, sends
from tt_common.provider_access import parse_provider_url
from tt_edge.clients.answers import UpstreamFailure
from tt_edge.clients.http1_pool import HttpPool


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_exchanges_over_tls_keep_the_connection(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, host: str
) -> None:
    async with ScriptedServer(server_tls, host) as server:
        pool = HttpPool(parse_provider_url(server.url), 2, 30, client_tls)
        assert [await ask(pool) for _ in range(3)] == [(200, b"ok")] * 3
        assert server.connections == 1
        pool.close()
        await asyncio.sleep(0.05)
        assert not pool._open


async def test_a_large_answer_to_a_slow_reader_over_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 32 * 1024
    async with ScriptedServer(server_tls) as server:
        server.script = sends(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)
        pool = HttpPool(parse_provider_url(server.url), 2, 30, client_tls)
        connection = await pool.take(1)
        await connection.ask(REQUEST, 1)
        await asyncio.sleep(0.2)
        assert connection._paused
        assert await rest(connection) == body
        server.script = sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", 5.0)
        connection = await pool.take(1)
        await connection.ask(REQUEST, 1)
        connection.close()  # in the middle
        await asyncio.sleep(0.05)
        assert not pool._open
        pool.close()


async def test_a_body_without_length_and_a_leftover_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with ScriptedServer(server_tls) as server:
        pool = HttpPool(parse_provider_url(server.url), 2, 30, client_tls)
        server.script = sends(OK + OK)
        assert await ask(pool) == (200, b"ok")
        server.script = sends(b"HTTP/1.1 200 OK\r\n\r\nall", close=True)
        assert await ask(pool) == (200, b"all")
        server.script = sends(OK.replace(b"2\r\n", b"3\r\n"), close=True)
        with pytest.raises(UpstreamFailure, match="broken"):
            await ask(pool)
        assert server.connections == 3
        pool.close()


async def test_a_certificate_that_is_not_trusted_or_names_another_host_fails_to_connect(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with ScriptedServer(server_tls) as server:
        server_url = server.url
        for url, tls in ((server_url, None), (server_url.replace("127.0.0.1", "127.0.0.2"), client_tls)):
            pool = HttpPool(parse_provider_url(url), 1, 30, tls)
            for _ in range(2):
                with pytest.raises(UpstreamFailure, match="connect"):
                    await pool.take(2)
            assert not pool._opening and not pool._open


async def test_a_server_that_does_not_speak_tls_fails_to_connect(client_tls: ssl.SSLContext) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await asyncio.sleep(1)

    async with ScriptedServer() as server:
        server.on_connect = plain
        pool = HttpPool(parse_provider_url(server.url.replace("http", "https")), 1, 30, client_tls)
        with pytest.raises(UpstreamFailure, match="connect"):
            await pool.take(2)


async def test_a_handshake_that_hangs_ends_with_the_connect_time_out_or_a_cancellation(
    client_tls: ssl.SSLContext,
) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with ScriptedServer() as server:
        server.on_connect = silent
        pool = HttpPool(parse_provider_url(server.url.replace("http", "https")), 1, 30, client_tls)
        with pytest.raises(UpstreamFailure, match="connect: TimeoutError"):
            await pool.take(0.1)
        taking = asyncio.create_task(pool.take(5))
        await asyncio.sleep(0.05)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        await asyncio.sleep(0.05)
        assert not pool._opening and not pool._open and not server.writers
