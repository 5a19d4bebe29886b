"""A block is taken for whole only where body and infos say the same; what is USDT is decided by bytes alone."""

import copy
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.deposits.tron_wire import root_of
from tt_deposits.domain.base58 import address_bytes
from tt_deposits.domain.blocks import TRANSFER_TOPIC, Block, Incomplete, whole_block
from tt_deposits.domain.node_answers import Body, Info

HEIGHT = 78_861_100
CONTRACT = address_bytes("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t")
SENDER, RECIPIENT = bytes(range(20)), bytes(range(20, 40))


def word(value: bytes | int) -> str:
    return f"{value:064x}" if isinstance(value, int) else value.hex().rjust(64, "0")


def raw_data(number: int) -> bytes:
    return f"transaction {number}".encode() * (1 + 40 * (number % 2))


def txid(number: int) -> str:
    return sha256(raw_data(number)).hexdigest()


def sealed(number: int, contract: dict[str, Any], result: str) -> dict[str, Any]:
    return {
        "txID": txid(number),
        "ret": [{"contractRet": result} if result else {}],
        "signature": ["5e" * 65],
        "raw_data": {"contract": [contract]},
        "raw_data_hex": raw_data(number).hex(),
    }


def transfer_log(amount: int, contract: bytes = CONTRACT) -> dict[str, Any]:
    topics = [TRANSFER_TOPIC, word(SENDER), word(RECIPIENT)]
    return {"address": contract.hex(), "topics": topics, "data": word(amount)}


def call(number: int, logs: list[dict[str, Any]], result: str = "SUCCESS") -> tuple[dict[str, Any], dict[str, Any]]:
    contract = {"type": "TriggerSmartContract", "parameter": {"value": {"data": "ab", "amount": "not a number"}}}
    body = sealed(number, contract, result)
    info: dict[str, Any] = {"id": txid(number), "blockNumber": HEIGHT, "receipt": {"result": result}, "log": logs}
    return body, info if result == "SUCCESS" else {**info, "result": "FAILED"}


def plain(number: int, kind: str, **value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    contract = {"type": kind, "parameter": {"value": value}}
    return sealed(number, contract, "SUCCESS"), {
        "id": txid(number),
        "blockNumber": HEIGHT,
        "receipt": {"net_fee": 267_000},
    }


def told(*transactions: tuple[dict[str, Any], dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    root = root_of([one for one, _ in transactions])
    raw = {"number": HEIGHT, "parentHash": f"{HEIGHT - 1:016x}{'cd' * 24}", "timestamp": 7, "txTrieRoot": root}
    body: dict[str, Any] = {"blockID": f"{HEIGHT:016x}{'ef' * 24}", "block_header": {"raw_data": raw}}
    if transactions:
        body["transactions"] = [one for one, _ in transactions]
    return body, [info for _, info in transactions]


def read(body: dict[str, Any], infos: list[dict[str, Any]], *, check_root: bool = True) -> Block:
    """Through JSON, as it comes from a node."""
    return whole_block(
        HEIGHT,
        msgspec.json.decode(msgspec.json.encode(body), type=Body),
        msgspec.json.decode(msgspec.json.encode(infos), type=list[Info]),
        CONTRACT,
        check_root=check_root,
    )


ORDINARY = (call(1, [transfer_log(5), transfer_log(7)]), plain(2, "VoteWitnessContract"), call(3, []))


def test_transfers_are_numbered_within_their_transaction() -> None:
    block = read(*told(call(1, [transfer_log(5), transfer_log(9, b"\x01" * 20), transfer_log(7)]), *ORDINARY[1:]))
    assert [(t.txid.hex(), t.log_index, t.amount_micro_usdt) for t in block.transfers] == [
        (txid(1), 0, 5),
        (txid(1), 2, 7),
    ]
    assert {(t.sender, t.recipient) for t in block.transfers} == {(SENDER, RECIPIENT)}
    assert (block.ref.height, block.ref.time_ms, block.parent_id.hex()[:16]) == (HEIGHT, 7, f"{HEIGHT - 1:016x}")


def test_without_the_root_a_transaction_that_both_lack_goes_unnoticed() -> None:
    body, infos = told(*ORDINARY)
    body["transactions"].pop()
    infos.pop()
    with pytest.raises(Incomplete, match="header"):
        read(body, infos)
    assert len(read(body, infos, check_root=False).transfers) == 2


def test_an_empty_block_is_whole() -> None:
    assert read(*told()).transfers == ()


Change = Callable[[dict[str, Any], list[dict[str, Any]]], None]


def change_header(**fields: Any) -> Change:
    return lambda body, infos: body["block_header"]["raw_data"].update(fields)


WRONG: dict[str, Change] = {
    "no infos": lambda body, infos: infos.clear(),
    "an info left out": lambda body, infos: infos.__delitem__(1),
    "an info twice": lambda body, infos: infos.append(infos[0]),
    "an info of another transaction": lambda body, infos: infos[0].update(id=txid(99)),
    "an info of another block": lambda body, infos: infos[2].update(blockNumber=HEIGHT - 1),
    "no transactions": lambda body, infos: body.pop("transactions"),
    "neither": lambda body, infos: infos.__delitem__(slice(len(body.pop("transactions")))),
    "a transaction left out": lambda body, infos: body["transactions"].__delitem__(0),
    "a transaction left out of both": lambda body, infos: infos.remove(
        next(info for info in infos if info["id"] == body["transactions"].pop()["txID"])
    ),
    "the outcome of a transaction": lambda body, infos: body["transactions"][1].update(ret=[{"contractRet": "REVERT"}]),
    "an outcome that is none": lambda body, infos: body["transactions"][1].update(ret=[{"contractRet": "MAYBE"}]),
    "another transaction under the same id": lambda body, infos: body["transactions"][2].update(raw_data_hex="ab"),
    "a root that is none": change_header(txTrieRoot="zz"),
    "a transaction twice": lambda body, infos: body["transactions"].append(body["transactions"][0]),
    "another height": change_header(number=HEIGHT + 1),
    "an id of another height": lambda body, infos: body.update(blockID=f"{HEIGHT + 1:016x}{'ef' * 24}"),
    "an id that is none": lambda body, infos: body.update(blockID="ef"),
    "a parent that is none": change_header(parentHash="zz" * 32),
    "a log's address in base58": lambda body, infos: infos[0]["log"][0].update(
        address="TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
    ),
    "an amount that is none": lambda body, infos: infos[0]["log"][0].update(data="zz" * 32),
    "a recipient that is none": lambda body, infos: infos[0]["log"][0]["topics"].__setitem__(2, "ab"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_what_is_not_the_whole_of_the_block_is_incomplete(change: Change) -> None:
    body, infos = copy.deepcopy(told(*ORDINARY))
    read(body, infos)
    change(body, infos)
    with pytest.raises(Incomplete):
        read(body, infos)


def test_a_block_that_is_not_there_is_incomplete() -> None:
    with pytest.raises(Incomplete):
        whole_block(HEIGHT, None, [], CONTRACT)


@given(left_out=st.sets(st.integers(0, 5)), told_too=st.sets(st.integers(0, 5)))
def test_no_choice_of_infos_but_all_of_them_makes_a_block(left_out: set[int], told_too: set[int]) -> None:
    transactions = [call(number, [transfer_log(number)]) for number in range(1, 7)]
    body, infos = told(*transactions)
    chosen = [info for index, info in enumerate(infos) if index not in left_out] + [infos[index] for index in told_too]
    if sorted(info["id"] for info in chosen) == sorted(info["id"] for info in infos):
        assert len(read(body, chosen).transfers) == 6
    else:
        with pytest.raises(Incomplete):
            read(body, chosen)


@pytest.mark.parametrize("result", ["REVERT", "OUT_OF_TIME", "JVM_STACK_OVER_FLOW", "OUT_OF_ENERGY", ""])
def test_logs_of_what_did_not_succeed_are_no_transfers(result: str) -> None:
    assert read(*told(call(1, [transfer_log(5)], result))).transfers == ()


def test_success_that_is_also_called_failed_is_none() -> None:
    body, infos = told(call(1, [transfer_log(5)]))
    infos[0]["result"] = "FAILED"
    assert read(body, infos).transfers == ()


@given(amount=st.integers(1, 2**256 - 1), sender=st.binary(min_size=20, max_size=20))
def test_an_amount_keeps_every_digit(amount: int, sender: bytes) -> None:
    log = transfer_log(amount)
    log["topics"][1] = word(sender)
    [transfer] = read(*told(call(1, [log]))).transfers
    assert (transfer.amount_micro_usdt, transfer.sender) == (amount, sender)


def test_only_the_contract_makes_it_usdt() -> None:
    block = read(*told(call(1, [transfer_log(5, CONTRACT[:-1] + b"\x00"), transfer_log(0)])))
    assert block.transfers == ()
    assert [(other.kind, other.amount, other.log_index) for other in block.others] == [("token", 5, 0)]


def test_trx_and_old_tokens_are_other_assets_and_activate() -> None:
    to = f"41{RECIPIENT.hex()}"
    block = read(
        *told(
            plain(1, "TransferContract", to_address=to, amount=3, owner_address="41" + "00" * 20),
            plain(2, "TransferAssetContract", to_address=to, amount=4, asset_name="31303030303031"),
            plain(3, "AccountCreateContract", account_address=f"41{SENDER.hex()}", owner_address="41" + "00" * 20),
        )
    )
    assert [(o.kind, o.amount, o.recipient, o.contract) for o in block.others] == [
        ("trx", 3, RECIPIENT, None),
        ("token", 4, RECIPIENT, None),
    ]
    assert block.activated == (RECIPIENT, RECIPIENT, SENDER)
    assert block.parties() == {RECIPIENT, SENDER}


@pytest.mark.parametrize("indexed", [True, False])
def test_an_event_names_its_address_indexed_or_not(indexed: bool) -> None:
    topic = "42e160154868087d6bfdc0ca23d96a1c1cfa32f1b72ba9ba27b69b98a0d819dc"
    topics, data = ([topic, word(SENDER)], "") if indexed else ([topic], word(SENDER))
    [event] = read(*told(call(1, [{"address": CONTRACT.hex(), "topics": topics, "data": data}]))).events
    assert (event.kind, event.subject) == ("AddedBlackList", SENDER)


def test_the_same_event_of_another_contract_is_none() -> None:
    topic = "cc358699805e9a8b7f77b522628c7cb9abd07d9efb86b6fb616af1609036a99e"
    log = {"address": "00" * 20, "topics": [topic], "data": word(SENDER)}
    assert read(*told(call(1, [log]))).events == ()
