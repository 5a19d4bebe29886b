"""The chain as it was read: cursor, newest block ids, halt, and which xpub and network this database belongs to."""

from collections.abc import Collection, Iterable, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import array, run
from tt_deposits.domain.records import BlockRef, Cursor, Halt


async def pin_xpub(connection: AsyncConnection, network: str, fingerprint: str, now_ms: int) -> tuple[str, str]:
    """(network, fingerprint) that this database belongs to for ever: the given ones, where it belonged to none yet."""
    await run(
        connection,
        "INSERT INTO xpub_pin VALUES (1, :network, :fingerprint, :now_ms) ON CONFLICT (id) DO NOTHING",
        network=network,
        fingerprint=fingerprint,
        now_ms=now_ms,
    )
    row = (await run(connection, "SELECT network, fingerprint FROM xpub_pin WHERE id = 1")).one()
    return row.network, row.fingerprint


async def read_cursor(connection: AsyncConnection, network: str) -> Cursor | None:
    """None before the first block."""
    return await _cursor(connection, "SELECT * FROM cursor WHERE network = :network", network)


async def lock_cursor(connection: AsyncConnection, network: str, *, shared: bool = False) -> Cursor | None:
    """For who moves it; `shared` for who only needs it not to move meanwhile."""
    strength = "SHARE" if shared else "UPDATE"
    return await _cursor(connection, f"SELECT * FROM cursor WHERE network = :network FOR {strength}", network)


async def start_cursor(connection: AsyncConnection, network: str, block: BlockRef, now_ms: int) -> None:
    """The scan begins with the block after this one. Does nothing where it has begun."""
    await run(
        connection,
        "INSERT INTO cursor VALUES (:network, :height, :block_id, :time_ms, :now_ms) ON CONFLICT (network) DO NOTHING",
        network=network,
        height=block.height,
        block_id=block.block_id,
        time_ms=block.time_ms,
        now_ms=now_ms,
    )


async def move_cursor(connection: AsyncConnection, network: str, block: BlockRef, now_ms: int) -> None:
    """Forward; whoever calls holds its lock."""
    await run(
        connection,
        "UPDATE cursor SET height = :height, block_id = :block_id, block_time_ms = :time_ms, scanned_at_ms = :now_ms"
        " WHERE network = :network",
        network=network,
        height=block.height,
        block_id=block.block_id,
        time_ms=block.time_ms,
        now_ms=now_ms,
    )


async def add_blocks(connection: AsyncConnection, blocks: Sequence[BlockRef]) -> None:
    await run(
        connection,
        "INSERT INTO blocks SELECT * FROM unnest(CAST(:heights AS bigint[]), CAST(:ids AS bytea[]))",
        heights=array([block.height for block in blocks]),
        ids=bytea_array(block.block_id for block in blocks),
    )


async def prune_blocks(connection: AsyncConnection, height_max: int) -> None:
    """Forget those up to that height."""
    await run(connection, "DELETE FROM blocks WHERE height <= :height", height=height_max)


async def read_block_ids(connection: AsyncConnection, heights: Collection[int]) -> dict[int, bytes]:
    """Of those heights that are remembered."""
    if not heights:
        return {}
    found = await run(
        connection,
        "SELECT height, block_id FROM blocks WHERE height = ANY(CAST(:heights AS bigint[]))",
        heights=array(heights),
    )
    return {row.height: bytes(row.block_id) for row in found}


async def read_halt(connection: AsyncConnection, network: str) -> Halt | None:
    """None while all is well."""
    row = (await run(connection, "SELECT * FROM halt WHERE network = :network", network=network)).first()
    if row is None:
        return None
    return Halt(reason=row.reason, height=row.height, details=row.details, halted_at_ms=row.halted_at_ms)


async def add_halt(connection: AsyncConnection, network: str, halt: Halt) -> bool:
    """False where there is one already: the first is the one to look at."""
    added = await run(
        connection,
        "INSERT INTO halt VALUES (:network, :reason, :height, CAST(:details AS jsonb), :now_ms)"
        " ON CONFLICT (network) DO NOTHING",
        network=network,
        reason=halt.reason,
        height=halt.height,
        details=msgspec.json.encode(halt.details).decode(),
        now_ms=halt.halted_at_ms,
    )
    return added.rowcount == 1


async def end_halt(connection: AsyncConnection, network: str, actor: str, reason: str, now_ms: int) -> bool:
    """Moves it to the ended ones; False where there is none."""
    ended = await run(
        connection,
        "WITH ended AS (DELETE FROM halt WHERE network = :network RETURNING *)"
        " INSERT INTO halts (reason, height, details, halted_at_ms, resumed_at_ms, resumed_by, resume_reason)"
        " SELECT reason, height, details, halted_at_ms, :now_ms, :actor, :reason FROM ended",
        network=network,
        actor=actor,
        reason=reason,
        now_ms=now_ms,
    )
    return ended.rowcount == 1


def bytea_array(values: Iterable[bytes]) -> str:
    """A PostgreSQL array literal, for `CAST(:parameter AS bytea[])`."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


async def _cursor(connection: AsyncConnection, sql: str, network: str) -> Cursor | None:
    row = (await run(connection, sql, network=network)).first()
    if row is None:
        return None
    block = BlockRef(height=row.height, block_id=bytes(row.block_id), time_ms=row.block_time_ms)
    return Cursor(block=block, scanned_at_ms=row.scanned_at_ms)
