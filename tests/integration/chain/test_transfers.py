"""Every kind of transaction that a deposit scanner has to tell apart, as the nodes tell it and as the record keeps it."""

from typing import Any

import pytest

from tests.support.chain import Chain
from tt_sandbox.chain.addresses import made_up, parse, to_base58, to_hex
from tt_sandbox.chain.usdt import TRANSFER_TOPIC, UINT256_MAX, USDT, keccak256, word

USDT_HEX = to_hex(parse(USDT))
NEW_CONTRACT = to_base58(made_up("the contract after"))
RECEIPT = {"energy_fee", "energy_usage_total", "net_usage", "result"}


def customer(name: str) -> str:
    """An address that no other test knows."""
    return to_base58(made_up(name))


def topic(address: str) -> str:
    return word(parse(address)).hex()


def info_of(chain: Chain, sent: dict[str, Any]) -> dict[str, Any]:
    """Its info, solid, and the same by block and by id."""
    chain.solidify()
    infos = chain.ask("walletsolidity/gettransactioninfobyblocknum", num=sent["block"])
    (info,) = [info for info in infos if info["id"] == sent["txid"]]
    assert chain.ask("walletsolidity/gettransactioninfobyid", value=sent["txid"]) == info
    return info


def balance(chain: Chain, address: str, door: str = "walletsolidity", node: str = "a") -> int:
    answer = chain.ask(
        f"{door}/triggerconstantcontract",
        node,
        owner_address=to_hex(parse(address)),
        contract_address=USDT_HEX,
        function_selector="balanceOf(address)",
        parameter=topic(address),
    )
    assert answer["result"] == {"result": True}
    return int(answer["constant_result"][0], 16)


def recorded(chain: Chain, sent: dict[str, Any]) -> dict[str, Any]:
    (entry,) = [entry for entry in chain.record() if entry["txid"] == sent["txid"]]
    return entry


def test_transfer_is_one_log_of_the_usdt_contract(chain: Chain) -> None:
    payer, to = customer("payer"), customer("plain")
    sent = chain.send(to, 1_500_000, sender=payer)

    info = info_of(chain, sent)

    assert set(info) == {
        "id", "fee", "blockNumber", "blockTimeStamp", "contractResult", "contract_address", "receipt", "log"
    }  # fmt: skip
    assert set(info["receipt"]) == RECEIPT
    assert info["receipt"]["result"] == "SUCCESS"
    assert info["contractResult"] == ["0" * 64]
    assert info["contract_address"] == USDT_HEX
    assert info["log"] == [
        {
            "address": USDT_HEX[2:],
            "topics": [TRANSFER_TOPIC.hex(), topic(payer), topic(to)],
            "data": f"{1_500_000:064x}",
        }
    ]
    assert recorded(chain, sent)["movements"] == [{"from": payer, "to": to, "amount_micro_usdt": 1_500_000}]
    assert balance(chain, to) == 1_500_000


@pytest.mark.parametrize("amount", [0, 1, UINT256_MAX])
def test_amounts_from_nothing_to_uint256(chain: Chain, amount: int) -> None:
    to = customer(f"amount {amount}")
    sent = chain.send(to, amount)

    info = info_of(chain, sent)

    assert info["log"][0]["data"] == f"{amount:064x}"
    assert balance(chain, to) == amount
    assert recorded(chain, sent)["movements"][0]["amount_micro_usdt"] == amount


def test_one_transaction_makes_several_transfers(chain: Chain) -> None:
    first, second = customer("first of several"), customer("second of several")
    transfers = [{"to": to, "amount_micro_usdt": n} for n, to in enumerate([first, second, first], 1)]
    sent = chain.send(transfers=transfers)

    info = info_of(chain, sent)

    assert [(log["topics"][2], int(log["data"], 16)) for log in info["log"]] == [
        (topic(first), 1),
        (topic(second), 2),
        (topic(first), 3),
    ]
    assert info["contract_address"] != USDT_HEX
    assert {log["address"] for log in info["log"]} == {USDT_HEX[2:]}
    assert (balance(chain, first), balance(chain, second)) == (4, 2)


def test_fake_token_emits_the_same_log_from_another_contract(chain: Chain) -> None:
    to = customer("deceived")
    sent = chain.send(to, 7, contract="fake")

    info = info_of(chain, sent)

    assert info["log"][0]["topics"][0] == TRANSFER_TOPIC.hex()
    assert info["log"][0]["address"] not in ("", USDT_HEX[2:])
    assert balance(chain, to) == 0
    assert recorded(chain, sent)["movements"] == []


@pytest.mark.parametrize(
    ("outcome", "logs"), [("REVERT", 0), ("OUT_OF_ENERGY", 0), ("OUT_OF_TIME", 1), ("JVM_STACK_OVER_FLOW", 1)]
)
def test_failed_call_moves_nothing_though_some_keep_their_logs(chain: Chain, outcome: str, logs: int) -> None:
    to = customer(outcome)
    sent = chain.send(to, 9, outcome=outcome)

    info = info_of(chain, sent)
    block = chain.ask("walletsolidity/getblockbynum", num=sent["block"])

    assert (info["receipt"]["result"], info["result"]) == (outcome, "FAILED")
    assert bytes.fromhex(info["resMessage"]).decode()
    assert len(info.get("log", [])) == logs
    assert block["transactions"][0]["ret"] == [{"contractRet": outcome}]
    assert balance(chain, to) == 0
    assert recorded(chain, sent)["movements"] == []


def test_plain_trx_has_no_result_and_activates_its_recipient(chain: Chain) -> None:
    to = customer("activated")
    hexadecimal = to_hex(parse(to))
    chain.send(to, 3)
    chain.solidify()
    assert chain.ask("walletsolidity/getaccount", address=hexadecimal) == {}
    sent = chain.send(to, amount_sun=2_000_000)
    chain.mine()
    assert chain.ask("wallet/getaccount", address=hexadecimal)["balance"] == 2_000_000
    assert chain.ask("walletsolidity/getaccount", address=hexadecimal) == {}

    info = info_of(chain, sent)

    assert set(info) == {"id", "fee", "blockNumber", "blockTimeStamp", "contractResult", "receipt"}
    assert set(info["receipt"]) == {"net_fee"}
    block = chain.ask("walletsolidity/getblockbynum", num=sent["block"])
    contract = block["transactions"][0]["raw_data"]["contract"][0]
    assert contract["type"] == "TransferContract"
    assert set(contract["parameter"]["value"]) == {"amount", "owner_address", "to_address"}
    account = chain.ask("walletsolidity/getaccount", address=to, visible=True)
    assert (account["address"], account["balance"]) == (to, 2_000_000)
    assert account["create_time"] == block["block_header"]["raw_data"]["timestamp"]
    assert balance(chain, to) == 3


def test_outgoing_transfer_lowers_the_balance_and_may_not_exceed_it(chain: Chain) -> None:
    address = customer("swept")
    chain.send(address, 100)
    chain.mine()
    sent = chain.send(customer("treasury"), 60, sender=address)
    refused = chain.http.post(
        "/sandbox/transfers", json={"from": address, "to": customer("treasury"), "amount_micro_usdt": 41}
    )

    info = info_of(chain, sent)

    assert info["log"][0]["topics"][1] == topic(address)
    assert balance(chain, address) == 40
    assert refused.status_code == 409


def test_balance_is_of_the_solid_block_or_of_the_head(chain: Chain) -> None:
    to = customer("early")
    chain.send(to, 5)
    assert balance(chain, to, "wallet") == 0
    chain.mine()

    assert (balance(chain, to, "wallet"), balance(chain, to)) == (5, 0)
    chain.solidify()
    assert balance(chain, to) == 5


def test_fee_of_the_contract_is_missing_from_the_log_but_not_from_the_call(chain: Chain) -> None:
    to = customer("charged")
    sent = chain.send(to, 1_000, fee_micro_usdt=10)

    info = info_of(chain, sent)
    block = chain.ask("walletsolidity/getblockbynum", num=sent["block"])

    data = block["transactions"][0]["raw_data"]["contract"][0]["parameter"]["value"]["data"]
    assert int(data[-64:], 16) == 1_000
    assert [int(log["data"], 16) for log in info["log"]] == [990, 10]
    assert balance(chain, to) == 990


@pytest.mark.parametrize(
    ("shape", "topics", "digits"), [("two_topics", 2, 128), ("four_topics", 4, 0), ("short_data", 3, 62), ("long_data", 3, 128)]
)  # fmt: skip
def test_odd_logs(chain: Chain, shape: str, topics: int, digits: int) -> None:
    sent = chain.send(customer("odd"), 5, contract="fake", log_shape=shape)

    (log,) = info_of(chain, sent)["log"]

    assert (len(log["topics"]), len(log.get("data", ""))) == (topics, digits)


@pytest.mark.parametrize(
    ("name", "signature", "with_address"),
    [
        ("AddedBlackList", b"AddedBlackList(address)", True),
        ("RemovedBlackList", b"RemovedBlackList(address)", True),
        ("Pause", b"Pause()", False),
        ("Unpause", b"Unpause()", False),
    ],
)
def test_events_of_the_contracts_owner(chain: Chain, name: str, signature: bytes, with_address: bool) -> None:
    address: dict[str, Any] = {"address": customer("named")} if with_address else {}
    sent = chain.send(event=name, **address)

    (log,) = info_of(chain, sent)["log"]

    topics = [keccak256(signature).hex(), *([topic(customer("named"))] if with_address else [])]
    assert log == {"address": USDT_HEX[2:], "topics": topics}


def test_deprecation_names_the_new_contract_in_its_data(chain: Chain) -> None:
    sent = chain.send(event="Deprecate", address=NEW_CONTRACT)

    (log,) = info_of(chain, sent)["log"]

    assert log["topics"] == [keccak256(b"Deprecate(address)").hex()]
    assert log["data"] == topic(NEW_CONTRACT)


def test_destroyed_funds_are_gone_without_a_transfer(chain: Chain) -> None:
    address = customer("blacklisted")
    chain.send(address, 77)
    chain.mine()
    sent = chain.send(event="DestroyedBlackFunds", address=address)

    (log,) = info_of(chain, sent)["log"]

    assert log["topics"] == [keccak256(b"DestroyedBlackFunds(address,uint256)").hex(), topic(address)]
    assert int(log["data"], 16) == 77
    assert balance(chain, address) == 0


@pytest.mark.parametrize(
    "script",
    [
        {},
        {"to": customer("x")},
        {"amount_micro_usdt": 1},
        {"to": customer("x"), "amount_micro_usdt": 1, "amount_sun": 1},
        {"to": customer("x"), "amount_micro_usdt": -1},
        {"to": customer("x"), "amount_micro_usdt": UINT256_MAX + 1},
        {"to": customer("x")[:-1] + "1", "amount_micro_usdt": 1},
        {"to": customer("x"), "amount_micro_usdt": 1, "fee_micro_usdt": 2},
        {"to": customer("x"), "amount_sun": 1, "outcome": "REVERT"},
        {"event": "AddedBlackList"},
        {"event": "Pause", "address": customer("x")},
        {"event": "Pause", "to": customer("x")},
        {"to": customer("x"), "transfers": [{"to": customer("x"), "amount_micro_usdt": 1}]},
        {"to": customer("x"), "amount_micro_usdt": 1, "colour": "red"},
    ],
)
def test_script_that_makes_no_sense_is_refused_and_leaves_nothing(chain: Chain, script: dict[str, Any]) -> None:
    before = len(chain.record())

    assert chain.http.post("/sandbox/transfers", json=script).status_code == 422

    assert len(chain.record()) == before


def test_contract_that_is_not_there_and_function_that_usdt_lacks(chain: Chain) -> None:
    call = {"owner_address": USDT_HEX, "function_selector": "balanceOf(address)", "parameter": "0" * 64}
    absent = chain.ask("walletsolidity/triggerconstantcontract", contract_address=to_hex(parse(NEW_CONTRACT)), **call)
    lacking = chain.ask(
        "walletsolidity/triggerconstantcontract",
        contract_address=USDT_HEX,
        **call | {"function_selector": "nothing()", "parameter": ""},
    )

    assert absent["result"]["code"] == "CONTRACT_VALIDATE_ERROR"
    assert bytes.fromhex(absent["result"]["message"]) == b"Smart contract is not exist."
    assert lacking["transaction"]["ret"] == [{"ret": "FAILED"}]


def test_price_of_energy_is_a_parameter_of_the_chain(chain: Chain) -> None:
    parameters = chain.ask("wallet/getchainparameters")["chainParameter"]

    assert {"key": "getEnergyFee", "value": 100} in parameters
