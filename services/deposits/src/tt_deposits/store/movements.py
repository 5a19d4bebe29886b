"""What moved beside deposits: transfers from our addresses, other assets to them, and what the contract's owner did.

Everything is named by transaction and log, so that the same block again changes nothing.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import run
from tt_deposits.domain.blocks import ContractEvent, OtherAsset
from tt_deposits.domain.records import Address, BlockRef, Outgoing


async def add_outgoing(connection: AsyncConnection, transfers: Sequence[Outgoing], block: BlockRef) -> None:
    """With what each address has sent in all."""
    for outgoing in transfers:
        transfer = outgoing.transfer
        await run(
            connection,
            "WITH added AS (INSERT INTO outgoing_transfers"
            " VALUES (:txid, :log_index, :index, :to_address, :amount, :height, :time_ms)"
            " ON CONFLICT (txid, log_index) DO NOTHING RETURNING address_index, amount_micro_usdt)"
            " UPDATE addresses SET sent_micro_usdt = sent_micro_usdt + added.amount_micro_usdt"
            " FROM added WHERE index = added.address_index",
            txid=transfer.txid,
            log_index=transfer.log_index,
            index=outgoing.address.index,
            to_address=transfer.recipient,
            amount=transfer.amount_micro_usdt,
            height=block.height,
            time_ms=block.time_ms,
        )


async def add_unsupported(
    connection: AsyncConnection, assets: Iterable[tuple[OtherAsset, Address]], block: BlockRef
) -> None:
    """TRX and other tokens that came to our addresses: counted, never credited, never named."""
    for asset, address in assets:
        await run(
            connection,
            "INSERT INTO unsupported_transfers"
            " VALUES (:txid, :log_index, :index, :kind, :contract, :amount, :height, :time_ms)"
            " ON CONFLICT (txid, log_index) DO NOTHING",
            txid=asset.txid,
            log_index=asset.log_index,
            index=address.index,
            kind=asset.kind,
            contract=asset.contract,
            amount=asset.amount,
            height=block.height,
            time_ms=block.time_ms,
        )


async def add_contract_event(connection: AsyncConnection, event: ContractEvent, block: BlockRef) -> bool:
    """False where it was known."""
    added = await run(
        connection,
        "INSERT INTO contract_events VALUES (:txid, :log_index, :kind, :subject, :height, :time_ms)"
        " ON CONFLICT (txid, log_index) DO NOTHING",
        txid=event.txid,
        log_index=event.log_index,
        kind=event.kind,
        subject=event.subject,
        height=block.height,
        time_ms=block.time_ms,
    )
    return added.rowcount == 1


async def count_unsupported(connection: AsyncConnection) -> dict[str, int]:
    """By kind: trx, token."""
    found = await run(connection, "SELECT kind, count(*) AS number FROM unsupported_transfers GROUP BY kind")
    return {row.kind: row.number for row in found}
