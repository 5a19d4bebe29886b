"""The port that the edge uses: one answer never touches the connection of another, and a record can't bend a request."""

import asyncio
import ssl

import pytest

from tests.unit.edge.upstream.scripted import OK, Asked, ScriptedServer, sends
from tt_common.contracts.records import ProviderRecord
from tt_common.provider_access import parse_provider_url
from tt_edge.clients.answers import UpstreamFailure, UpstreamRequest
from tt_edge.clients.request_head import clean_headers
from tt_edge.clients.upstream import Upstream
from tt_edge.clients.upstream_aiohttp import AiohttpClient
from tt_edge.clients.upstream_http1 import CompressedAnswer, Http1Client

GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\xcf\x06\x00\x47\xdd\xdc\x79\x02\x00\x00\x00"


def provider(server: ScriptedServer, **terms: object) -> ProviderRecord:
    fields = {"id": "p", "dialect": "openai", "base_url": server.url, "status": "active", "revision": 1}
    timeouts = {"connect_timeout_s": 1.0, "first_byte_timeout_s": 1.0, "between_bytes_timeout_s": 1.0}
    return ProviderRecord(**{**fields, **timeouts, **terms})  # pyright: ignore[reportArgumentType]


async def test_a_request_is_what_the_record_says(server: ScriptedServer) -> None:
    client = Http1Client(provider(server), {"Content-Type": "a", "X-A": "1", "content-type": "b"})
    answer = await client.post(UpstreamRequest("/chat", b"body"), "call_1")
    assert (answer.status, await answer.read(10)) == (200, b"ok")
    head = f"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\ncontent-type: b\r\nX-A: 1\r\n"
    assert server.asked[0].head.decode() == head + "X-Client-Request-Id: call_1\r\nContent-Length: 4\r\n\r\n"
    assert server.asked[0].body == b"body"
    await client.close()


@pytest.mark.parametrize("size", [0, 1, 32 * 1024 - 1, 32 * 1024, 20 * 1024 * 1024])
async def test_bodies_of_every_size_arrive_whole(server: ScriptedServer, size: int) -> None:
    client = Http1Client(provider(server), {})
    body = bytes(range(256)) * (size // 256 + 1)
    answer = await client.post(UpstreamRequest("/x", body[:size]), "call_1")
    assert await answer.read(10) == b"ok"
    assert server.asked[0].body == body[:size]
    await client.close()


@pytest.mark.parametrize("late", ["close", "finish", "next_chunk", "read", "forget"])
async def test_an_answer_read_to_its_end_has_no_hold_on_the_connection_any_more(
    server: ScriptedServer, late: str
) -> None:
    async def slowly(asked: Asked) -> None:
        await sends(OK if asked.turn == 0 else OK[:-2])(asked)
        await asyncio.sleep(0.1)
        await sends(b"" if asked.turn == 0 else b"ok")(asked)

    server.script = slowly
    client = Http1Client(provider(server), {})
    first = await client.post(UpstreamRequest("/x", b""), "call_1")
    assert await first.read(10) == b"ok"
    await asyncio.sleep(0.12)
    second = await client.post(UpstreamRequest("/x", b""), "call_2")  # on the same connection, its body still to come
    if late == "close":
        first.close()
    elif late == "finish":
        await first.finish()
    elif late == "next_chunk":
        assert await first.next_chunk() == b""
    elif late == "read":
        assert await first.read(10) == b""
    del first
    assert await second.read(10) == b"ok"
    assert server.connections == 1
    await client.close()


async def test_an_answer_that_nobody_holds_any_more_gives_its_connection_up(server: ScriptedServer) -> None:
    server.script = sends(OK[:-1], 5.0)
    client = Http1Client(provider(server), {})
    answer = await client.post(UpstreamRequest("/x", b""), "call_1")
    assert len(client._pool._open) == 1
    del answer
    await asyncio.sleep(0.02)
    assert not client._pool._open
    await client.close()


async def test_an_answer_over_the_limit_is_broken_and_its_connection_dropped(server: ScriptedServer) -> None:
    client = Http1Client(provider(server), {})
    answer = await client.post(UpstreamRequest("/x", b""), "call_1")
    with pytest.raises(UpstreamFailure, match="too large"):
        await answer.read(1)
    with pytest.raises(UpstreamFailure):
        await answer.next_chunk()
    await asyncio.sleep(0.02)
    assert not client._pool._open
    await client.close()


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"identity, gzip", b"GZIP"])
async def test_a_compressed_answer_is_said_to_be_one_and_its_connection_dropped(
    server: ScriptedServer, encoding: bytes
) -> None:
    server.script = sends(OK.replace(b"OK\r\n", b"OK\r\nContent-Encoding: " + encoding + b"\r\n"))
    client = Http1Client(provider(server), {})
    with pytest.raises(CompressedAnswer):
        await client.post(UpstreamRequest("/x", b""), "call_1")
    await asyncio.sleep(0.02)
    assert not client._pool._open
    await client.close()


async def test_a_provider_that_compresses_is_fetched_by_aiohttp_from_then_on(server: ScriptedServer) -> None:
    server.script = sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(GZIP) + GZIP)
    upstream = Upstream()
    record = provider(server)
    asking = [upstream.send(record, UpstreamRequest("/x", b""), "call_1") for _ in range(4)]
    failures = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(failure, UpstreamFailure) and failure.kind == "stale" for failure in failures)
    assert len(upstream._retired) == 1
    answer = await upstream.send(record, UpstreamRequest("/x", b""), "call_1")
    assert await answer.read(10) == b"ok"
    await upstream.close()
    await asyncio.sleep(0)
    assert not upstream._retired


@pytest.mark.parametrize(
    "base_url",
    [
        "http://user:secret@host/v1", "http://host@evil/v1", "ftp://host/v1", "http:///v1", "//host/v1", "host/v1", "",
        "http://host:0/v1", "http://host:99999/v1", "http://host:x/v1", "http://ho st/v1", "http://host/v 1",
        "http://host/v1\r\nX: y", "http://host/v1\n", "http://host\r\n/v1", "http://hóst/v1", "http://host/v1?a=b",
        "http://host/v1#f", "http://host\\evil/v1", "http://[::1/v1", "http://[zz]/v1", "http://a,b/v1",
    ],
)  # fmt: skip
async def test_a_base_url_that_is_not_plain_is_refused_by_both_clients_without_showing_it(
    server: ScriptedServer, base_url: str
) -> None:
    for make in (Http1Client, AiohttpClient):
        with pytest.raises(ValueError) as refused:
            make(provider(server, base_url=base_url), {})
        assert "secret" not in str(refused.value)
    upstream = Upstream()
    with pytest.raises(UpstreamFailure, match="connect"):
        await upstream.send(provider(server, base_url=base_url), UpstreamRequest("/x", b""), "call_1")


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://host", ("host", 80, False, "host", "")),
        ("https://host/", ("host", 443, True, "host", "")),
        ("HTTPS://Host:8443/a/v1/", ("host", 8443, True, "Host:8443", "/a/v1")),
        ("http://[2001:db8::1]:81/v1", ("2001:db8::1", 81, False, "[2001:db8::1]:81", "/v1")),
        ("http://[::ffff:127.0.0.1]/v1", ("::ffff:127.0.0.1", 80, False, "[::ffff:127.0.0.1]", "/v1")),
    ],
)
def test_a_plain_base_url_is_taken_apart(base_url: str, expected: tuple[object, ...]) -> None:
    assert parse_provider_url(base_url) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "1\r\nX-B: 2"), ("X-A", "1\n2"), ("X-A", "1\r2"), ("X-A", "1\0"), ("X-A", "1\x7f"), ("X-A", "€"),
        ("X-A\r\nX-B", "1"), ("X A", "1"), ("X-A:", "1"), ("", "1"), ("X-Ä", "1"),
        ("Content-Length", "0"), ("transfer-encoding", "chunked"), ("Connection", "close"), ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
    ],
)  # fmt: skip
def test_a_header_that_could_change_the_request_is_refused_without_its_value(name: str, value: str) -> None:
    with pytest.raises(ValueError) as refused:
        clean_headers({name: value})
    assert repr(value) not in str(refused.value)


async def test_a_request_id_can_not_add_a_header(server: ScriptedServer) -> None:
    client = Http1Client(provider(server), {})
    for request_id in ("a\r\nX: y", "a\nb", "a\0", "ä"):
        with pytest.raises(ValueError):
            await client.post(UpstreamRequest("/x", b""), request_id)
        with pytest.raises(ValueError):
            await client.post(UpstreamRequest("/x", b""), "call_1", request_id)
    assert not client._pool._open


async def test_the_port_works_over_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with ScriptedServer(server_tls) as server:
        client = Http1Client(provider(server), {}, client_tls)
        for body in (b"small", bytes(1024 * 1024)):
            answer = await client.post(UpstreamRequest("/x", body), "call_1")
            assert await answer.read(10) == b"ok"
            assert server.asked[-1].body == body
        assert server.connections == 1
        await client.close()
