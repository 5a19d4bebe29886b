"""Blocks that are not solid are shown and never credited; what vanishes from the chain is orphaned."""

from tests.integration.deposits.conftest import USDT
from tests.integration.deposits.scanning import Watcher
from tests.support.chain import SOLID_LAG, Chain
from tt_deposits.usecases.scan_head import ScanHead


async def test_a_transfer_is_shown_at_once_and_credited_when_solid(watcher: Watcher, chain: Chain) -> None:
    chain.send(await watcher.address("acc_1"), 25 * USDT)
    chain.mine()
    await watcher.head.step()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "confirming")]
    await watcher.catch_up()
    await watcher.head.step()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "confirming")]
    chain.mine(SOLID_LAG)
    await watcher.catch_up()
    await watcher.head.step()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "crediting")]


async def test_a_transfer_that_vanishes_is_orphaned_and_nothing_was_credited(watcher: Watcher, chain: Chain) -> None:
    chain.send(await watcher.address("acc_1"), 25 * USDT)
    chain.mine(3)
    await watcher.head.step()
    chain.reorganise(3)
    chain.mine(3)
    await watcher.head.step()
    chain.mine(SOLID_LAG)
    await watcher.catch_up()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "orphaned")]
    assert watcher.said() == ["deposits.v1.deposit_detected.acc_1", "deposits.v1.deposit_orphaned.acc_1"]


async def test_a_transfer_that_moves_to_a_later_block_is_credited_once_where_it_ended(
    watcher: Watcher, chain: Chain
) -> None:
    first = chain.send(await watcher.address("acc_1"), 25 * USDT)["block"]
    chain.mine(2)
    await watcher.head.step()
    [moved] = chain.reorganise(2, "move")
    chain.mine(3)
    await watcher.head.step()
    [row] = watcher.rows("SELECT block_height FROM deposits")
    assert row["block_height"] == moved["block"] > first
    chain.mine(SOLID_LAG)
    await watcher.catch_up()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "crediting")]


async def test_a_head_that_is_not_wholly_told_is_shown_later(watcher: Watcher, chain: Chain) -> None:
    chain.send(await watcher.address("acc_1"), 25 * USDT)
    block = chain.mine()
    chain.fault("infos_empty", "*", height=block)
    await watcher.head.step()
    assert watcher.deposits() == []
    chain.heal()
    await watcher.head.step()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "confirming")]


async def test_a_restart_shows_the_same_and_tells_of_it_once(watcher: Watcher, chain: Chain) -> None:
    chain.send(await watcher.address("acc_1"), 25 * USDT)
    chain.mine(4)
    for head in (watcher.head, ScanHead(watcher.context)):
        await head.step()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "confirming")]
    assert len(watcher.said()) == 1
