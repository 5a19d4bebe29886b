"""Addresses are ready before they are needed, checked before they are given out, and an account's for ever."""

import asyncio

import pytest

from tests.integration.deposits.conftest import USDT
from tests.integration.deposits.desk import Desk
from tests.integration.deposits.scanning import Watcher, watcher_on
from tests.support.chain import Chain
from tt_common.contracts.deposits import GetAddress
from tt_common.errors import DomainError
from tt_deposits.domain.base58 import address_bytes
from tt_deposits.settings import Settings
from tt_deposits.usecases.assign_address import assign_address
from tt_deposits.usecases.fill_addresses import fill_addresses
from tt_deposits.usecases.ports import NodeFailed


async def test_an_account_gets_the_lowest_spare_address_and_the_same_for_ever(watcher: Watcher) -> None:
    given = [await watcher.address(account_id) for account_id in ("acc_1", "acc_2", "acc_1")]
    assert [address_bytes(address) for address in given] == [watcher.context.key.address(index) for index in (0, 1, 0)]


async def test_accounts_that_ask_at_once_get_an_address_each_and_the_same_account_one(watcher: Watcher) -> None:
    asked = [f"acc_{number % 3}" for number in range(12)]
    given = await asyncio.gather(*(watcher.address(account_id) for account_id in asked))
    assert len(set(given)) == 3
    assert len(set(zip(asked, given, strict=True))) == 3


async def test_where_none_is_ready_the_next_ones_are_made(watcher: Watcher) -> None:
    for number in range(3):
        await watcher.address(f"acc_{number}")
    with pytest.raises(AssertionError, match="no address is ready"):
        await watcher.address("acc_3")
    assert await fill_addresses(watcher.context) == 3
    assert address_bytes(await watcher.address("acc_3")) == watcher.context.key.address(3)


async def test_an_address_that_has_something_is_skipped_and_told_of(
    watch_settings: Settings, owner_url: str, chain: Chain
) -> None:
    async with watcher_on(watch_settings, chain, owner_url) as watcher:
        chain.send(f"41{watcher.context.key.address(1).hex()}", USDT)
        chain.solidify()
        await watcher.begin()
        rows = watcher.rows("SELECT skipped_reason FROM addresses ORDER BY index")
        assert [row["skipped_reason"] for row in rows] == ["", "had_balance", ""]
        await watcher.address("acc_1")
        assert address_bytes(await watcher.address("acc_2")) == watcher.context.key.address(2)


@pytest.mark.parametrize("kind", ["balance_absent", "error", "not_json"])
async def test_an_address_that_can_not_be_checked_is_not_ready(
    watch_settings: Settings, owner_url: str, chain: Chain, kind: str
) -> None:
    async with watcher_on(watch_settings, chain, owner_url) as watcher:
        chain.fault(kind, "*", methods=["triggerconstantcontract"])
        with pytest.raises(NodeFailed):
            await fill_addresses(watcher.context)
        assert watcher.rows("SELECT * FROM addresses") == []


async def test_an_address_that_came_after_the_scanner_had_passed_is_scanned_for_from_its_check(
    watcher: Watcher, chain: Chain
) -> None:
    """The scanner passes between the check and the moment when the address is in the database."""
    watcher.rows("DELETE FROM addresses WHERE index = 2")
    late = watcher.context.key.address(2)
    balance = watcher.pool.all()[0].usdt_balance

    async def then_the_scanner_passes(contract: bytes, address: bytes) -> int:
        found = await balance(contract, address)
        chain.send(f"41{late.hex()}", 25 * USDT)
        chain.solidify()
        await watcher.catch_up()
        return found

    watcher.pool.all()[0].usdt_balance = then_the_scanner_passes  # pyright: ignore[reportAttributeAccessIssue]
    await fill_addresses(watcher.context)
    assert watcher.deposits() == []
    [rescan] = watcher.rows("SELECT * FROM rescans")
    assert rescan["to_height"] == watcher.height()
    await watcher.catch_up()
    assert watcher.deposits() == [(None, 25 * USDT, "suspense")]


async def test_where_none_is_ready_the_caller_is_told_when_to_ask_again(desk: Desk) -> None:
    with pytest.raises(DomainError) as refused:
        await assign_address(desk.context, desk.assignments, GetAddress(account_id="acc_1"))
    assert (refused.value.code, refused.value.data["retry_after_s"] > 0) == ("deposits_unavailable", True)


async def test_the_state_of_an_address_tells_a_customer_what_to_know(desk: Desk) -> None:
    desk.address(0)
    state = await assign_address(desk.context, desk.assignments, GetAddress(account_id="acc_1"))
    assert (state.network, state.minimum_micro_usdt) == ("sandbox", 1_000_000)
    assert state.contract == "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
    assert (state.activated, state.usable) == (False, True)
    desk.sql("UPDATE addresses SET activated_at_ms = 1, blacklisted_at_ms = 1")
    state = await assign_address(desk.context, desk.assignments, GetAddress(account_id="acc_1"))
    assert (state.activated, state.usable) == (True, False)
