"""Addresses, topics and raw data of the sandbox chain against recorded facts of the real one."""

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_sandbox.chain import filler, usdt
from tt_sandbox.chain.addresses import NotAnAddress, parse, to_base58, to_hex
from tt_sandbox.chain.protobuf import number, text
from tt_sandbox.chain.scripts import Script, transaction
from tt_sandbox.chain.transactions import Transaction

USDT_HEX = "41a614f803b6fd780986a42c78ec9c7f77e6ded13c"
CUSTOMER = "TUEZSdKsoDHQMeZwihtdoBiN46zxhGWYdH"


def test_usdt_contract_and_its_transfer_topic_are_the_real_ones() -> None:
    assert to_hex(parse(usdt.USDT)) == USDT_HEX
    assert usdt.TRANSFER_TOPIC.hex() == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert usdt.TRANSFER.hex() == "a9059cbb"
    assert usdt.BALANCE_OF.hex() == "70a08231"


@given(st.binary(min_size=20, max_size=20))
def test_addresses_are_read_as_they_are_written(address: bytes) -> None:
    assert parse(to_base58(address)) == parse(to_hex(address)) == parse(f"0x{address.hex()}") == address
    assert to_base58(address).startswith("T")
    assert len(to_base58(address)) == 34


@pytest.mark.parametrize(
    "wrong", ["", "T", CUSTOMER[:-1], CUSTOMER[:-1] + "0", CUSTOMER.replace("S", "s", 1), USDT_HEX[:-4], "42" + USDT_HEX[2:], "zz" * 21]
)  # fmt: skip
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(NotAnAddress):
        parse(wrong)


def test_raw_data_is_the_protobuf_that_a_recorded_transaction_has() -> None:
    # The Nile transaction cff6488e…, a balanceOf call as documentation-en prints it, field by field.
    owner, contract = "41dd791d6b49e190062d650e6a23c575510d35f2f9", "41eca9bc828a3005b9a3b909f2cc5c2a54794de05f"
    data = "70a08231000000000000000000000000dd791d6b49e190062d650e6a23c575510d35f2f9"
    value = text(1, bytes.fromhex(owner)) + text(2, bytes.fromhex(contract)) + text(4, bytes.fromhex(data))
    parameter = text(1, b"type.googleapis.com/protocol.TriggerSmartContract") + text(2, value)
    reference = text(1, bytes.fromhex("28c0")) + text(4, bytes.fromhex("9eabbe133123b34c"))
    call = text(11, number(1, 31) + text(2, parameter))

    raw = reference + number(8, 1777447218000) + call + number(14, 1777447160779)

    assert sha256(raw).hexdigest() == "cff6488e738ce77f7325572fe0aa2470f87dbf1c95eeeb2c25feec59d5afa35c"


def test_txid_is_the_hash_of_the_raw_data_and_the_same_script_makes_the_same() -> None:
    script = Script.model_validate({"to": CUSTOMER, "amount_micro_usdt": 1_500_000})
    made = transaction(script, parse(usdt.USDT), 70_000_001, 1)
    body = json.loads(made.body)

    assert body["txID"] == made.txid == sha256(bytes.fromhex(body["raw_data_hex"])).hexdigest()
    assert transaction(script, parse(usdt.USDT), 70_000_001, 1).txid == made.txid
    assert transaction(script, parse(usdt.USDT), 70_000_001, 2).txid != made.txid


def test_filler_repeats_its_patterns_but_never_a_txid() -> None:
    count = filler.ADDRESS_COUNT + 8
    made = [filler.transactions(parse(usdt.USDT), height, count) for height in (70_000_001, 70_000_002)]

    assert len({transaction.txid for block in made for transaction in block}) == 2 * count
    assert _parties(*made) <= {usdt.word(address) for address in filler.known()}


def test_filled_blocks_in_a_row_have_other_recipients() -> None:
    first, second = (filler.transactions(parse(usdt.USDT), height, 400) for height in (70_000_001, 70_000_002))

    assert len(_parties(first, end=2)) == len(_parties(second, end=2)) == 100
    assert not _parties(first, end=2) & _parties(second, end=2)


def _parties(*blocks: list[Transaction], end: int | None = None) -> set[bytes]:
    """Who stands in the logs: senders (1), recipients (2) or both."""
    logs = [log for block in blocks for item in block for log in item.logs]
    return {word for log in logs for word in (log.topics[1:] if end is None else log.topics[end : end + 1])}
