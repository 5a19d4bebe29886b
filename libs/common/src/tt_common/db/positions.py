"""How far a stream's messages are settled, stored with their effects in the service's table `stream_positions`."""

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.bus.consumer import StreamPosition
from tt_common.db.rows import run
from tt_common.errors import DatabaseWentBack

_SAVE = (
    "INSERT INTO stream_positions AS p SELECT CAST(:stream AS text), CAST(:created AS text), CAST(:sequence AS bigint)"
    " WHERE CAST(:not_below AS bigint) = 0 OR EXISTS (SELECT 1 FROM stream_positions WHERE stream = :stream)"
    " ON CONFLICT (stream) DO UPDATE SET"
    " sequence = CASE WHEN p.created = excluded.created THEN GREATEST(p.sequence, excluded.sequence)"
    " ELSE excluded.sequence END, created = excluded.created"
    " WHERE p.created <> excluded.created OR p.sequence >= CAST(:not_below AS bigint)"
)


async def read_position(connection: AsyncConnection, stream: str) -> StreamPosition | None:
    """None where nothing of the stream was settled."""
    row = (
        await run(connection, "SELECT created, sequence FROM stream_positions WHERE stream = :stream", stream=stream)
    ).first()
    return None if row is None else StreamPosition(row.created, row.sequence)


async def save_position(connection: AsyncConnection, stream: str, position: StreamPosition, not_below: int) -> None:
    """The higher sequence wins within one incarnation of the stream; a new incarnation starts anew.

    `not_below` is what the caller has committed before. Raises DatabaseWentBack where less is stored: the database was restored under
    a running process, and a higher position would hide what it lost.
    """
    saved = await run(
        connection,
        _SAVE,
        stream=stream,
        created=position.created,
        sequence=position.sequence,
        not_below=not_below,
    )
    if saved.rowcount == 0:
        raise DatabaseWentBack(f"{stream} was settled to {not_below}, and is not any more")
