"""What nodes say of blocks, in the shapes that real nodes have been recorded with."""

import re
import time
from itertools import pairwise

import pytest

from tests.support.chain import SOLID_LAG, START_HEIGHT, Chain

CUSTOMER = "TUEZSdKsoDHQMeZwihtdoBiN46zxhGWYdH"
HEX_64 = re.compile(r"[0-9a-f]{64}")
HEADER = {"number", "txTrieRoot", "witness_address", "parentHash", "version", "timestamp"}


def test_empty_block_has_a_header_and_no_transactions(chain: Chain) -> None:
    block = chain.ask("wallet/getblockbynum", num=START_HEIGHT - 100)

    assert set(block) == {"blockID", "block_header"}
    assert set(block["block_header"]) == {"raw_data", "witness_signature"}
    assert set(block["block_header"]["raw_data"]) == HEADER
    assert block["block_header"]["raw_data"]["txTrieRoot"] == "0" * 64
    assert re.fullmatch(r"41[0-9a-f]{40}", block["block_header"]["raw_data"]["witness_address"])
    assert re.fullmatch(r"[0-9a-f]{130}", block["block_header"]["witness_signature"])
    assert chain.ask("wallet/gettransactioninfobyblocknum", num=START_HEIGHT - 100) == []


def test_block_with_transactions_is_told_as_by_a_real_node(chain: Chain) -> None:
    sent = chain.send(CUSTOMER, 5)
    chain.mine()

    block = chain.ask("wallet/getblockbynum", num=sent["block"])

    assert HEX_64.fullmatch(block["block_header"]["raw_data"]["txTrieRoot"])
    (transaction,) = block["transactions"]
    assert set(transaction) == {"ret", "signature", "txID", "raw_data", "raw_data_hex"}
    assert transaction["ret"] == [{"contractRet": "SUCCESS"}]
    assert transaction["txID"] == sent["txid"]
    raw = transaction["raw_data"]
    assert set(raw) == {"contract", "ref_block_bytes", "ref_block_hash", "expiration", "fee_limit", "timestamp"}
    (contract,) = raw["contract"]
    assert contract["type"] == "TriggerSmartContract"
    assert contract["parameter"]["type_url"] == "type.googleapis.com/protocol.TriggerSmartContract"
    assert set(contract["parameter"]["value"]) == {"data", "owner_address", "contract_address"}


def test_first_16_digits_of_an_id_are_the_height_and_blocks_are_linked(chain: Chain) -> None:
    chain.send(CUSTOMER, 5)
    head = chain.mine(3)

    told = [chain.ask("wallet/getblockbynum", num=height) for height in range(head - 4, head + 1)]

    assert [int(block["blockID"][:16], 16) for block in told] == list(range(head - 4, head + 1))
    for before, block in pairwise(told):
        assert block["block_header"]["raw_data"]["parentHash"] == before["blockID"]
        assert block["block_header"]["raw_data"]["timestamp"] > before["block_header"]["raw_data"]["timestamp"]


def test_block_that_is_not_there_is_an_empty_object(chain: Chain) -> None:
    head = chain.head

    assert chain.ask("wallet/getblockbynum", num=head + 1) == {}
    assert chain.ask("wallet/gettransactioninfobyblocknum", num=head + 1) == []
    assert chain.ask("wallet/gettransactioninfobyid", value="ab" * 32) == {}


def test_solid_door_tells_only_what_18_later_blocks_confirm(chain: Chain) -> None:
    sent = chain.send(CUSTOMER, 5)
    chain.mine(SOLID_LAG)
    assert chain.ask("wallet/getblockbynum", num=sent["block"])["transactions"]
    assert chain.ask("walletsolidity/getblockbynum", num=sent["block"]) == {}
    assert chain.ask("walletsolidity/gettransactioninfobyblocknum", num=sent["block"]) == []
    assert chain.ask("walletsolidity/gettransactioninfobyid", value=sent["txid"]) == {}

    head = chain.mine()

    solid = chain.ask("walletsolidity/getnowblock")
    assert solid["block_header"]["raw_data"]["number"] == sent["block"] == head - SOLID_LAG
    assert chain.ask("walletsolidity/gettransactioninfobyblocknum", num=sent["block"])[0]["id"] == sent["txid"]
    assert chain.ask("walletsolidity/gettransactioninfobyid", value=sent["txid"])["blockNumber"] == sent["block"]


def test_head_is_of_now(chain: Chain) -> None:
    chain.mine()

    made_ms = chain.ask("wallet/getnowblock")["block_header"]["raw_data"]["timestamp"]

    assert abs(time.time() * 1000 - made_ms) < 20_000


def test_visible_turns_addresses_into_base58_also_in_logs(chain: Chain) -> None:
    sent = chain.send(CUSTOMER, 5)
    chain.solidify()

    block = chain.ask("walletsolidity/getblockbynum", num=sent["block"], visible=True)
    (info,) = chain.ask("walletsolidity/gettransactioninfobyblocknum", num=sent["block"], visible=True)

    value = block["transactions"][0]["raw_data"]["contract"][0]["parameter"]["value"]
    assert value["contract_address"] == "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
    assert block["block_header"]["raw_data"]["witness_address"].startswith("T")
    assert info["log"][0]["address"] == info["contract_address"] == "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"


def test_requests_come_by_get_too(chain: Chain) -> None:
    by_post = chain.ask("wallet/getblockbynum", num=START_HEIGHT)

    by_get = chain.http.get("/nodes/a/wallet/getblockbynum", params={"num": START_HEIGHT}).json()
    visible = chain.http.get("/nodes/a/wallet/getblockbynum", params={"num": START_HEIGHT, "visible": "true"}).json()

    assert by_get == by_post
    assert visible["block_header"]["raw_data"]["witness_address"].startswith("T")


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("wallet/getblockbynum", b"{", "class org.tron.json.JSONException : "),
        ("wallet/getblockbynum", b"[]", "class org.tron.json.JSONException : "),
        ("wallet/getblockbynum", b'{"num": "x"}', "class java.lang.NumberFormatException : "),
        ("wallet/gettransactioninfobyid", b'{"value": "xyz"}', "class org.tron.core.services.http.JsonFormat$ParseException : "),
        ("wallet/getaccount", b'{"address": "41ab"}', "class org.tron.core.services.http.JsonFormat$ParseException : "),
    ],
)  # fmt: skip
def test_errors_come_in_band_with_status_200(chain: Chain, path: str, body: bytes, said: str) -> None:
    answer = chain.http.post(f"/nodes/a/{path}", content=body)

    assert answer.status_code == 200
    assert list(answer.json()) == ["Error"]
    assert answer.json()["Error"].startswith(said)


@pytest.mark.parametrize(
    "path",
    ["nodes/z/wallet/getnowblock", "nodes/a/wallet/getnothing", "nodes/a/walletsolidity/getchainparameters", "nodes/a"],
)
def test_what_no_node_has_is_not_found(chain: Chain, path: str) -> None:
    assert chain.http.post(f"/{path}").status_code == 404


def test_all_nodes_tell_the_same_chain(chain: Chain) -> None:
    sent = chain.send(CUSTOMER, 5)
    chain.mine()

    told = [chain.ask("wallet/getblockbynum", node, num=sent["block"]) for node in ("a", "b", "c")]

    assert told[0] == told[1] == told[2]


def test_filled_blocks_have_real_size_and_complete_infos(chain: Chain) -> None:
    head = chain.mine(2, transactions=400)
    sent = chain.send(CUSTOMER, 5)

    block = chain.ask("wallet/getblockbynum", num=head)
    infos = chain.post("wallet/gettransactioninfobyblocknum", num=head)

    assert 110_000 < len(infos.content) < 150_000
    assert [item["txID"] for item in block["transactions"]] == [info["id"] for info in infos.json()]
    assert len({item["txID"] for item in block["transactions"]}) == 400
    assert {info["blockNumber"] for info in infos.json()} == {head}
    assert sum("log" in info for info in infos.json()) == 100
    one = infos.json()[7]
    assert chain.ask("wallet/gettransactioninfobyid", value=one["id"]) == one
    assert sent["block"] == head + 1
