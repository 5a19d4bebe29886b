"""Answers of every shape that a server may give come through whole, and those that are none are refused."""

import asyncio

import pytest

from tests.unit.edge.upstream.scripted import OK, REQUEST, ScriptedServer, ask, rest, sends
from tt_edge.clients import http1
from tt_edge.clients.answers import UpstreamFailure
from tt_edge.clients.http1_pool import HttpPool

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "close", "expected", "kept"),
    [
        pytest.param(OK, False, (200, b"ok"), True, id="length"),
        pytest.param(CHUNKED + b"2\r\nok\r\n0\r\n\r\n", False, (200, b"ok"), True, id="chunked"),
        pytest.param(CHUNKED + b"2;a=b;c\r\nok\r\n0;d\r\n\r\n", False, (200, b"ok"), True, id="chunk extensions"),
        pytest.param(CHUNKED + b"2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", False, (200, b"ok"), True, id="trailers"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nok", True, (200, b"ok"), False, id="no length: until the server closes"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", False, (204, b""), True, id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False, (304, b""), True, id="304"),
        pytest.param(
            b"HTTP/1.1 429 \r\nContent-Length: 0\r\n\r\n", False, (429, b""), True, id="empty body and reason"
        ),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, False, (200, b"ok"), True, id="100 before"),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\n\r\n" * 3 + OK, False, (200, b"ok"), True, id="103s"
        ),
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), False, (200, b"ok"), False, id="close"),
        pytest.param(OK.replace(b"1.1", b"1.0"), False, (200, b"ok"), False, id="HTTP/1.0"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nok", True, (200, b"ok"), False, id="HTTP/1.0 until close"),
        pytest.param(
            OK.replace(b"1.1 200 OK", b"1.0 200 OK\r\nConnection: keep-alive"),
            False,
            (200, b"ok"),
            True,
            id="HTTP/1.0 kept",
        ),
    ],
)
@pytest.mark.parametrize("in_one", [True, False], ids=["in one", "byte by byte"])
async def test_an_answer_comes_through_and_its_connection_is_kept_only_when_it_may_be(
    server: ScriptedServer,
    pool: HttpPool,
    answer: bytes,
    close: bool,
    expected: tuple[int, bytes],
    kept: bool,
    in_one: bool,
) -> None:
    pieces = [answer] if in_one else [piece for i in range(len(answer)) for piece in (answer[i : i + 1], 0.0)]
    server.script = sends(*pieces, close=close)
    assert await ask(pool) == expected
    assert await ask(pool) == expected
    assert [asked.connection for asked in server.asked] == ([0, 0] if kept else [0, 1])


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="CL and TE"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok", id="TE and CL"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", id="one length twice"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", id="a list of lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", id="a signed length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", id="a negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", id="an overflowing length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", id="a blank before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok", id="obs-fold"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok", id="a folded length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: 1\0\r\nContent-Length: 2\r\n\r\nok", id="NUL in a header"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="gzip, chunked"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\nok", id="chunked, identity"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nok", id="xchunked"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\nok",
            id="two encodings",
        ),
        pytest.param(CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n", id="0x in a chunk size"),
        pytest.param(CHUNKED + b"ffffffffffffffffff\r\nok\r\n0\r\n\r\n", id="an overflowing chunk size"),
        pytest.param(CHUNKED + b"2\r\nok!\r\n0\r\n\r\n", id="a chunk longer than its size"),
        pytest.param(CHUNKED + b"2\nok\n0\n\n", id="bare line feeds"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="101"),
        pytest.param(b"HTTP/1.1 199 X\r\nContent-Length: 2\r\n\r\nno" + OK, id="an interim answer with a body"),
        pytest.param(b"HTTP/1.1 099 X\r\nContent-Length: 2\r\n\r\nno" + OK, id="status 099"),
        pytest.param(b"HTTP/1.1 999 X\r\nContent-Length: 2\r\n\r\nno", id="status 999"),
        pytest.param(b"HTTP/1.1 2000 X\r\nContent-Length: 2\r\n\r\nno", id="status 2000"),
        pytest.param(b"ICY 200 OK\r\n\r\nno", id="another protocol"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", id="TLS where none is spoken"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 100_000 + b"\r\n", id="very many headers"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: 1\r\n" % i for i in range(300)) + b"\r\n", id="too many names"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", id="a huge value"),
        pytest.param(b"HTTP/1.1 200 " + b"y" * 600_000, id="a reason without end"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"y" * 600_000, id="a name without end"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000, id="interim answers without end"),
        pytest.param(CHUNKED + b"2;" + b"e" * 600_000, id="an extension without end"),
        pytest.param(CHUNKED + b"0\r\nX: " + b"t" * 600_000, id="a trailer without end"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: t\r\n" * 100_000, id="trailers without end"),
    ],
)
async def test_an_answer_that_is_ambiguous_or_absurd_is_broken(
    server: ScriptedServer, pool: HttpPool, answer: bytes
) -> None:
    server.script = sends(answer, 1.0)
    with pytest.raises(UpstreamFailure) as failed:
        await ask(pool, timeout_s=1.5)
    assert failed.value.kind == "broken"
    server.script = sends(OK)
    assert await ask(pool) == (200, b"ok")
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [b"HT", OK[:-1], CHUNKED + b"2\r\nok\r\n", CHUNKED + b"2\r\nok\r\n0\r\n", OK.replace(b"2\r\n", b"3\r\n")],
    ids=["status line", "body", "before the last chunk", "before the last line", "short of its length"],
)
async def test_an_answer_that_is_cut_off_is_broken_never_an_end(
    server: ScriptedServer, pool: HttpPool, answer: bytes
) -> None:
    server.script = sends(answer, close=True)
    with pytest.raises(UpstreamFailure, match="broken"):
        await ask(pool)


async def test_what_arrived_before_a_break_is_handed_out_first(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(CHUNKED + b"2\r\nok\r\nzz\r\n")
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    assert await connection.next_chunk(1) == b"ok"
    with pytest.raises(UpstreamFailure, match="broken"):
        await connection.next_chunk(1)


async def test_trailers_do_not_pass_for_headers(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(CHUNKED + b"2\r\nok\r\n0\r\nContent-Type: evil\r\nContent-Encoding: gzip\r\n\r\n")
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    assert await rest(connection) == b"ok"
    assert connection.headers == {b"transfer-encoding": b"chunked"}


async def test_headers_of_an_interim_answer_and_of_the_answer_before_are_forgotten(
    server: ScriptedServer, pool: HttpPool
) -> None:
    server.script = sends(b"HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\n" + OK.replace(b"OK\r\n", b"OK\r\nX-First: 1\r\n"))
    await ask(pool)
    server.script = sends(OK)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    assert connection.headers == {b"content-length": b"2"}
    await rest(connection)
    assert len({asked.connection for asked in server.asked}) == 1


async def test_repeated_headers_are_joined_so_that_none_hides_another(server: ScriptedServer, pool: HttpPool) -> None:
    server.script = sends(OK.replace(b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\ncontent-encoding: identity\r\n"))
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    assert connection.headers[b"content-encoding"] == b"gzip, identity"
    connection.close()


async def test_a_slow_reader_stops_the_server_and_loses_nothing(server: ScriptedServer, pool: HttpPool) -> None:
    body = bytes(range(256)) * 64 * 1024  # 16 MiB, far more than the sockets hold
    server.script = sends(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    connection = await pool.take(1)
    await connection.ask(REQUEST, 1)
    first = await connection.next_chunk(1)
    await asyncio.sleep(0.2)
    assert connection._paused
    assert connection._buffered < http1.BUFFER_BYTES_HIGH * 3
    assert first + await rest(connection) == body
    assert await _ask_again(pool, server) == 0


async def _ask_again(pool: HttpPool, server: ScriptedServer) -> int:
    """The number of the connection that serves the next call."""
    server.script = sends(OK)
    await ask(pool)
    return server.asked[-1].connection
