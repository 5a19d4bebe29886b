"""Only what has the expected shape is an answer; everything else is a failure with a name, and never an empty block."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import CollectorRegistry

from tests.support.chain import Chain
from tests.support.scripted_provider import Script, ScriptedProvider
from tt_deposits.clients import nodes
from tt_deposits.clients.nodes import KEY_HEADER, TronNode
from tt_deposits.domain.base58 import address_bytes
from tt_deposits.settings import NodeSettings
from tt_deposits.usecases.metrics import DepositsMetrics
from tt_deposits.usecases.ports import NodeFailed

KEY = "01234567-secret-key"
BLOCK_ID = "0000000004b34a1c" + "ab" * 24
BODY = {
    "blockID": BLOCK_ID,
    "block_header": {
        "raw_data": {"number": 0x4B34A1C, "parentHash": "00" * 32, "txTrieRoot": "00" * 32, "timestamp": 5}
    },
}
CONTRACT = address_bytes("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t")


@pytest.fixture(scope="module")
def lasting_server() -> Iterator[ScriptedProvider]:
    provider = ScriptedProvider()
    yield provider
    provider.stop()


@pytest.fixture
def server(lasting_server: ScriptedProvider) -> ScriptedProvider:
    lasting_server.requests.clear()
    return lasting_server


@pytest.fixture
async def node(server: ScriptedProvider) -> AsyncIterator[TronNode]:
    settings = NodeSettings(name="n", url=url_of(server), key_env="K")
    made = TronNode(settings, KEY, 5.0, DepositsMetrics(CollectorRegistry()))
    yield made
    await made.close()


def url_of(server: ScriptedProvider) -> str:
    return server.base_url.removesuffix("/v1")


def say(server: ScriptedProvider, answer: object, status: int = 200) -> None:
    server.script = Script(answer if isinstance(answer, bytes) else json.dumps(answer).encode(), status)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"Error": "class java.lang.IllegalAccessException : lack of computing resources"}, "error"),
        (b"this API is closed because this node is a lite fullnode", "lite"),
        (b"<html>502</html>", "unreadable"),
        (b"", "unreadable"),
        (b"\xff\xfe", "unreadable"),
        (b"null", "unreadable"),
        (b"[" * 100_000, "unreadable"),
        ([], "unreadable"),
        ({"blockID": 5, "block_header": BODY["block_header"]}, "unreadable"),
        ({"blockID": BLOCK_ID}, "unreadable"),
        ({**BODY, "blockID": "00" * 32}, "unreadable"),
        ({**BODY, "blockID": "zz" * 32}, "unreadable"),
        ({**BODY, "transactions": [{"txID": "ab"}]}, "unreadable"),
        ({"blockID": BLOCK_ID, "block_header": {"raw_data": {"number": "78", "parentHash": "00"}}}, "unreadable"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_no_block_is_a_failure_with_a_name(
    node: TronNode, server: ScriptedProvider, answer: object, code: str
) -> None:
    say(server, answer)
    with pytest.raises(NodeFailed) as failed:
        await node.newest(solid=True)
    assert failed.value.code == code


@pytest.mark.parametrize(
    "answer",
    [
        {"Error": "busy"},
        b"this API is closed because this node is a lite fullnode",
        [{"id": "ab", "log": "none"}],
        [{"blockNumber": 5}],
        [{"id": "ab", "blockNumber": "5"}],
    ],
    ids=lambda value: str(value)[:40],
)
async def test_infos_that_are_none_are_not_an_empty_list(
    node: TronNode, server: ScriptedProvider, answer: object
) -> None:
    say(server, answer)
    with pytest.raises(NodeFailed):
        await node.infos(5, solid=True)


async def test_an_absent_block_and_infos_not_known_are_told_apart_from_failures(
    node: TronNode, server: ScriptedProvider
) -> None:
    say(server, {})
    assert await node.body(5, solid=True) is None
    assert await node.infos(5, solid=True) == []
    say(server, [])
    assert await node.infos(5, solid=True) == []
    assert node.failures == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"result": {"result": True}, "constant_result": []},
        {"result": {"result": True}, "constant_result": [""]},
        {"result": {"result": True}, "constant_result": ["zz" * 32]},
        {"result": {"code": "CONTRACT_VALIDATE_ERROR", "message": "ab"}, "constant_result": ["00" * 32]},
        {"result": {"result": True}},
        {},
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_balance_that_is_not_told_is_not_zero(node: TronNode, server: ScriptedProvider, answer: object) -> None:
    say(server, answer)
    with pytest.raises(NodeFailed):
        await node.usdt_balance(CONTRACT, bytes(20))


async def test_a_balance_has_every_digit(node: TronNode, chain: Chain, server: ScriptedProvider) -> None:
    say(server, {"result": {"result": True}, "constant_result": ["ff" * 32]})
    assert await node.usdt_balance(CONTRACT, bytes(20)) == 2**256 - 1


async def test_an_answer_beyond_all_measure_is_not_read_to_its_end(
    node: TronNode, server: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "ANSWER_BYTES_MAX", 1000)
    say(server, b"[" + b" " * 2000 + b"]")
    with pytest.raises(NodeFailed) as failed:
        await node.infos(5, solid=True)
    assert failed.value.code == "too_large"


async def test_a_node_that_fails_is_left_alone_longer_each_time_and_asked_again(
    node: TronNode, server: ScriptedProvider
) -> None:
    waits: list[float] = []
    say(server, b"no", 503)
    for _ in range(12):
        node._quiet_until_s = 0.0
        with pytest.raises(NodeFailed) as failed:
            await node.newest(solid=True)
        assert failed.value.code == "status"
        waits.append(node._quiet_until_s - node._failed_s)
    assert 0.125 <= waits[0] <= 0.25 < waits[3] <= 2.0
    assert 15.0 <= waits[-1] <= 30.0
    with pytest.raises(NodeFailed) as failed:
        await node.newest(solid=True)
    assert (failed.value.code, len(server.requests)) == ("waiting", 12)
    node._quiet_until_s = 0.0
    say(server, BODY)
    await node.newest(solid=True)
    assert (node.failures, node.state.error) == (0, "")


async def test_an_answer_to_an_earlier_question_does_not_end_the_wait(node: TronNode, server: ScriptedProvider) -> None:
    say(server, BODY)
    read = node._read

    async def slowly(*words: object) -> bytes:
        answer = await read(*words)  # pyright: ignore[reportArgumentType]
        node._failed("status", "429", 30.0)
        return answer

    node._read = slowly  # pyright: ignore[reportAttributeAccessIssue]
    await node.newest(solid=True)
    assert node.quiet
    assert node.failures == 1


async def test_the_key_goes_to_the_node_and_nowhere_else(
    node: TronNode, server: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for answer, status in ((BODY, 200), (b"no", 403), (b"no", 200)):
        say(server, answer, status)
        node._quiet_until_s = 0.0
        try:
            await node.newest(solid=True)
        except NodeFailed as failed:
            assert KEY not in str(failed) + repr(failed.__cause__) + node.state.error
            assert url_of(server) not in str(failed)
    assert server.requests[0].headers[KEY_HEADER.lower()] == KEY
    ours = [record for record in caplog.records if record.name.startswith("tt_")]
    assert KEY not in caplog.text
    assert not any(url_of(server) in record.getMessage() for record in ours)


async def test_addresses_are_asked_for_in_hex(node: TronNode, server: ScriptedProvider) -> None:
    """With `visible` a log's address is base58, and no USDT would ever be found."""
    say(server, {})
    await node.body(5, solid=True)
    await node.infos(5, solid=False)
    assert [(request.path, json.loads(request.body)) for request in server.requests] == [
        ("/walletsolidity/getblockbynum", {"num": 5, "visible": False}),
        ("/wallet/gettransactioninfobyblocknum", {"num": 5, "visible": False}),
    ]


async def test_a_node_that_is_not_there_or_slow_has_failed(chain: Chain) -> None:
    metrics = DepositsMetrics(CollectorRegistry())
    away = TronNode(NodeSettings(name="n", url="http://127.0.0.1:9"), "", 5.0, metrics)
    slow = TronNode(NodeSettings(name="a", url=chain.node_url("a")), "", 0.1, metrics)
    chain.fault("slow", "a", delay_s=30)
    for node, code in ((away, "unreachable"), (slow, "timeout")):
        with pytest.raises(NodeFailed) as failed:
            await node.newest(solid=True)
        assert failed.value.code == code
        await node.close()


async def test_the_sandbox_chain_is_read_as_it_is(chain: Chain) -> None:
    node = TronNode(NodeSettings(name="a", url=chain.node_url("a")), "", 5.0, DepositsMetrics(CollectorRegistry()))
    head, solid = await asyncio.gather(node.newest(solid=False), node.newest(solid=True))
    assert head.height - solid.height == 18
    body = await node.body(solid.height, solid=True)
    assert body == solid
    assert await node.body(head.height, solid=True) is None
    await node.close()
