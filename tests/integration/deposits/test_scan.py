"""What the scanner takes from solid blocks, and what it leaves."""

import pytest

from tests.integration.deposits.conftest import USDT
from tests.integration.deposits.scanning import Watcher
from tests.support.chain import SOLID_LAG, Chain
from tt_common.contracts.deposits import ResumeScanner
from tt_deposits.domain.base58 import address_bytes
from tt_deposits.usecases.halt import resume

FAKE = "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf"
ELSEWHERE = "TQSw9qVAigRwfgPdf7aW4wxbG9tFitexg2"


async def test_a_transfer_is_taken_when_its_block_is_solid_and_not_before(watcher: Watcher, chain: Chain) -> None:
    address = await watcher.address("acc_1")
    sent = chain.send(address, 25 * USDT)
    chain.mine(SOLID_LAG)
    await watcher.catch_up()
    assert watcher.deposits() == []
    chain.mine()
    await watcher.catch_up()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "crediting")]
    [row] = watcher.rows("SELECT * FROM deposits")
    assert (row["txid"].hex(), row["log_index"], row["block_height"]) == (sent["txid"], 0, sent["block"])
    assert watcher.said() == ["deposits.v1.deposit_confirmed.acc_1"]


async def test_every_height_is_gone_through_in_batches(watcher: Watcher, chain: Chain) -> None:
    before = watcher.height()
    addresses = [await watcher.address(f"acc_{number}") for number in range(3)]
    for number in range(30):
        chain.send(addresses[number % 3], (number + 1) * USDT)
        chain.mine(2)
    chain.solidify()
    await watcher.catch_up()
    assert watcher.gone_through() == list(range(before, chain.head - SOLID_LAG + 1))
    assert sorted(amount for _, amount, _ in watcher.deposits()) == [number * USDT for number in range(1, 31)]


async def test_every_transfer_of_a_transaction_counts_by_its_place(watcher: Watcher, chain: Chain) -> None:
    mine, other = await watcher.address("acc_1"), await watcher.address("acc_2")
    chain.send(
        transfers=[
            {"to": mine, "amount_micro_usdt": 1_500_000},
            {"to": ELSEWHERE, "amount_micro_usdt": 7},
            {"to": mine, "amount_micro_usdt": 938_500_000},
            {"to": other, "amount_micro_usdt": 3_000_000},
        ]
    )
    chain.solidify()
    await watcher.catch_up()
    rows = watcher.rows("SELECT * FROM deposits ORDER BY log_index")
    assert [(row["log_index"], row["account_id"], int(row["amount_micro_usdt"])) for row in rows] == [
        (0, "acc_1", 1_500_000),
        (2, "acc_1", 938_500_000),
        (3, "acc_2", 3_000_000),
    ]


@pytest.mark.parametrize("outcome", ["REVERT", "OUT_OF_ENERGY", "OUT_OF_TIME", "JVM_STACK_OVER_FLOW"])
async def test_a_transaction_that_failed_brings_nothing_whatever_logs_it_left(
    watcher: Watcher, chain: Chain, outcome: str
) -> None:
    chain.send(await watcher.address("acc_1"), 25 * USDT, outcome=outcome)
    chain.solidify()
    await watcher.catch_up()
    assert watcher.deposits() == []


async def test_a_fake_token_is_counted_and_never_credited(watcher: Watcher, chain: Chain) -> None:
    chain.send(await watcher.address("acc_1"), 25 * USDT, contract=FAKE)
    chain.solidify()
    await watcher.catch_up()
    assert watcher.deposits() == []
    [row] = watcher.rows("SELECT * FROM unsupported_transfers")
    assert (row["kind"], int(row["amount"]), row["contract"]) == ("token", 25 * USDT, address_bytes(FAKE))


async def test_trx_is_no_usdt_and_activates_the_address(watcher: Watcher, chain: Chain) -> None:
    address = await watcher.address("acc_1")
    chain.send(address, amount_sun=5_000_000)
    chain.solidify()
    await watcher.catch_up()
    assert watcher.deposits() == []
    [row] = watcher.rows("SELECT * FROM unsupported_transfers")
    assert (row["kind"], int(row["amount"]), row["log_index"]) == ("trx", 5_000_000, -1)
    assert (await watcher.given("acc_1")).activated


async def test_a_transfer_of_nothing_is_ignored(watcher: Watcher, chain: Chain) -> None:
    chain.send(await watcher.address("acc_1"), 0)
    chain.solidify()
    await watcher.catch_up()
    assert watcher.rows("SELECT * FROM deposits") == []


async def test_an_amount_beyond_any_wallet_is_held(watcher: Watcher, chain: Chain) -> None:
    """Nobody owns that much, but a contract can say so; the record keeps every digit."""
    amount = 2**256 - 1
    chain.send(await watcher.address("acc_1"), amount)
    chain.solidify()
    await watcher.catch_up()
    assert watcher.deposits() == [("acc_1", amount, "under_review")]


async def test_what_leaves_our_addresses_is_recorded_beside_what_came(watcher: Watcher, chain: Chain) -> None:
    address, other = await watcher.address("acc_1"), await watcher.address("acc_2")
    chain.send(address, 25 * USDT)
    chain.mine()
    chain.send(ELSEWHERE, 10 * USDT, sender=address)
    chain.send(other, 5 * USDT, sender=address)
    chain.solidify()
    await watcher.catch_up()
    totals = watcher.rows("SELECT received_micro_usdt, sent_micro_usdt FROM addresses ORDER BY index LIMIT 2")
    assert [tuple(map(int, row.values())) for row in totals] == [(25 * USDT, 15 * USDT), (5 * USDT, 0)]
    assert len(watcher.rows("SELECT * FROM outgoing_transfers")) == 2


async def test_money_at_an_address_that_is_nobodys_goes_to_suspense_and_the_address_to_nobody(
    watcher: Watcher, chain: Chain
) -> None:
    spare = watcher.context.key.address(0)
    chain.send(f"41{spare.hex()}", 25 * USDT)
    chain.solidify()
    await watcher.catch_up()
    assert watcher.deposits() == [(None, 25 * USDT, "suspense")]
    assert address_bytes(await watcher.address("acc_1")) == watcher.context.key.address(1)


async def test_a_blacklisted_address_is_not_usable_and_what_comes_to_it_is_held(watcher: Watcher, chain: Chain) -> None:
    address = await watcher.address("acc_1")
    chain.send(event="AddedBlackList", address=address)
    chain.mine()
    chain.send(address, 25 * USDT)
    chain.solidify()
    await watcher.catch_up()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "under_review")]
    assert (await watcher.given("acc_1")).blacklisted
    chain.send(event="RemovedBlackList", address=address)
    chain.solidify()
    await watcher.catch_up()
    assert not (await watcher.given("acc_1")).blacklisted
    assert [row["kind"] for row in watcher.rows("SELECT kind FROM contract_events ORDER BY height")] == [
        "AddedBlackList",
        "RemovedBlackList",
    ]


async def test_a_blacklisted_spare_address_is_given_to_nobody(watcher: Watcher, chain: Chain) -> None:
    chain.send(event="AddedBlackList", address=f"41{watcher.context.key.address(0).hex()}")
    chain.solidify()
    await watcher.catch_up()
    assert address_bytes(await watcher.address("acc_1")) == watcher.context.key.address(1)


async def test_other_events_of_the_contract_are_recorded_where_they_concern_us(watcher: Watcher, chain: Chain) -> None:
    address = await watcher.address("acc_1")
    chain.send(event="AddedBlackList", address=ELSEWHERE)
    chain.send(event="DestroyedBlackFunds", address=address)
    chain.send(event="Pause")
    chain.mine()
    chain.send(event="Unpause")
    chain.solidify()
    await watcher.catch_up()
    kinds = {row["kind"] for row in watcher.rows("SELECT kind FROM contract_events")}
    assert kinds == {"DestroyedBlackFunds", "Pause", "Unpause"}
    assert watcher.halt() is None


async def test_a_replaced_contract_halts_after_its_block_and_once(watcher: Watcher, chain: Chain) -> None:
    address = await watcher.address("acc_1")
    chain.send(address, 25 * USDT)
    replaced = chain.send(event="Deprecate", address=FAKE)["block"]
    chain.mine()
    chain.send(address, 30 * USDT)
    chain.solidify()
    await watcher.steps()
    halted = watcher.halt()
    assert halted is not None
    assert (halted["reason"], halted["height"], watcher.height()) == ("contract_deprecated", replaced, replaced)
    assert halted["details"] == {"new_contract": address_bytes(FAKE).hex()}
    assert watcher.deposits() == [("acc_1", 25 * USDT, "crediting")]
    await resume(watcher.context, ResumeScanner(actor="ops", reason="settings name the new one"))
    await watcher.catch_up()
    assert watcher.halt() is None


async def test_a_log_of_another_shape_is_no_transfer_and_a_fee_of_the_contract_is_not_credited(
    watcher: Watcher, chain: Chain
) -> None:
    address = await watcher.address("acc_1")
    for shape in ("two_topics", "four_topics", "short_data", "long_data"):
        chain.send(address, 25 * USDT, log_shape=shape)
    chain.send(address, 25 * USDT, fee_micro_usdt=USDT)
    chain.solidify()
    await watcher.catch_up()
    assert watcher.deposits() == [("acc_1", 24 * USDT, "crediting")]
