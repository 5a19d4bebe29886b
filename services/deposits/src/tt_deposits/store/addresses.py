"""Addresses: looked up by their 20 bytes, a block's at once, so that the cost doesn't grow with how many there are."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import array, run
from tt_deposits.domain.records import Address, AddressCounts, GivenAddress
from tt_deposits.store.chain import bytea_array

_FIND: Final = (
    "SELECT index AS number, address, account_id, blacklisted_at_ms FROM addresses"
    " WHERE address = ANY(CAST(:parties AS bytea[]))"
)
SPARE: Final = "account_id IS NULL AND skipped_reason = '' AND received_micro_usdt = 0 AND blacklisted_at_ms IS NULL"
"""One that got something is suspense's; it is given to nobody."""


async def find_addresses(connection: AsyncConnection, parties: Collection[bytes]) -> dict[bytes, Address]:
    """Those of `parties` that are ours."""
    return await _find(connection, _FIND, parties)


async def lock_addresses(connection: AsyncConnection, parties: Collection[bytes]) -> dict[bytes, Address]:
    """The same, locked in the order of their indexes."""
    return await _find(connection, f"{_FIND} ORDER BY index FOR UPDATE", parties)


async def set_blacklisted(connection: AsyncConnection, index: int, at_ms: int | None) -> None:
    """By the contract's owner; None: not any more."""
    await run(
        connection, "UPDATE addresses SET blacklisted_at_ms = :at_ms WHERE index = :index", index=index, at_ms=at_ms
    )


async def set_activated(connection: AsyncConnection, indexes: Collection[int], at_ms: int) -> None:
    """Once: what is activated stays so."""
    await run(
        connection,
        "UPDATE addresses SET activated_at_ms = :at_ms"
        " WHERE index = ANY(CAST(:indexes AS bigint[])) AND activated_at_ms IS NULL",
        indexes=array(indexes),
        at_ms=at_ms,
    )


async def count_spare(connection: AsyncConnection, most: int) -> int:
    """Addresses that are ready to be given out, counted up to `most` by their index: the given ones cost nothing."""
    sql = f"SELECT count(*) FROM (SELECT 1 FROM addresses WHERE {SPARE} LIMIT :most) AS spare"
    return (await run(connection, sql, most=most)).scalar_one()


async def count_addresses_by_use(connection: AsyncConnection) -> AddressCounts:
    """Walks the whole table."""
    row = (
        await run(
            connection,
            "SELECT count(*) FILTER (WHERE account_id IS NOT NULL) AS assigned,"
            f" count(*) FILTER (WHERE {SPARE}) AS spare, count(*) FILTER (WHERE skipped_reason <> '') AS skipped,"
            " count(*) FILTER (WHERE skipped_reason = 'conflict') AS conflict,"
            " count(*) FILTER (WHERE blacklisted_at_ms IS NOT NULL) AS blacklisted FROM addresses",
        )
    ).one()
    return AddressCounts(
        assigned=row.assigned,
        spare=row.spare,
        skipped=row.skipped,
        conflict=row.conflict,
        blacklisted=row.blacklisted,
    )


async def next_index(connection: AsyncConnection) -> int:
    """The first index that was never derived."""
    return (await run(connection, "SELECT coalesce(max(index) + 1, 0) FROM addresses")).scalar_one()


async def add_address(
    connection: AsyncConnection, index: int, address: bytes, checked_height: int, skipped_reason: str, now_ms: int
) -> None:
    """A derived one; with a reason it is never given out. `checked_height`: solid, and it had nothing then."""
    await run(
        connection,
        "INSERT INTO addresses (index, address, checked_height, skipped_reason, made_at_ms)"
        " VALUES (:index, :address, :checked_height, :reason, :now_ms)",
        index=index,
        address=address,
        checked_height=checked_height,
        reason=skipped_reason,
        now_ms=now_ms,
    )


async def given_address(connection: AsyncConnection, account_id: str) -> GivenAddress | None:
    """None where the account has none yet."""
    row = (await run(connection, "SELECT * FROM addresses WHERE account_id = :id", id=account_id)).first()
    return None if row is None else given_of(row)


async def give_address(connection: AsyncConnection, account_id: str, now_ms: int) -> GivenAddress | None:
    """The account's address, or the lowest spare one from now on; None where there is none. One account waits for itself."""
    await run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:id, 0))", id=account_id)
    if (given := await given_address(connection, account_id)) is not None:
        return given
    given = await run(
        connection,
        "UPDATE addresses SET account_id = :id, assigned_at_ms = :now_ms WHERE index ="
        f" (SELECT index FROM addresses WHERE {SPARE} ORDER BY index LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *",
        id=account_id,
        now_ms=now_ms,
    )
    row = given.first()
    return None if row is None else given_of(row)


def given_of(row: Any) -> GivenAddress:
    """A row of the table that an account has."""
    return GivenAddress(
        index=row._mapping["index"],  # `row.index` is a tuple's method
        address=bytes(row.address),
        activated=row.activated_at_ms is not None,
        blacklisted=row.blacklisted_at_ms is not None,
        checked_height=row.checked_height,
        assigned_at_ms=row.assigned_at_ms,
    )


async def _find(connection: AsyncConnection, sql: str, parties: Collection[bytes]) -> dict[bytes, Address]:
    if not parties:
        return {}
    found: dict[bytes, Address] = {}
    for row in await run(connection, sql, parties=bytea_array(parties)):
        address = bytes(row.address)
        found[address] = Address(
            index=row.number,
            address=address,
            account_id=row.account_id,
            blacklisted=row.blacklisted_at_ms is not None,
        )
    return found
