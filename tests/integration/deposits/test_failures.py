"""What may go wrong between chain and cursor, case by case.

Nothing is lost, nothing is invented, and the cursor stays where it can't go on.
"""

import asyncio

import pytest

from tests.integration.deposits.conftest import USDT
from tests.integration.deposits.scanning import Watcher, watcher_on
from tests.support.chain import SOLID_LAG, Chain
from tt_common.contracts.deposits import ResumeScanner
from tt_deposits.settings import Settings
from tt_deposits.usecases.halt import resume

TRANSIENT = [
    ("absent", {}),
    ("error", {}),
    ("lite", {}),
    ("not_json", {}),
    ("cut", {}),
    ("status", {"status": 403}),
    ("status", {"status": 429}),
    ("status", {"status": 503}),
    ("slow", {"delay_s": 30}),
]
SLOW_S = 0.2
INCOMPLETE = ["infos_empty", "infos_missing", "infos_other_block", "transactions_missing"]


async def sent(watcher: Watcher, chain: Chain, amount_micro_usdt: int = 25 * USDT) -> int:
    """A transfer to the account's address, solid on the chain and not the newest there; its block."""
    block = chain.send(await watcher.address("acc_1"), amount_micro_usdt)["block"]
    chain.mine(SOLID_LAG + 3)
    return block


async def test_all_nodes_down_or_refusing_leave_the_cursor_where_it_is_and_the_address_valid(
    watcher: Watcher, chain: Chain
) -> None:
    before, address = watcher.height(), await watcher.address("acc_1")
    await sent(watcher, chain)
    for kind, words in TRANSIENT:
        watcher.calm()
        if kind == "slow":
            for node in watcher.pool.all():
                node._timeout_s = SLOW_S
        chain.fault(kind, "*", **words)
        await watcher.steps(1)
        assert (watcher.height(), watcher.deposits(), watcher.halt()) == (before, [], None), kind
        assert await watcher.address("acc_1") == address
        chain.heal()
    watcher.calm()
    await watcher.catch_up()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "crediting")]


async def test_one_node_down_or_refusing_is_replaced_by_the_other(watcher: Watcher, chain: Chain) -> None:
    for number, (kind, words) in enumerate(TRANSIENT, 1):
        await sent(watcher, chain)
        watcher.calm(SLOW_S if kind == "slow" else 20.0)
        chain.fault(kind, "a", **words)
        await watcher.catch_up()
        assert watcher.deposits() == number * [("acc_1", 25 * USDT, "crediting")], kind
        chain.heal()
    assert watcher.metric("failovers_total", node="b") >= len(TRANSIENT)


async def test_a_node_that_asks_for_time_gets_it(watcher: Watcher, chain: Chain) -> None:
    chain.fault("status", "a", status=429, retry_after_s=30)
    await sent(watcher, chain)
    await watcher.catch_up()
    chain.heal()
    await watcher.steps(2)
    assert [node.name for node in watcher.context.nodes.usable()] == ["b"]


async def test_an_incomplete_block_is_not_empty(watcher: Watcher, chain: Chain) -> None:
    for number, kind in enumerate(INCOMPLETE, 1):
        block = await sent(watcher, chain)
        chain.fault(kind, "*", height=block)
        watcher.calm()
        await watcher.steps(2)
        assert (watcher.height(), len(watcher.deposits()), watcher.halt()) == (block - 1, number - 1, None), kind
        chain.heal()
        await watcher.catch_up()
        assert watcher.deposits() == number * [("acc_1", 25 * USDT, "crediting")], kind
    assert watcher.metric("incomplete_blocks_total", node="a") >= len(INCOMPLETE)


async def test_what_one_node_tells_incompletely_another_tells_whole(watcher: Watcher, chain: Chain) -> None:
    for number, kind in enumerate(INCOMPLETE, 1):
        block = await sent(watcher, chain)
        chain.fault(kind, "a", height=block)
        await watcher.catch_up()
        assert watcher.deposits() == number * [("acc_1", 25 * USDT, "crediting")], kind
        chain.heal()


async def test_a_transfer_that_a_node_leaves_out_of_body_and_infos_alike_is_not_lost(
    watcher: Watcher, chain: Chain
) -> None:
    """Found by the fault suite: both agreed, so the block counted as whole, and what the head had shown as an orphan."""
    # given no node that tells the whole block
    block = await sent(watcher, chain)
    chain.fault("transactions_missing", "*", height=block)
    chain.fault("infos_missing", "a", height=block)
    await watcher.steps(2)
    assert (watcher.height(), watcher.deposits()) == (block - 1, [])

    # when one does
    chain.heal()
    chain.fault("transactions_missing", "a", height=block)
    chain.fault("infos_missing", "a", height=block)
    await watcher.catch_up()

    # then
    assert watcher.deposits() == [("acc_1", 25 * USDT, "crediting")]


@pytest.mark.parametrize("kind", ["head_back", "head_stale", "solid_stops"])
async def test_a_node_that_lags_is_replaced_and_the_cursor_never_goes_back(
    watch_settings: Settings, owner_url: str, chain: Chain, kind: str
) -> None:
    impatient = watch_settings.model_copy(update={"solid_lag_max_s": 0.01})
    async with watcher_on(impatient, chain, owner_url) as watcher:
        await watcher.begin()
        chain.mine(10)
        await watcher.catch_up()
        reached = watcher.height()
        chain.fault(kind, "a")
        await watcher.steps(2)
        assert (watcher.height(), watcher.halt()) == (reached, None)
        await sent(watcher, chain)
        await watcher.context.nodes.look(0.0)
        await watcher.catch_up()
        assert watcher.deposits() == [("acc_1", 25 * USDT, "crediting")]
        assert [node.name for node in watcher.context.nodes.usable()] == ["b", "a"]
        chain.heal()
        await watcher.context.nodes.look(0.0)
        assert [node.name for node in watcher.context.nodes.usable()] == ["a", "b"]


async def test_a_chain_that_stands_still_on_all_nodes_moves_nobody(watcher: Watcher, chain: Chain) -> None:
    await watcher.catch_up()
    for node in watcher.pool.all():
        await node.newest(solid=True)
    failovers = watcher.metric("failovers_total", node="b")
    await watcher.steps(5)
    assert [node.name for node in watcher.context.nodes.usable()] == ["a", "b"]
    assert watcher.metric("failovers_total", node="b") == failovers


@pytest.mark.parametrize("liar", ["a", "b"])
async def test_nodes_that_disagree_halt_the_scan_whichever_is_wrong(watcher: Watcher, chain: Chain, liar: str) -> None:
    block = await sent(watcher, chain)
    chain.fault("fork", liar, height=block)
    await watcher.steps()
    halted = watcher.halt()
    assert halted is not None
    assert halted["reason"] == "nodes_disagree"
    assert watcher.deposits() == []
    assert watcher.said() == ["deposits.v1.scanner_halted.house"]
    chain.heal()
    await watcher.steps()
    assert watcher.deposits() == [], "only an operator ends a halt"
    await resume(watcher.context, ResumeScanner(actor="ops", reason="the node was repaired"))
    await watcher.catch_up()
    assert watcher.deposits() == [("acc_1", 25 * USDT, "crediting")]
    assert [row["resumed_by"] for row in watcher.rows("SELECT * FROM halts")] == ["ops"]


async def test_a_halt_whose_cause_is_still_there_comes_again(watcher: Watcher, chain: Chain) -> None:
    block = await sent(watcher, chain)
    chain.fault("fork", "b", height=block)
    await watcher.steps()
    await resume(watcher.context, ResumeScanner(actor="ops", reason="hope"))
    await watcher.steps()
    assert watcher.halt() is not None
    assert watcher.deposits() == []


async def test_a_twin_block_without_our_transfer_is_found_out(watcher: Watcher, chain: Chain) -> None:
    """The node a tells a block of its own that lacks the transfer: only comparing shows it."""
    block = await sent(watcher, chain)
    chain.fault("twin", "a", height=block)
    await watcher.steps()
    halted = watcher.halt()
    assert halted is not None
    assert halted["reason"] == "nodes_disagree"
    assert watcher.height() < block


async def test_a_node_that_is_behind_us_is_compared_with_what_was_committed(watcher: Watcher, chain: Chain) -> None:
    block = await sent(watcher, chain)
    chain.mine(30)
    await watcher.catch_up()
    chain.fault("head_back", "b", blocks=20)
    chain.fault("fork", "b", height=block)
    chain.mine()
    await watcher.steps()
    halted = watcher.halt()
    assert halted is not None
    assert (halted["reason"], halted["details"]["node"]) == ("nodes_disagree", "b")


async def test_a_parent_that_is_not_our_last_block_halts_the_scan(watcher: Watcher, chain: Chain) -> None:
    block = await sent(watcher, chain)
    chain.fault("parent_wrong", "*", height=block)
    await watcher.steps()
    halted = watcher.halt()
    assert halted is not None
    assert (halted["reason"], halted["height"]) == ("parent_mismatch", block)
    assert watcher.deposits() == []


async def test_history_that_changes_under_one_lonely_node_halts_the_scan(
    watch_settings: Settings, owner_url: str, chain: Chain
) -> None:
    alone = watch_settings.model_copy(update={"nodes": watch_settings.nodes[:1]})
    async with watcher_on(alone, chain, owner_url) as watcher:
        await watcher.begin()
        chain.mine(5)
        await watcher.catch_up()
        chain.fault("fork", "a", height=watcher.height() - 2)
        chain.mine()
        await watcher.steps()
        halted = watcher.halt()
        assert halted is not None
        assert halted["reason"] == "parent_mismatch"


async def test_a_long_outage_is_walked_height_by_height(watch_settings: Settings, owner_url: str, chain: Chain) -> None:
    async with watcher_on(watch_settings, chain, owner_url) as watcher:
        await watcher.begin()
        before = watcher.height()
        address = await watcher.address("acc_1")
    for number in range(1, 9):
        chain.send(address, number * USDT)
        chain.mine(40)
    chain.solidify()
    async with watcher_on(watch_settings, chain, owner_url) as watcher:
        await watcher.catch_up()
        assert [amount for _, amount, _ in watcher.deposits()] == [number * USDT for number in range(1, 9)]
        assert watcher.gone_through() == list(range(before, chain.head - SOLID_LAG + 1))


async def test_two_scanners_at_once_bring_each_transfer_once(
    watch_settings: Settings, owner_url: str, chain: Chain
) -> None:
    """The lock keeps them apart; where it doesn't, the cursor does."""
    async with (
        watcher_on(watch_settings, chain, owner_url) as one,
        watcher_on(watch_settings, chain, owner_url) as other,
    ):
        await one.begin()
        address = await one.address("acc_1")
        for number in range(1, 31):
            chain.send(address, number * USDT)
            chain.mine()
        chain.solidify()
        for _ in range(100):
            await asyncio.gather(one.scan.step(), other.scan.step())
            if one.height() == chain.head - SOLID_LAG:
                break
        assert [amount for _, amount, _ in one.deposits()] == [number * USDT for number in range(1, 31)]
        assert len(one.said()) == 30
