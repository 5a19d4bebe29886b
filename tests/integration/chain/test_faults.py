"""Every fault of a node: what it does, that only its node has it, and that it ends."""

from typing import Any

import httpx
import pytest

from tests.integration.chain.test_transfers import balance, customer
from tests.support.chain import SOLID_LAG, START_HEIGHT, Chain
from tests.support.waiting import eventually
from tt_sandbox.chain.node import BUSY

HEALTHY = "b"
BLOCK = "walletsolidity/getblockbynum"
INFOS = "walletsolidity/gettransactioninfobyblocknum"


@pytest.fixture
def height(chain: Chain) -> int:
    """A block with three transfers, itself and some after it solid."""
    sent = [chain.send(customer(f"one of three {number}"), number) for number in (1, 2, 3)]
    chain.solidify()
    chain.mine(3)
    return sent[0]["block"]


def number(block: dict[str, Any]) -> int:
    return block["block_header"]["raw_data"]["number"]


def test_block_is_absent(chain: Chain, height: int) -> None:
    chain.fault("absent")

    assert chain.ask(BLOCK, num=height) == {}
    assert chain.ask("wallet/getnowblock") == {}
    assert chain.ask("wallet/gettransactioninfobyid", value=chain.record()[-1]["txid"]) == {}
    assert number(chain.ask(BLOCK, HEALTHY, num=height)) == height


def test_transaction_is_missing_from_the_body(chain: Chain, height: int) -> None:
    whole = chain.ask(BLOCK, HEALTHY, num=height)
    chain.fault("transactions_missing", index=1)

    told = chain.ask(BLOCK, num=height)

    assert told["transactions"] == [whole["transactions"][0], whole["transactions"][2]]
    assert told["blockID"] == whole["blockID"]


def test_parent_is_another(chain: Chain, height: int) -> None:
    chain.fault("parent_wrong", height=height)

    told, before = chain.ask(BLOCK, num=height), chain.ask(BLOCK, num=height - 1)

    parent = told["block_header"]["raw_data"]["parentHash"]
    assert parent != before["blockID"]
    assert (len(parent), parent[:16]) == (64, before["blockID"][:16])
    assert told["blockID"] == chain.ask(BLOCK, HEALTHY, num=height)["blockID"]


def test_infos_are_empty(chain: Chain, height: int) -> None:
    chain.fault("infos_empty")

    assert chain.ask(INFOS, num=height) == []
    assert len(chain.ask(INFOS, HEALTHY, num=height)) == 3


def test_one_info_is_missing(chain: Chain, height: int) -> None:
    whole = chain.ask(INFOS, HEALTHY, num=height)
    chain.fault("infos_missing", count=1)
    chain.fault("infos_missing", node="c", index=0)

    assert chain.ask(INFOS, num=height) == whole[:2]
    assert chain.ask(INFOS, "c", num=height) == whole[1:]
    assert chain.ask(INFOS, num=height) == whole


def test_infos_are_those_of_another_block(chain: Chain, height: int) -> None:
    chain.fault("infos_other_block")
    own = {info["id"] for info in chain.ask(INFOS, HEALTHY, num=height)}

    told = chain.ask(INFOS, num=height)

    assert told
    assert {info["blockNumber"] for info in told} != {height}
    assert own.isdisjoint(info["id"] for info in told)


def test_infos_of_another_block_are_told_of_an_empty_one_too(chain: Chain) -> None:
    chain.fault("infos_other_block")

    (info,) = chain.ask(INFOS, num=START_HEIGHT - 100)

    assert info["blockNumber"] == START_HEIGHT - 101


def test_logs_are_missing_from_infos_and_from_the_search(chain: Chain, height: int) -> None:
    chain.fault("logs_missing")
    search = {"fromBlock": hex(height), "toBlock": hex(height)}

    assert [info.get("log") for info in chain.ask(INFOS, num=height)] == [None] * 3
    assert chain.rpc("eth_getLogs", search)["result"] == []
    assert len(chain.rpc("eth_getLogs", search, node=HEALTHY)["result"]) == 3


def test_error_comes_in_band(chain: Chain) -> None:
    chain.fault("error", count=1)
    chain.fault("error", node="c", message="something else")

    answer = chain.post("wallet/getnowblock")

    assert (answer.status_code, answer.json()) == (200, {"Error": BUSY})
    assert chain.ask("jsonrpc", "c", id=1, method="eth_blockNumber") == {"Error": "something else"}
    assert number(chain.ask("wallet/getnowblock")) == chain.head


def test_lite_node_answers_plain_text(chain: Chain, height: int) -> None:
    chain.fault("lite")

    answer = chain.post(BLOCK, num=height)

    assert (answer.status_code, answer.text) == (
        200,
        "this API is closed because this node is a lite fullnode",
    )


@pytest.mark.parametrize("status", [403, 429, 503])
def test_status(chain: Chain, status: int) -> None:
    chain.fault("status", status=status, retry_after_s=30)

    answer = chain.post("wallet/getnowblock")

    assert (answer.status_code, answer.headers["retry-after"]) == (status, "30")


def test_answer_is_slow(chain: Chain) -> None:
    chain.fault("slow", delay_s=60)

    with pytest.raises(httpx.ReadTimeout):
        chain.http.post("/nodes/a/wallet/getnowblock", timeout=0.3)
    assert chain.post("wallet/getnowblock", HEALTHY).status_code == 200


def test_body_is_cut(chain: Chain) -> None:
    chain.fault("cut", count=1)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        chain.post("wallet/getnowblock")
    assert chain.post("wallet/getnowblock").status_code == 200


def test_answer_is_not_json(chain: Chain) -> None:
    chain.fault("not_json")

    answer = chain.post("wallet/getnowblock")

    assert answer.status_code == 200
    assert answer.text.startswith("<html>")


def test_head_stands_still(chain: Chain) -> None:
    chain.fault("head_stale")
    head = chain.head

    chain.mine(3)

    assert number(chain.ask("wallet/getnowblock")) == head
    assert number(chain.ask("walletsolidity/getnowblock")) == head - SOLID_LAG
    assert chain.ask("wallet/getblockbynum", num=head + 1) == {}
    assert number(chain.ask("wallet/getnowblock", HEALTHY)) == head + 3


def test_head_drops_back(chain: Chain) -> None:
    head = chain.head
    chain.fault("head_back", blocks=7)

    assert number(chain.ask("wallet/getnowblock")) == head - 7
    assert number(chain.ask("walletsolidity/getnowblock")) == head - 7 - SOLID_LAG
    assert chain.rpc("eth_blockNumber")["result"] == hex(head - 7 - SOLID_LAG)
    chain.heal()
    assert number(chain.ask("wallet/getnowblock")) == head


def test_only_the_solid_head_stands_still(chain: Chain) -> None:
    chain.fault("solid_stops")
    head = chain.head

    chain.mine(3)

    assert number(chain.ask("wallet/getnowblock")) == head + 3
    assert number(chain.ask("walletsolidity/getnowblock")) == head - SOLID_LAG


def test_fork_has_other_ids_from_a_solid_height_on_and_is_linked(chain: Chain, height: int) -> None:
    chain.fault("fork", height=height)
    true = [chain.ask(BLOCK, HEALTHY, num=n) for n in (height - 1, height, height + 1)]

    told = [chain.ask(BLOCK, num=n) for n in (height - 1, height, height + 1)]

    assert [ours["blockID"] == theirs["blockID"] for ours, theirs in zip(told, true, strict=True)] == [
        True,
        False,
        False,
    ]
    assert told[1]["block_header"]["raw_data"]["parentHash"] == told[0]["blockID"]
    assert told[2]["block_header"]["raw_data"]["parentHash"] == told[1]["blockID"]
    assert told[1]["transactions"] == true[1]["transactions"]


def test_twin_is_complete_and_lacks_the_transactions(chain: Chain, height: int) -> None:
    chain.fault("twin", height=height)

    told, after = chain.ask(BLOCK, num=height), chain.ask(BLOCK, num=height + 1)

    assert "transactions" not in told
    assert chain.ask(INFOS, num=height) == []
    assert told["blockID"] != chain.ask(BLOCK, HEALTHY, num=height)["blockID"]
    assert after["block_header"]["raw_data"]["parentHash"] == told["blockID"]
    assert chain.rpc("eth_getLogs", {"fromBlock": hex(height), "toBlock": hex(height)})["result"] == []


def test_balance_is_wrong_or_absent(chain: Chain) -> None:
    address = customer("balance")
    chain.send(address, 5)
    chain.solidify()
    chain.fault("balance_wrong", add_micro_usdt=-2)
    chain.fault("balance_absent", node="c")

    assert balance(chain, address) == 3
    assert balance(chain, address, node=HEALTHY) == 5
    assert chain.ask(
        "walletsolidity/triggerconstantcontract",
        "c",
        contract_address="41a614f803b6fd780986a42c78ec9c7f77e6ded13c",
        data=f"70a08231{'0' * 64}",
    ) == {"result": {"result": True}, "constant_result": []}


def test_fault_of_all_nodes_and_of_some_methods(chain: Chain) -> None:
    chain.fault("status", node="*", methods=["getaccount"])

    assert {chain.post("wallet/getaccount", node).status_code for node in "abc"} == {503}
    assert chain.post("wallet/getnowblock").status_code == 200


def test_fault_of_one_block_leaves_the_others_alone(chain: Chain, height: int) -> None:
    chain.fault("absent", height=height)

    assert chain.ask(BLOCK, num=height) == {}
    assert number(chain.ask(BLOCK, num=height - 1)) == height - 1


def test_fault_ends_after_so_many_seconds(chain: Chain) -> None:
    chain.fault("status", seconds=0.2)

    eventually(lambda: chain.post("wallet/getnowblock").status_code == 200, "the fault's end")
    assert chain.http.get("/sandbox/faults").json() == []


def test_faults_are_listed_and_taken_back_by_node_and_kind(chain: Chain) -> None:
    chain.fault("lite", count=2)
    chain.fault("slow")
    chain.fault("lite", node="b")
    chain.post("wallet/getnothing")

    chain.http.delete("/sandbox/faults", params={"node": "a", "kind": "slow"})

    assert chain.http.get("/sandbox/faults").json() == [
        {"node": "a", "kind": "lite", "count": 2, "left": 2},
        {"node": "b", "kind": "lite", "left": None},
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"node": "z", "kind": "lite"},
        {"node": "a", "kind": "fork"},
        {"node": "a", "kind": "gloomy"},
        {"node": "a", "kind": "status", "status": 200},
        {"node": "a", "kind": "lite", "methods": ["getnothing"]},
        {"node": "a", "kind": "lite", "count": 0},
    ],
)
def test_fault_that_makes_no_sense_is_refused(chain: Chain, wrong: dict[str, Any]) -> None:
    assert chain.http.post("/sandbox/faults", json=wrong).status_code == 422
