"""Write what a transaction has decided: rows, timelines, what addresses got, orders, events."""

from tt_deposits.domain.changes import Changes
from tt_deposits.usecases.desk_ports import DeskUnit


async def write_changes(unit: DeskUnit, changes: Changes) -> None:
    """All of it, in the caller's transaction."""
    await unit.save_deposits(changes.deposits.values())
    await unit.add_steps(changes.steps)
    await unit.add_received(changes.received)
    await unit.save_orders(changes.changed_orders.values())
    await unit.enqueue_events(changes.events)
