"""Take a batch of usage events into the read model. Repeats and reordering change nothing."""

from collections.abc import Sequence

from tt_common.bus.consumer import StreamPosition
from tt_common.contracts.events import UsageEvent
from tt_console.domain.usage import usage_row
from tt_console.usecases.ports import Database

STREAM = "USAGE"


async def ingest_usage(database: Database, events: Sequence[UsageEvent], position: StreamPosition) -> int:
    """Rows, rollups and the position in one transaction; returns how many events were new. Raises while a rebuild runs."""
    async with database.transaction() as unit:
        await unit.usage.share_with_rebuild()
        new = await unit.usage.add([usage_row(event) for event in events])
        await unit.positions.remember(STREAM, position)
    return new
