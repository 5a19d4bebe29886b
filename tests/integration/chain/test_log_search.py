"""`eth_blockNumber` and `eth_getLogs`: what is found, in which shape, and the documented limits and errors."""

from typing import Any

import pytest

from tests.integration.chain.test_transfers import USDT_HEX, customer, topic
from tests.support.chain import SOLID_LAG, Chain
from tt_sandbox.chain.usdt import TRANSFER_TOPIC

TRANSFER = f"0x{TRANSFER_TOPIC.hex()}"


def search(chain: Chain, first: int, last: int, to: list[str] | None = None, **more: Any) -> list[dict[str, Any]]:
    topics = [TRANSFER, None, None if to is None else [f"0x{topic(address)}" for address in to]]
    asked = {"fromBlock": hex(first), "toBlock": hex(last), "address": f"0x{USDT_HEX[2:]}", "topics": topics}
    return chain.rpc("eth_getLogs", asked | more)["result"]


def test_logs_of_recipients_are_found_with_their_place(chain: Chain) -> None:
    one, other = customer("searched"), customer("not searched")
    chain.send(other, 1)
    chain.send(one, 9, contract="fake")
    sent = chain.send(transfers=[{"to": other, "amount_micro_usdt": 2}, {"to": one, "amount_micro_usdt": 3}])
    chain.solidify()
    block = chain.ask("walletsolidity/getblockbynum", num=sent["block"])

    (log,) = search(chain, sent["block"] - 10, sent["block"] + 10, [one])

    made_ms = block["block_header"]["raw_data"]["timestamp"]
    payer = block["transactions"][2]["raw_data"]["contract"][0]["parameter"]["value"]["owner_address"]
    assert log == {
        "address": f"0x{USDT_HEX[2:]}",
        "blockHash": f"0x{block['blockID']}",
        "blockNumber": hex(sent["block"]),
        "blockTimestamp": hex(made_ms // 1000),
        "data": f"0x{3:064x}",
        "logIndex": "0x3",
        "removed": False,
        "topics": [TRANSFER, f"0x{payer[2:].rjust(64, '0')}", f"0x{topic(one)}"],
        "transactionHash": f"0x{sent['txid']}",
        "transactionIndex": "0x2",
    }


def test_only_solid_blocks_are_searched(chain: Chain) -> None:
    to = customer("soon")
    sent = chain.send(to, 1)
    head = chain.mine(SOLID_LAG)
    assert search(chain, sent["block"], head, [to]) == []
    assert chain.rpc("eth_blockNumber") == {"jsonrpc": "2.0", "id": 1, "result": hex(head - SOLID_LAG)}

    chain.mine()

    assert len(search(chain, sent["block"], head, [to])) == 1


def test_call_that_ran_out_of_time_is_found_though_nothing_moved(chain: Chain) -> None:
    to = customer("late")
    sent = chain.send(to, 1, outcome="OUT_OF_TIME")
    chain.solidify()

    assert [log["transactionHash"] for log in search(chain, sent["block"], sent["block"], [to])] == [
        f"0x{sent['txid']}"
    ]


def test_filled_blocks_are_searched_and_passed_over_when_nobody_in_them_is_asked_for(chain: Chain) -> None:
    to = customer("in the crowd")
    sent = chain.send(to, 1)
    head = chain.mine(3, transactions=40)
    chain.solidify()

    assert len(search(chain, sent["block"], head)) == 3 * 10 + 1
    assert [log["logIndex"] for log in search(chain, sent["block"], head, [to])] == [hex(10)]
    assert search(chain, sent["block"], head, address=None, topics=[None, None, None, "0x" + "0" * 64]) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"fromBlock": "0x1", "toBlock": "0x138a"}, "exceed max block range: 5000"),
        ({"fromBlock": "0x2", "toBlock": "0x1"}, "please verify: fromBlock <= toBlock"),
        ({"fromBlock": "pending", "toBlock": "0x1"}, "TAG pending not supported"),
        ({"fromBlock": "x", "toBlock": "0x1"}, "invalid block number"),
        ({"topics": [None] * 5}, "topics size should be <= 4"),
        ({"topics": [TRANSFER, None, [TRANSFER] * 1001]}, "exceed max topics: 1000"),
        ({"topics": ["0x12"]}, "invalid topic(s): 0x12"),
        ({"address": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"}, "invalid address at index 0: TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
    ],
)  # fmt: skip
def test_limits_and_mistakes(chain: Chain, asked: dict[str, Any], message: str) -> None:
    answer = chain.rpc("eth_getLogs", asked)

    assert (answer["error"]["code"], answer["error"]["message"]) == (-32602, message)


def test_5000_blocks_and_1000_recipients_are_allowed(chain: Chain) -> None:
    head = chain.head
    many = [customer(f"of many {number}") for number in range(1000)]

    assert search(chain, head - 5000, head, many) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", -32700), (b"[]", -32600), (b'{"id": 7, "method": "eth_call"}', -32601), (b'{"method": 1}', -32600)],
)
def test_what_is_no_call_is_an_error_with_status_200(chain: Chain, body: bytes, code: int) -> None:
    answer = chain.http.post("/nodes/a/jsonrpc", content=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (200, code)
