"""Rebuild every projection from the log and compare; the log is the truth. Changes nothing."""

import msgspec

from tt_billing.domain.records import Difference
from tt_billing.usecases.ports import Database


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """`transfers` were replayed; no differences is what it should be."""

    transfers: int
    differences: tuple[Difference, ...]


async def replay(database: Database) -> ReplayReport:
    """One snapshot, so it may run beside the service."""
    async with database.snapshot() as unit:
        found = await unit.replay_differences()
        return ReplayReport(transfers=await unit.ledger_size(), differences=tuple(found))
