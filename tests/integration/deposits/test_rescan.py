"""A range is read again beside the scan: nothing twice, and what was missed is found."""

import pytest

from tests.integration.deposits.conftest import USDT
from tests.integration.deposits.scanning import Watcher, watcher_on
from tests.support.chain import Chain
from tt_common.contracts.deposits import GetScanner, StartRescan
from tt_common.errors import DomainError
from tt_deposits.settings import Settings
from tt_deposits.usecases.rescan import rescan_step, start_rescan
from tt_deposits.usecases.scanner_state import scanner_state


def asked(first: int, last: int, rescan_id: str = "rescan_1") -> StartRescan:
    return StartRescan(rescan_id=rescan_id, from_height=first, to_height=last, actor="ops", reason="to be sure")


async def test_a_range_read_again_changes_nothing_that_is_known(watcher: Watcher, chain: Chain) -> None:
    first = watcher.height() + 1
    address = await watcher.address("acc_1")
    chain.send(address, 25 * USDT)
    chain.mine()
    chain.send("TQSw9qVAigRwfgPdf7aW4wxbG9tFitexg2", USDT, sender=address)
    chain.solidify()
    await watcher.catch_up()
    tables = ("deposits", "outgoing_transfers", "addresses", "outbox", "deposit_changes")
    before = {table: watcher.rows(f"SELECT * FROM {table}") for table in tables}
    await start_rescan(watcher.context, asked(first, watcher.height()))
    await watcher.catch_up()
    assert {table: watcher.rows(f"SELECT * FROM {table}") for table in tables} == before
    [rescan] = (await scanner_state(watcher.context, GetScanner())).rescans
    assert (rescan.state, rescan.found, rescan.actor) == ("done", 0, "ops")


async def test_what_was_missed_is_found_and_counted(watch_settings: Settings, owner_url: str, chain: Chain) -> None:
    """A node that hides logs from the scanner is the one thing that only a re-scan (or the reconciliation) heals."""
    async with watcher_on(watch_settings, chain, owner_url) as watcher:
        await watcher.begin()
        chain.send(await watcher.address("acc_1"), 25 * USDT)
        chain.solidify()
        chain.fault("logs_missing", "*")
        first = watcher.height() + 1
        await watcher.catch_up()
        assert watcher.deposits() == []
        chain.heal()
        await start_rescan(watcher.context, asked(first, watcher.height()))
        await watcher.catch_up()
        assert watcher.deposits() == [("acc_1", 25 * USDT, "crediting")]
        assert [row["found"] for row in watcher.rows("SELECT found FROM rescans")] == [1]


async def test_it_goes_on_where_it_stood_and_only_as_far_as_it_could_read(watcher: Watcher, chain: Chain) -> None:
    first = watcher.height() + 1
    chain.mine(60)
    await watcher.catch_up()
    await start_rescan(watcher.context, asked(first, first + 49))
    chain.fault("infos_other_block", "*", height=first + 5)
    chain.fault("absent", "*", height=first + 5)
    await rescan_step(watcher.context)
    assert [row["next_height"] for row in watcher.rows("SELECT * FROM rescans")] == [first + 5]
    chain.heal()
    await watcher.catch_up()
    assert [row["next_height"] for row in watcher.rows("SELECT * FROM rescans")] == [first + 50]


async def test_history_that_is_not_what_was_committed_halts_it(watcher: Watcher, chain: Chain) -> None:
    first = watcher.height() + 1
    chain.mine(20)
    await watcher.catch_up()
    await start_rescan(watcher.context, asked(first, first + 9))
    chain.fault("fork", "*", height=first + 3)
    await rescan_step(watcher.context)
    halted = watcher.halt()
    assert halted is not None
    assert (halted["reason"], halted["height"]) == ("nodes_disagree", first + 3)


async def test_a_request_is_safe_to_repeat_and_stays_below_the_cursor(watcher: Watcher) -> None:
    height = watcher.height()
    assert await start_rescan(watcher.context, asked(height - 5, height)) == await start_rescan(
        watcher.context, asked(height - 5, height)
    )
    for request, code in [
        (asked(height - 4, height), "idempotency_conflict"),
        (asked(height, height + 1, "rescan_2"), "invalid_state"),
        (asked(height, height - 1, "rescan_3"), "invalid_request"),
    ]:
        with pytest.raises(DomainError) as refused:
            await start_rescan(watcher.context, request)
        assert refused.value.code == code
