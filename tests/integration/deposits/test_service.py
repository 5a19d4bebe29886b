"""The whole service: it scans by itself, a standby takes over, and what it says of itself is so."""

import os
import subprocess
import sys
from collections.abc import Coroutine
from typing import Any

import pytest
from nats.aio.client import Client

from tests.integration.billing.conftest import eventually
from tests.integration.deposits.conftest import USDT, Deposits
from tests.support.chain import SOLID_LAG, Chain
from tt_common.bus.rpc import call
from tt_common.contracts import deposits as d
from tt_common.errors import DomainError
from tt_deposits.domain.derivation import AccountKey
from tt_deposits.main import commands


async def scanner(nc: Client) -> d.ScannerState:
    return await call(nc, d.SCANNER_GET, d.GetScanner(), d.ScannerState, 5)


async def address_of(nc: Client, account_id: str) -> str:
    found: list[str] = []

    async def given() -> bool:
        try:
            request = d.GetAddress(account_id=account_id)
            found.append((await call(nc, d.ADDRESS_GET, request, d.AddressState, 5)).address)
        except DomainError as error:
            assert error.code == "deposits_unavailable"
        return bool(found)

    await eventually(given)
    return found[0]


def states(deposits: Deposits) -> list[tuple[object, ...]]:
    return deposits.rows("SELECT account_id, amount_micro_usdt::bigint, state FROM deposits ORDER BY block_height")


async def test_a_standby_takes_over_when_the_scanner_goes(idle_deposits: Deposits, chain: Chain, nc: Client) -> None:
    leader = await idle_deposits.start()
    await idle_deposits.start()
    address = await address_of(nc, "acc_1")
    chain.send(address, 25 * USDT)
    chain.solidify()
    await eventually(lambda: states(idle_deposits) == [("acc_1", 25 * USDT, "crediting")], 20)
    idle_deposits.services.remove(leader)
    await leader.stop()
    chain.send(address, 30 * USDT)
    chain.solidify()
    await eventually(lambda: len(states(idle_deposits)) == 2, 20)
    assert states(idle_deposits)[1] == ("acc_1", 30 * USDT, "crediting")


async def test_its_state_says_how_far_the_chain_is_read(
    idle_deposits: Deposits, chain: Chain, nc: Client, xpub: str
) -> None:
    await idle_deposits.start()
    await address_of(nc, "acc_1")
    chain.mine(5)

    async def arrived() -> bool:
        state = await scanner(nc)
        read = state.cursor_height == state.solid_height == chain.head - SOLID_LAG
        return read and state.head_height == chain.head and state.addresses_spare == 3

    await eventually(arrived, 20)
    state = await scanner(nc)
    assert (state.network, state.xpub_fingerprint) == ("sandbox", AccountKey(xpub).fingerprint)
    assert (state.blocks_behind, state.eta_s, state.delayed, state.halted_reason) == (0, 0.0, False, "")
    assert state.addresses_assigned == 1
    assert [(node.name, node.error) for node in state.nodes] == [("a", ""), ("b", "")]


async def test_the_commands_say_the_same_and_change_what_they_are_to_change(
    idle_deposits: Deposits, chain: Chain, nc: Client, xpub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await idle_deposits.start()
    await address_of(nc, "acc_1")
    settings = idle_deposits.settings

    async def said(command: Coroutine[Any, Any, int]) -> tuple[int, str]:
        capsys.readouterr()
        status = await command
        output = capsys.readouterr()
        return status, output.out or output.err

    [(height,)] = idle_deposits.rows("SELECT height FROM cursor")
    assert (await said(commands.rescan(settings, height - 3, height)))[0] == 0
    await eventually(lambda: idle_deposits.rows("SELECT next_height FROM rescans") == [(height + 1,)], 20)
    refused = await said(commands.rescan(settings, height, height + 10**6))
    assert refused == (1, "the scanner has not been there yet\n")
    status, text = await said(commands.status(settings))
    assert status == 0
    assert AccountKey(xpub).fingerprint in text
    assert f"at {height + 1}, 0 found" in text
    assert await said(commands.resume_scan(settings, "none")) == (1, "the scanner is not halted\n")
    chain.fault("fork", "b", height=chain.head - SOLID_LAG + 1)
    chain.mine()
    await eventually(lambda: idle_deposits.rows("SELECT reason FROM halt") == [("nodes_disagree",)], 20)
    status, text = await said(commands.status(settings))
    assert (status, "HALTED      nodes_disagree" in text) == (1, True)
    chain.heal()
    assert await said(commands.resume_scan(settings, "the node was repaired")) == (0, "the scanner goes on\n")
    await eventually(lambda: idle_deposits.rows("SELECT height FROM cursor") == [(chain.head - SOLID_LAG,)], 20)


def test_the_first_addresses_are_printed_without_a_database() -> None:
    trezor = "xpub6DCWphzD1URX6NLY4bzJQoNz3Ja14ueGphAz3c7XdzyfR3hbsv4XybKuXVPSGFiASvcugTyiJrQyw5u33izp6rB1W9fgZM4ugKQJQBcEFo8"
    done = subprocess.run(
        [sys.executable, "-m", "tt_deposits", "addresses"],
        env={"PATH": os.environ["PATH"], "DEPOSITS_XPUB": trezor},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == [
        "fingerprint",
        AccountKey(trezor).fingerprint,
        "m/44'/195'/0'/0/0",
        "TY72iA3SBtrds3QLYsS7LwYfkzXwAXCRWT",
        "m/44'/195'/0'/0/1",
        "TFz2CJn9CJb8C4i1Gke3jmZX2fRMJxniH2",
        "m/44'/195'/0'/0/2",
        "TQSw9qVAigRwfgPdf7aW4wxbG9tFitexg2",
    ]
