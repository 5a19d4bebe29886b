"""What a treasury needs to sweep: the addresses that got USDT, with the chain's own balances. It moves nothing itself."""

import asyncio
from collections.abc import Sequence
from typing import Final

from tt_common.contracts.deposits import ExportSweep, SweepPage, SweepRow
from tt_common.errors import Unavailable
from tt_deposits.domain.base58 import PREFIX, address_text
from tt_deposits.usecases.all_ended import all_ended
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.desk_ports import ChainAccount, SweptAddress, Witness
from tt_deposits.usecases.ports import NodeFailed

ROWS_MAX: Final = 500
WITH_BALANCES_MAX: Final = 100
"""Each address costs two questions to a node, and who asked waits."""
AT_ONCE: Final = 8


async def export_sweep(context: Context, witnesses: Sequence[Witness], request: ExportSweep) -> SweepPage:
    """By index. With balances: as of the newest solid block of the node that answered. Error: unavailable where none does."""
    limit = min(request.limit, WITH_BALANCES_MAX if request.balances else ROWS_MAX)
    async with context.database.begin() as unit:
        addresses = await unit.swept_addresses(request.after, limit)
    if not request.balances:
        return _page(context, addresses, limit, None, None, {})
    for witness in witnesses:
        try:
            # The height first: balances are of it, or newer.
            height, fee = await witness.solid_height(), await witness.energy_fee_sun()
            return _page(context, addresses, limit, height, fee, await _balances(witness, addresses))
        except NodeFailed:
            continue
    raise Unavailable("no node tells balances now")


async def _balances(witness: Witness, addresses: Sequence[SweptAddress]) -> dict[int, tuple[int, ChainAccount]]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(address: SweptAddress) -> tuple[int, ChainAccount]:
        async with turns:
            return await witness.usdt_balance(address.address), await witness.account(address.address)

    answers = await all_ended(ask(address) for address in addresses)
    return {address.index: answer for address, answer in zip(addresses, answers, strict=True)}


def _page(
    context: Context,
    addresses: Sequence[SweptAddress],
    limit: int,
    height: int | None,
    fee: int | None,
    balances: dict[int, tuple[int, ChainAccount]],
) -> SweepPage:
    return SweepPage(
        network=context.rules.network,
        xpub_fingerprint=context.key.fingerprint,
        solid_height=height,
        energy_fee_sun=fee,
        rows=tuple(_row(context, address, balances.get(address.index)) for address in addresses),
        next_after=addresses[-1].index if len(addresses) == limit else None,
    )


def _row(context: Context, address: SweptAddress, answer: tuple[int, ChainAccount] | None) -> SweepRow:
    account = answer[1] if answer is not None else None
    known = True if address.activated else None
    return SweepRow(
        index=address.index,
        path=context.key.path(address.index),
        address=address_text(address.address),
        address_hex=(PREFIX + address.address).hex(),
        account_id=address.account_id,
        received_micro_usdt=address.received_micro_usdt,
        sent_micro_usdt=address.sent_micro_usdt,
        unswept_micro_usdt=address.received_micro_usdt - address.sent_micro_usdt,
        balance_micro_usdt=answer[0] if answer is not None else None,
        trx_balance_sun=account.trx_sun if account is not None else None,
        activated=account.activated if account is not None else known,
        blacklisted=address.blacklisted,
        last_deposit_at_ms=address.last_deposit_at_ms,
    )
