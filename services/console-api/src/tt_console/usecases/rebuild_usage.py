"""Refill the usage read model from billing's own event table, exactly, while the consumers may run.

One transaction: readers see the old rows until all is there, and a rebuild that breaks off changes nothing. What the stream holds
beyond what billing had settled at the start is read from the stream itself; everything below is in billing's table by then.
"""

from tt_console.domain.usage import usage_row
from tt_console.usecases.ports import Billing, Database, UsageStream


async def rebuild_usage(database: Database, billing: Billing, stream: UsageStream) -> int:
    """How many calls the read model holds afterwards. Raises Unavailable when billing is away."""
    rows = 0
    async with database.transaction() as unit:
        await unit.usage.keep_others_out()
        settled = await stream.settled_by_billing()
        await unit.usage.clear()
        async for events in billing.export_usage():
            rows += await unit.usage.add([usage_row(event) for event in events])
        async for events in stream.read_after(settled):
            rows += await unit.usage.add([usage_row(event) for event in events])
    return rows
