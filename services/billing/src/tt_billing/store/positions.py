"""How far a stream's messages are settled, stored with their effects."""

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.bus.consumer import StreamPosition
from tt_common.db.rows import run


async def read_position(connection: AsyncConnection, stream: str) -> StreamPosition | None:
    row = (
        await run(connection, "SELECT created, sequence FROM stream_positions WHERE stream = :stream", stream=stream)
    ).first()
    return None if row is None else StreamPosition(row.created, row.sequence)


async def save_position(connection: AsyncConnection, stream: str, position: StreamPosition) -> None:
    """The higher sequence wins within one incarnation of the stream; a new incarnation starts anew."""
    await run(
        connection,
        "INSERT INTO stream_positions AS p VALUES (:stream, :created, :sequence) ON CONFLICT (stream) DO UPDATE SET"
        " sequence = CASE WHEN p.created = excluded.created THEN GREATEST(p.sequence, excluded.sequence)"
        " ELSE excluded.sequence END, created = excluded.created",
        stream=stream,
        created=position.created,
        sequence=position.sequence,
    )
