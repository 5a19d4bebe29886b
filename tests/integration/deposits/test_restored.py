"""A deposits database restored from a backup: every account keeps its address, nobody gets another's, and no deposit is missed."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from tests.integration.deposits.conftest import APP, OWNER, USDT, Deposits
from tests.integration.deposits.desk import Desk, FakeBilling, eventually
from tests.support.chain import Chain
from tt_common.bus.rpc import call
from tt_common.contracts.deposit_events import AddressAssigned
from tt_common.contracts.deposits import ADDRESS_GET, AddressState, GetAddress
from tt_common.contracts.streams import ADDRESSES, addresses_subject
from tt_common.deploy import deploy
from tt_common.errors import DomainError
from tt_deposits.usecases.adopt_addresses import adopt_addresses
from tt_deposits.usecases.put_back_addresses import put_back_addresses
from tt_sandbox.stack.backup import dump_database, restore_database
from tt_sandbox.stack.postgres import EmbeddedPostgres

GIVEN = "SELECT account_id, index FROM addresses WHERE account_id IS NOT NULL ORDER BY index"
SKIPPED = "SELECT index, skipped_reason FROM addresses WHERE skipped_reason <> '' ORDER BY index"


async def address_of(nc: Client, account_id: str) -> str:
    """As the console asks; a moment later where none is ready."""

    async def ask() -> str:
        try:
            return (await call(nc, ADDRESS_GET, GetAddress(account_id=account_id), AddressState, 5)).address
        except DomainError:
            return ""

    return await eventually(ask, f"an address for {account_id}")


async def said(nc: Client) -> list[AddressAssigned]:
    """What the stream ADDRESSES has, oldest first."""
    js = nc.jetstream()
    state = (await js.stream_info(ADDRESSES.name)).state
    found = [await js.get_msg(ADDRESSES.name, number) for number in range(max(1, state.first_seq), state.last_seq + 1)]
    return [msgspec.json.decode(message.data or b"", type=AddressAssigned) for message in found]


async def test_after_a_restore_each_account_has_its_address_a_new_one_another_and_deposits_find_their_owner(
    idle_deposits: Deposits,
    billing: FakeBilling,
    postgres: EmbeddedPostgres,
    database: str,
    chain: Chain,
    nc: Client,
    tmp_path: Path,
) -> None:
    # given a backup, and accounts that came after it: one has a spare address of the backup, the others have none that it knows
    await idle_deposits.start()
    given = {"acc_old": await address_of(nc, "acc_old")}
    await eventually(lambda: idle_deposits.rows("SELECT * FROM cursor"), "the scan has begun")
    dump_database(postgres, database, tmp_path / "dump")
    for number in range(6):
        given[f"acc_{number}"] = await address_of(nc, f"acc_{number}")
    assert len(set(given.values())) == 7
    before = idle_deposits.rows(GIVEN)
    await idle_deposits.stop()

    # when the backup is restored, and what nobody scans for at the moment gets money
    restore_database(postgres, database, tmp_path / "dump", OWNER, may_connect=(APP,))
    assert idle_deposits.rows(GIVEN) == before[:1]
    chain.send(given["acc_5"], 25 * USDT)
    chain.send(given["acc_0"], 30 * USDT)
    chain.solidify()
    await idle_deposits.start()

    # then
    assert idle_deposits.rows(GIVEN) == before
    for account_id, address in given.items():
        assert await address_of(nc, account_id) == address
    assert await address_of(nc, "acc_new") not in given.values()
    credited = "SELECT account_id, amount_micro_usdt::bigint FROM deposits WHERE state = 'credited' ORDER BY 1"
    await eventually(
        lambda: idle_deposits.rows(credited) == [("acc_0", 30 * USDT), ("acc_5", 25 * USDT)], "both are credited"
    )


async def test_an_address_is_in_the_stream_before_it_is_shown(idle_deposits: Deposits, nc: Client) -> None:
    await idle_deposits.start()
    shown = await address_of(nc, "acc_1")
    assert [(event.account_id, event.address) for event in await said(nc)] == [("acc_1", shown)]


async def test_what_cannot_be_said_is_not_shown(desk: Desk, nc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tt_deposits.usecases.assign_address.SAID_WITHIN_S", 0.1)
    full = (await nc.jetstream().stream_info(ADDRESSES.name)).config.evolve(max_bytes=1)
    await nc.jetstream().update_stream(full)
    desk.address(0)
    for _ in range(2):
        with pytest.raises(DomainError) as refused:
            await call(nc, ADDRESS_GET, GetAddress(account_id="acc_1"), AddressState, 5)
        assert refused.value.code == "deposits_unavailable"
    await deploy(nc.jetstream())
    assert await address_of(nc, "acc_1")
    assert [event.account_id for event in await said(nc)] == ["acc_1"]


async def test_a_database_that_went_back_under_the_service_gives_nobody_anothers_address(
    desk: Desk, nc: Client
) -> None:
    # given
    desk.address(0)
    desk.address(1)
    first = await address_of(nc, "acc_1")
    # when the database forgets
    desk.sql("UPDATE addresses SET account_id = NULL, assigned_at_ms = NULL")
    with pytest.raises(DomainError, match="read again"):
        await call(nc, ADDRESS_GET, GetAddress(account_id="acc_2"), AddressState, 5)
    # then
    assert desk.sql(GIVEN) == [("acc_1", 0)]
    assert await address_of(nc, "acc_2") != first == await address_of(nc, "acc_1")


async def test_what_was_ready_below_the_highest_that_is_given_is_watched_and_given_to_nobody(
    desk: Desk, nc: Client
) -> None:
    # given addresses 1 and 4 that the database has forgotten, 0 and 2 that it has ready, and 3 that it doesn't know
    for index in (0, 1, 2, 4):
        desk.address(index, {1: "acc_1", 4: "acc_4"}.get(index))
    while await put_back_addresses(desk.context, desk.assignments, 1):
        continue
    await eventually(lambda: len_said(nc, 2), "both are in the stream")
    desk.sql("UPDATE addresses SET account_id = NULL, assigned_at_ms = NULL WHERE index = 1")
    desk.sql("DELETE FROM addresses WHERE index = 4")
    # when
    assert await adopt_addresses(desk.context, desk.assignments) == 2
    # then
    assert desk.sql(GIVEN) == [("acc_1", 1), ("acc_4", 4)]
    assert desk.sql(SKIPPED) == [(0, "restored"), (2, "restored"), (3, "restored")]
    assert await adopt_addresses(desk.context, desk.assignments) == 0


async def len_said(nc: Client, number: int) -> bool:
    return len(await said(nc)) == number


async def test_what_the_scanner_passed_without_an_address_is_read_again_from_its_check(desk: Desk, nc: Client) -> None:
    desk.address(0, "acc_1", checked_height=150)
    await put_back_addresses(desk.context, desk.assignments, 10)
    await eventually(lambda: len_said(nc, 1), "it is in the stream")
    desk.sql("DELETE FROM addresses")
    desk.cursor(200)
    assert await adopt_addresses(desk.context, desk.assignments) == 1
    assert desk.sql("SELECT from_height, to_height, next_height FROM rescans") == [(151, 200, 151)]


async def test_an_address_that_two_accounts_claim_is_neithers_and_is_told_of(
    desk: Desk, nc: Client, caplog: pytest.LogCaptureFixture
) -> None:
    mine = desk.address(0, "acc_1")
    await put_back_addresses(desk.context, desk.assignments, 10)
    (event,) = await eventually(lambda: said(nc), "it is in the stream")
    claim = msgspec.structs.replace(event, id="other", account_id="acc_2")
    await nc.jetstream().publish(addresses_subject(0, "acc_2"), msgspec.json.encode(claim))
    assert await adopt_addresses(desk.context, desk.assignments) == 0
    assert (desk.sql(GIVEN), desk.sql(SKIPPED)) == ([], [(mine.index, "conflict")])
    async with desk.context.database.begin() as unit:
        assert (await unit.count_addresses_by_use()).conflict == 1
    assert "an address is claimed twice, and nobody gets it" in caplog.messages


async def test_what_is_no_assignment_of_ours_holds_up_nothing(desk: Desk, nc: Client) -> None:
    desk.address(0, "acc_1")
    await put_back_addresses(desk.context, desk.assignments, 10)
    (event,) = await eventually(lambda: said(nc), "it is in the stream")
    desk.sql("DELETE FROM addresses")
    other = msgspec.structs.replace(event, index=1, network="mainnet")
    for payload in (b"no json", msgspec.json.encode(other)):
        await nc.jetstream().publish(addresses_subject(1, "acc_2"), payload)
    assert await adopt_addresses(desk.context, desk.assignments) == 1
    assert desk.sql(GIVEN) == [("acc_1", 0)]


async def test_a_stream_that_was_made_anew_gets_every_assignment_once(
    idle_deposits: Deposits, nc: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tt_deposits.jobs.assignments.EVERY_S", 0.05)
    await idle_deposits.start()
    given = {account_id: await address_of(nc, account_id) for account_id in ("acc_1", "acc_2")}
    await nc.jetstream().delete_stream(ADDRESSES.name)
    await deploy(nc.jetstream())
    await eventually(lambda: len_said(nc, 2), "put back")
    assert {event.account_id: event.address for event in await said(nc)} == given
    last = (await nc.jetstream().stream_info(ADDRESSES.name)).state.last_seq
    await asyncio.sleep(0.3)
    assert (await nc.jetstream().stream_info(ADDRESSES.name)).state.last_seq == last == 2
