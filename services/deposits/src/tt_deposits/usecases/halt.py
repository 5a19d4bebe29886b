"""Nothing is credited while a halt is there: nodes disagree, history changed, or the contract was replaced. A person ends it."""

import logging
from typing import Any

from tt_common.contracts.deposit_events import ScannerHalted
from tt_common.contracts.deposits import ResumeScanner
from tt_common.contracts.grants import Ack
from tt_common.errors import DomainError
from tt_common.ids import derived_event_id
from tt_deposits.domain.records import Halt
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.ports import Unit

log = logging.getLogger(__name__)


class MustHalt(Exception):
    """What was read must not be believed. `reason`: nodes_disagree, parent_mismatch or contract_deprecated."""

    def __init__(self, reason: str, height: int, **details: Any) -> None:
        super().__init__(f"{reason} at {height}")
        self.reason = reason
        self.height = height
        self.details = details


async def halt(context: Context, why: MustHalt) -> None:
    """In a transaction of its own. Once: a second reason waits until the first is resolved."""
    async with context.database.begin() as unit:
        await halt_in(context, unit, why)
    context.poke_outbox()


async def halt_in(context: Context, unit: Unit, why: MustHalt) -> None:
    """In the caller's transaction, with the event that tells of it."""
    now_ms, network = context.now_ms(), context.rules.network
    found = Halt(reason=why.reason, height=why.height, details=why.details, halted_at_ms=now_ms)
    if await unit.add_halt(network, found):
        log.error("halted: an operator has to look", extra={"reason": why.reason, "height": why.height} | why.details)
        event_id = derived_event_id("scanner_halted", network, why.reason, str(why.height), str(now_ms))
        event = ScannerHalted(id=event_id, network=network, reason=why.reason, height=why.height, at_ms=now_ms)
        await unit.enqueue_events([event])
    context.metrics.halted.set(1)


async def resume(context: Context, request: ResumeScanner) -> Ack:
    """The scanner goes on with its next look, and halts again where the cause is still there. Error: invalid_state."""
    async with context.database.begin() as unit:
        if not await unit.end_halt(context.rules.network, request.actor, request.reason, context.now_ms()):
            raise DomainError("invalid_state", "the scanner is not halted")
    context.metrics.halted.set(0)
    log.warning("resumed", extra={"actor": request.actor, "reason": request.reason})
    return Ack()
