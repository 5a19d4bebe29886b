"""RPC over a real NATS: answers, errors as codes, silence as Unavailable."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from tt_common.bus import rpc
from tt_common.bus.connection import connect
from tt_common.bus.rpc import RpcServer, call
from tt_common.errors import DomainError, Unavailable
from tt_sandbox.stack.nats_server import EmbeddedNats

SUBJECT = "echo.rpc.v1.say"


class Say(msgspec.Struct, frozen=True):
    text: str


class Said(msgspec.Struct, frozen=True):
    text: str
    count: int = 1


class NewerSay(msgspec.Struct, frozen=True):
    text: str
    unheard_of: str = "field of a later version"


Handler = Callable[[Say], Awaitable[msgspec.Struct]]
Serve = Callable[[Handler], Awaitable[RpcServer]]


@pytest.fixture
async def serve(nc: Client) -> AsyncIterator[Serve]:
    servers: list[RpcServer] = []

    async def start(handler: Handler) -> RpcServer:
        server = RpcServer(nc, "echo", "1.0.0")
        server.method(SUBJECT, Say, handler)
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


async def echo(request: Say) -> Said:
    return Said(request.text)


async def test_a_request_is_answered(nc: Client, serve: Serve) -> None:
    await serve(echo)
    assert await call(nc, SUBJECT, Say("grüß"), Said, 2) == Said("grüß")


async def test_unknown_fields_are_ignored_both_ways(nc: Client, serve: Serve) -> None:
    # given a server that answers with more than the caller knows
    async def newer(request: Say) -> NewerSay:
        return NewerSay(request.text)

    await serve(newer)

    # then a request with more than the server knows is answered, and the answer is read
    assert await call(nc, SUBJECT, NewerSay("x"), Said, 2) == Said("x")


async def test_a_domain_error_arrives_with_its_code_and_data(nc: Client, serve: Serve) -> None:
    # given
    async def refuse(_: Say) -> Said:
        raise DomainError("billing_shortfall", "not enough", available_nanousd=5, need_nanousd=7)

    await serve(refuse)

    # when
    with pytest.raises(DomainError) as caught:
        await call(nc, SUBJECT, Say("x"), Said, 2)

    # then
    assert (caught.value.code, caught.value.message) == ("billing_shortfall", "not enough")
    assert caught.value.data == {"available_nanousd": 5, "need_nanousd": 7}
    assert not isinstance(caught.value, Unavailable)


async def test_the_other_sides_unavailable_is_unavailable_here(nc: Client, serve: Serve) -> None:
    async def away(_: Say) -> Said:
        raise Unavailable("the ledger can't be written now", retry_after_s=1)

    await serve(away)
    with pytest.raises(Unavailable) as caught:
        await call(nc, SUBJECT, Say("x"), Said, 2)
    assert caught.value.data == {"retry_after_s": 1}


async def test_nobody_there_is_unavailable_at_once(nc: Client) -> None:
    async with asyncio.timeout(1):
        with pytest.raises(Unavailable):
            await call(nc, "nobody.rpc.v1.home", Say("x"), Said, 30)


async def test_a_late_answer_is_unavailable(nc: Client, serve: Serve) -> None:
    async def slow(request: Say) -> Said:
        await asyncio.sleep(0.3)
        return Said(request.text)

    await serve(slow)
    with pytest.raises(Unavailable):
        await call(nc, SUBJECT, Say("x"), Said, 0.05)


async def test_a_closed_connection_is_unavailable(broker_nc: Client) -> None:
    await broker_nc.close()
    with pytest.raises(Unavailable):
        await call(broker_nc, SUBJECT, Say("x"), Said, 1)


async def test_an_unknown_exception_is_internal_without_its_text(nc: Client, serve: Serve) -> None:
    # given a handler that fails with a secret in its text
    async def broken(_: Say) -> Said:
        raise RuntimeError("password=hunter2")

    await serve(broken)

    # when
    answer = await nc.request(SUBJECT, b'{"text":"x"}', timeout=2)

    # then
    assert b"hunter2" not in answer.data
    assert msgspec.json.decode(answer.data)["error"]["code"] == "internal"
    assert not answer.headers or "hunter2" not in str(answer.headers)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"{}", b'{"text":5}', b'{"text":"\xff"}'])
async def test_what_is_no_request_is_named_so(nc: Client, serve: Serve, payload: bytes) -> None:
    await serve(echo)
    answer = await nc.request(SUBJECT, payload, timeout=2)
    assert msgspec.json.decode(answer.data)["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("payload", [b"", b"nonsense", b"{}", b'{"ok":5}', b'{"ok":{"text":5}}'])
async def test_an_unreadable_answer_is_an_internal_error(nc: Client, payload: bytes) -> None:
    # given somebody who answers nonsense
    async def answer(message: object) -> None:
        await message.respond(payload)  # type: ignore[attr-defined]

    await nc.subscribe("nonsense.rpc", cb=answer)

    # then the caller gets a domain error, for it handles nothing else
    with pytest.raises(DomainError) as caught:
        await call(nc, "nonsense.rpc", Say("x"), Said, 2)
    assert caught.value.code == "internal"


async def test_requests_are_served_side_by_side_and_end_before_stop_returns(nc: Client, serve: Serve) -> None:
    # given a handler that waits until two requests are in it
    inside = 0
    both = asyncio.Event()

    async def meet(request: Say) -> Said:
        nonlocal inside
        inside += 1
        if inside == 2:
            both.set()
        await both.wait()
        await asyncio.sleep(0.05)
        return Said(request.text, inside)

    server = await serve(meet)
    calls = [asyncio.create_task(call(nc, SUBJECT, Say(text), Said, 3)) for text in ("a", "b")]
    await both.wait()

    # when
    await server.stop()

    # then both were answered
    assert {said.text for said in await asyncio.gather(*calls)} == {"a", "b"}


async def test_a_server_whose_broker_is_gone_stops_without_an_error_and_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(rpc, "STOP_TIMEOUT_S", 0.2)
    broker = EmbeddedNats(tmp_path)
    broker.start()
    nc = await connect(broker.url, "tests")
    server = RpcServer(nc, "echo", "1.0.0")
    server.method(SUBJECT, Say, echo)
    await server.start()
    broker.stop()

    # when, then
    async with asyncio.timeout(2):
        await server.stop()
        await nc.close()
