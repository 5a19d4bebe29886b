"""Whose address is whose, for the stream ADDRESSES: what it has taught, what it is taught, and what nobody gets."""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.bus.events import MESSAGE_ID
from tt_common.contracts.deposit_events import AddressAssigned
from tt_common.db.rows import array, run
from tt_deposits.domain.assignments import CONFLICT, Claim
from tt_deposits.domain.records import GivenAddress
from tt_deposits.store.addresses import SPARE, given_of


async def lock_claims(
    connection: AsyncConnection, indexes: Collection[int], account_ids: Collection[str]
) -> list[Claim]:
    """The rows of these indexes and of these accounts, locked in the order of their indexes."""
    found = await run(
        connection,
        "SELECT index AS number, account_id, skipped_reason FROM addresses"
        " WHERE index = ANY(CAST(:indexes AS bigint[])) OR account_id = ANY(CAST(:accounts AS text[]))"
        " ORDER BY index FOR UPDATE",
        indexes=array(indexes),
        accounts=array(account_ids),
    )
    return [Claim(index=r.number, account_id=r.account_id, skipped_reason=r.skipped_reason) for r in found]


async def adopt_address(connection: AsyncConnection, event: AddressAssigned, address: bytes, now_ms: int) -> None:
    """The address is the account's from now on, whether it is known yet or not."""
    await run(
        connection,
        "INSERT INTO addresses (index, address, account_id, checked_height, made_at_ms, assigned_at_ms)"
        " VALUES (:index, :address, :account_id, :checked_height, :now_ms, :assigned_at_ms)"
        " ON CONFLICT (index) DO UPDATE SET account_id = excluded.account_id, skipped_reason = '',"
        " assigned_at_ms = excluded.assigned_at_ms",
        index=event.index,
        address=address,
        account_id=event.account_id,
        checked_height=event.checked_height,
        now_ms=now_ms,
        assigned_at_ms=event.assigned_at_ms,
    )


async def retire_address(connection: AsyncConnection, index: int, address: bytes, now_ms: int) -> None:
    """Nobody has it, and nobody gets it; it is watched."""
    await run(
        connection,
        "INSERT INTO addresses (index, address, checked_height, skipped_reason, made_at_ms)"
        " VALUES (:index, :address, 0, :reason, :now_ms)"
        " ON CONFLICT (index) DO UPDATE SET account_id = NULL, assigned_at_ms = NULL, skipped_reason = :reason",
        index=index,
        address=address,
        reason=CONFLICT,
        now_ms=now_ms,
    )


async def retire_spares(connection: AsyncConnection, reason: str) -> int:
    """Spare ones below the highest that is given; how many."""
    retired = await run(
        connection,
        f"UPDATE addresses SET skipped_reason = :reason WHERE {SPARE}"
        " AND index < (SELECT max(index) FROM addresses WHERE account_id IS NOT NULL)",
        reason=reason,
    )
    return retired.rowcount


async def missing_indexes(connection: AsyncConnection, limit: int) -> list[int]:
    """Below the highest that is given, and not in the table."""
    found = await run(
        connection,
        "SELECT number FROM generate_series(0, (SELECT max(index) FROM addresses WHERE account_id IS NOT NULL)) AS number"
        " WHERE NOT EXISTS (SELECT 1 FROM addresses WHERE index = number) ORDER BY number LIMIT :row_limit",
        row_limit=limit,
    )
    return [row.number for row in found]


async def assigned_addresses(
    connection: AsyncConnection, first_index: int, limit: int
) -> list[tuple[str, GivenAddress]]:
    """Account and address, by index from `first_index` on."""
    found = await run(
        connection,
        "SELECT * FROM addresses WHERE index >= :first AND account_id IS NOT NULL ORDER BY index LIMIT :row_limit",
        first=first_index,
        row_limit=limit,
    )
    return [(row.account_id, given_of(row)) for row in found]


async def is_waiting_to_be_said(connection: AsyncConnection, event_id: str) -> bool:
    """Whether the event is in the outbox, said for the first time; what is only put back into the stream is not."""
    found = await run(
        connection,
        f"SELECT EXISTS (SELECT 1 FROM outbox WHERE headers ->> '{MESSAGE_ID}' = :event_id)",
        event_id=event_id,
    )
    return bool(found.scalar_one())
