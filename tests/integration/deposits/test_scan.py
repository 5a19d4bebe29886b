"""What the scanner takes from solid blocks, and what it leaves."""

from tests.integration.deposits.conftest import USDT
from tests.integration.deposits.scanning import Watcher
from tests.support.chain import SOLID_LAG, Chain

FAKE = "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf"


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
    assert watcher.rows("SELECT subject FROM outbox") == [{"subject": "deposits.v1.deposit_confirmed.acc_1"}]


async def test_every_height_is_gone_through_in_batches(watcher: Watcher, chain: Chain) -> None:
    before = watcher.height()
    addresses = [await watcher.address(f"acc_{number}") for number in range(3)]
    for number in range(60):
        chain.send(addresses[number % 3], (number + 1) * USDT)
        chain.mine()
    chain.solidify()
    await watcher.catch_up()
    assert watcher.gone_through() == list(range(before, chain.head - SOLID_LAG + 1))
    assert sorted(amount for _, amount, _ in watcher.deposits()) == [number * USDT for number in range(1, 61)]
