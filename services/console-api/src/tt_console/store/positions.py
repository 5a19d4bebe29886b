"""How far each stream was settled, stored with the effects."""

from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.bus.consumer import StreamPosition
from tt_console.store.tables import stream_positions


class PositionStore:
    """Fulfils `usecases.ports.Positions` on the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def read(self, stream: str) -> StreamPosition | None:
        query = select(stream_positions).where(stream_positions.c.stream == stream)
        row = (await self._connection.execute(query)).first()
        return StreamPosition(row.created, row.sequence) if row else None

    async def remember(self, stream: str, position: StreamPosition) -> None:
        statement = insert(stream_positions).values(stream=stream, created=position.created, sequence=position.sequence)
        same = stream_positions.c.created == statement.excluded.created
        furthest = func.greatest(stream_positions.c.sequence, statement.excluded.sequence)
        statement = statement.on_conflict_do_update(
            index_elements=["stream"],
            set_={
                "created": statement.excluded.created,
                # The furthest within one incarnation of the stream; the new one's after the stream was made anew.
                "sequence": case((same, furthest), else_=statement.excluded.sequence),
            },
        )
        await self._connection.execute(statement)
