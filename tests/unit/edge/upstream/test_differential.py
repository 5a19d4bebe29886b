"""Random answers, whole and damaged, split anywhere: the own client says what aiohttp says, or refuses what aiohttp is lenient with.

aiohttp is the oracle for well-formed answers. For damaged ones the own client may be stricter, never more lenient: what it takes for a
whole answer, aiohttp takes for the same, at the latest without the leftover behind it.
"""

import asyncio
import random
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.edge.upstream.scripted import Asked, ScriptedServer
from tests.unit.edge.upstream.test_port import provider
from tt_edge.clients.answers import UpstreamClient, UpstreamFailure, UpstreamRequest
from tt_edge.clients.upstream_aiohttp import AiohttpClient
from tt_edge.clients.upstream_http1 import Http1Client

PATIENCE_S = 5.0
FAST = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DAMAGE = [b"\r", b"\n", b"\r\n", b" ", b":", b"\0", b";", b"0", b"-", b"chunked", b"Content-Length: 1\r\n", b"\x80"]


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A well-formed answer; without a length it ends when the server closes."""
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 429, 500, 503, 529]))
    body = draw(st.binary(max_size=300))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    version = b"1.0" if framing != "chunked" and draw(st.booleans()) else b"1.1"
    lines = [b"HTTP/%b %d %b" % (version, status, draw(st.sampled_from([b"", b"OK", b"Some Reason"])))]
    token = st.text("abcdefghij-", min_size=1, max_size=12).map(lambda text: b"X-" + text.encode())
    value = st.text("abc /;=\"'09", max_size=20).map(lambda text: text.strip().encode())
    lines += [
        b"%b:%b%b" % (name, b" " * len(name), text)
        for name, text in draw(st.lists(st.tuples(token, value), max_size=4))
    ]
    if draw(st.booleans()):
        lines.append(
            draw(st.sampled_from([b"Connection: close", b"connection: keep-alive", b"Connection: Keep-Alive"]))
        )
    interim = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    if status in (204, 304):
        return interim + b"\r\n".join(lines) + b"\r\n\r\n"
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        cuts = sorted({0, len(body), *draw(st.lists(st.integers(0, len(body)), max_size=4))})
        parts = [body[a:b] for a, b in pairwise(cuts)]
        extension = draw(st.sampled_from([b"", b";a=b", b";a"]))
        trailer = draw(st.sampled_from([b"", b"X-Trailer: 1\r\n"]))
        body = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts) + b"0\r\n%b\r\n" % trailer
    return interim + b"\r\n".join(lines) + b"\r\n\r\n" + body


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    answer = bytearray(draw(answers()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(answer)))
        kind = draw(st.sampled_from(["cut", "insert", "delete", "change", "double"]))
        if kind == "cut":
            del answer[at:]
        elif kind == "insert":
            answer[at:at] = draw(st.sampled_from(DAMAGE))
        elif kind == "delete":
            del answer[at : at + draw(st.integers(1, 4))]
        elif kind == "change" and at < len(answer):
            answer[at] = draw(st.integers(0, 255))
        elif kind == "double":
            answer += answer[:at]
    return bytes(answer)


async def _outcome(client: UpstreamClient) -> tuple[int, bytes] | str:
    """Status and body, or the kind of failure. A hang fails the test."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            answer = await client.post(UpstreamRequest("/x", b"{}"), "call_1")
        except UpstreamFailure as failure:
            return failure.kind
        try:
            return answer.status, await answer.read(100_000)
        except UpstreamFailure as failure:
            return failure.kind
        finally:
            answer.close()


async def _oracle(client: UpstreamClient) -> tuple[int, bytes] | str:
    """The same; aiohttp hangs on some damaged chunks after the connection is closed, which is not ours to fail for."""
    try:
        return await _outcome(client)
    except TimeoutError:
        return "hang"


async def _both(answer: bytes, seed: int) -> tuple[Any, Any]:
    chance = random.Random(seed)
    cuts = sorted({0, len(answer), *(chance.randrange(len(answer) + 1) for _ in range(chance.choice([0, 1, 3, 8])))})

    async def script(asked: Asked) -> None:
        for a, b in pairwise(cuts):
            asked.writer.write(answer[a:b])
            await asyncio.sleep(0.0003)
        asked.writer.close()

    async with ScriptedServer() as server:
        server.script = script
        own, oracle = Http1Client(provider(server), {}), AiohttpClient(provider(server), {})
        try:
            return await _outcome(own), await _oracle(oracle)
        finally:
            await own.close()
            await oracle.close()


@FAST
@given(answer=answers(), seed=st.integers(0, 2**32))
async def test_well_formed_answers_are_read_as_aiohttp_reads_them(answer: bytes, seed: int) -> None:
    own, oracle = await _both(answer, seed)
    assert own == oracle
    assert isinstance(own, tuple)


@FAST
@given(answer=damaged(), seed=st.integers(0, 2**32))
async def test_damaged_answers_are_never_read_as_more_than_aiohttp_reads(answer: bytes, seed: int) -> None:
    own, oracle = await _both(answer, seed)
    if isinstance(own, str):
        assert own == "broken"
    elif own != oracle:
        # What is left over behind a complete answer costs the connection, not the answer; aiohttp may fail both.
        assert oracle in ("broken", "hang")
        assert any([(await _both(answer[:end], seed))[1] == own for end in reversed(range(len(answer)))])


@settings(FAST, max_examples=25)
@given(script=st.lists(st.one_of(answers(), damaged()), min_size=3, max_size=12), seed=st.integers(0, 2**32))
async def test_under_concurrency_and_cancellation_no_byte_reaches_another_call(script: list[bytes], seed: int) -> None:
    """Every answer carries the id of its call, damaged and pipelined answers too; a whole answer with another's id is a leak."""
    chance = random.Random(seed)

    async def answered(asked: Asked) -> None:
        mark = asked.head.split(b"X-Client-Request-Id: ")[1].split(b"\r\n")[0]
        good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(mark), mark)
        bad = chance.random() < 0.3
        whole = good + (good if chance.random() < 0.2 else b"") if not bad else chance.choice(script)
        cut = chance.randrange(len(whole) + 1)
        for part in (whole[:cut], whole[cut:]):
            asked.writer.write(part)
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
        if bad or chance.random() < 0.1:
            asked.writer.close()

    async def call(client: Http1Client, number: int) -> None:
        mark = f"mark{number}"
        patience_s = chance.choice([0.002, 0.01, PATIENCE_S])
        try:
            async with asyncio.timeout(patience_s):
                answer = await client.post(UpstreamRequest("/x", b"{}"), mark)
                try:
                    body = await answer.read(100_000)
                finally:
                    answer.close()
        except UpstreamFailure:
            return
        except TimeoutError:
            assert patience_s < PATIENCE_S, "a call hung"
            return
        assert b"mark" not in body or body == mark.encode()

    async with ScriptedServer() as server:
        server.script = answered
        client = Http1Client(provider(server), {})
        async with asyncio.timeout(PATIENCE_S * 2):
            await asyncio.gather(*[call(client, number) for number in range(60)])
        await client.close()
        await asyncio.sleep(0.01)
        assert not client._pool._open and not client._pool._opening
