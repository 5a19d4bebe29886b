"""The chain against the records, by another way than the scanner's: logs by address, and balances."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from tt_common.contracts.deposits import DepositDifference
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.sums import (
    BALANCE_CHECK,
    RECEIVED_CHECK,
    SENT_CHECK,
    Moved,
    difference,
    lacking,
    transfer_differences,
)
from tt_deposits.usecases.all_ended import all_ended
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.desk_ports import ADDRESSES_MAX, BLOCKS_MAX, CheckedAddress, Witness
from tt_deposits.usecases.ports import NodeFailed

TRIES: Final = 5
RETRY_S: Final = 0.5
BALANCES_AT_ONCE: Final = 8
BALANCE_TRIES: Final = 4
BALANCE_WAIT_S: Final = 15.0
"""A balance is of the newest solid block, the records are of the cursor: a difference is one when it stays."""
POLL_S: Final = 0.1

AnswerT = TypeVar("AnswerT")


async def compare_transfers(
    context: Context, witness: Witness, first: int, last: int
) -> tuple[int, list[DepositDifference]]:
    """Transfers to and from our addresses in blocks `first` to `last`: (how many addresses, what differs). Raises NodeFailed."""
    found: list[DepositDifference] = []
    addresses, after = 0, -1
    while True:
        async with context.database.begin() as unit:
            chunk = await unit.checked_addresses(after, ADDRESSES_MAX)
        if not chunk:
            return addresses, found
        for start in range(first, last + 1, BLOCKS_MAX):
            found += await _compare_chunk(context, witness, chunk, start, min(last, start + BLOCKS_MAX - 1))
        addresses, after = addresses + len(chunk), chunk[-1].index


async def compare_balances(
    context: Context, witness: Witness, changed_since: int | None
) -> tuple[int, list[DepositDifference]]:
    """What addresses hold against received less sent; all of them, or those with transfers since a height. Raises NodeFailed."""
    found: list[DepositDifference] = []
    addresses, after = 0, -1
    while True:
        async with context.database.begin() as unit:
            chunk = await unit.checked_addresses(after, BALANCES_AT_ONCE, changed_since)
        if not chunk:
            return addresses, found
        results = await all_ended(_compare_balance(context, witness, address) for address in chunk)
        found += [result for result in results if result is not None]
        addresses, after = addresses + len(chunk), chunk[-1].index


async def patiently(ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """A node that gives no answer is asked again, a few times. Raises its last NodeFailed."""
    for attempt in range(TRIES - 1):
        try:
            return await ask()
        except NodeFailed:
            await asyncio.sleep(RETRY_S * 2**attempt)
    return await ask()


async def _compare_chunk(
    context: Context, witness: Witness, chunk: Sequence[CheckedAddress], first: int, last: int
) -> list[DepositDifference]:
    addresses = [address.address for address in chunk]
    indexes = [address.index for address in chunk]
    arrived = await patiently(lambda: witness.transfers_to(addresses, first, last))
    left = await patiently(lambda: witness.transfers_from(addresses, first, last))
    async with context.database.begin() as unit:
        known_in = await unit.moved_in(indexes, first, last)
        known_out = await unit.moved_out(indexes, first, last)
    arrived = await _succeeded(witness, arrived, known_in)
    left = await _succeeded(witness, left, known_out)
    return [
        *transfer_differences(RECEIVED_CHECK, arrived, known_in),
        *transfer_differences(SENT_CHECK, left, known_out),
    ]


async def _succeeded(witness: Witness, told: Sequence[Moved], known: Sequence[Moved]) -> list[Moved]:
    """Logs don't tell whether their transaction succeeded: of those that the records lack, only what the transaction itself confirms."""
    doubted = {moved.txid for moved, _ in lacking(told, known)}
    kept = [moved for moved in told if moved.txid not in doubted]
    asked = set(told)
    for txid in sorted(doubted):
        confirmed = await patiently(lambda txid=txid: witness.transfers_in(txid))
        kept += [moved for moved in confirmed if moved in asked]
    return kept


async def _compare_balance(context: Context, witness: Witness, address: CheckedAddress) -> DepositDifference | None:
    of, expected, held = address.address, 0, 0
    for _ in range(BALANCE_TRIES):
        held = await patiently(lambda: witness.usdt_balance(of))
        expected = address.received_micro_usdt - address.sent_micro_usdt
        if held == expected:
            return None
        await _wait_for_cursor(context, await patiently(witness.solid_height))
        async with context.database.begin() as unit:
            address = (await unit.checked_addresses(address.index - 1, 1))[0]
        if held == address.received_micro_usdt - address.sent_micro_usdt:
            return None
    return difference(BALANCE_CHECK, address_text(of), f"{held} on the chain", f"{expected} in the records")


async def _wait_for_cursor(context: Context, height: int) -> None:
    for _ in range(int(BALANCE_WAIT_S / POLL_S)):
        async with context.database.begin() as unit:
            cursor = await unit.read_cursor(context.rules.network)
        if cursor is not None and cursor.block.height >= height:
            return
        await asyncio.sleep(POLL_S)
