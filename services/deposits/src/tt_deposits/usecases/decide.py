"""An operator's decision about a deposit: release, refuse, assign."""

import logging

from tt_common.contracts.deposits import Decide, DepositRecord
from tt_common.errors import DomainError
from tt_deposits.domain import decisions
from tt_deposits.domain.changes import Changes
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.records import record_in
from tt_deposits.usecases.write_changes import write_changes

log = logging.getLogger(__name__)


async def decide(context: Context, request: Decide) -> DepositRecord:
    """The same decision again is answered as done. Errors: deposit_not_found, invalid_state."""
    heads = await context.nodes.heads()
    async with context.database.begin() as unit:
        deposit = (await unit.lock_deposits([request.deposit_id])).get(request.deposit_id)
        if deposit is None:
            raise DomainError("deposit_not_found", "no such deposit")
        account_id = request.account_id if request.decision == "assign" else deposit.account_id
        orders = await unit.lock_wanting_orders([account_id]) if account_id is not None else []
        changes = Changes(context.rules, context.now_ms(), orders)
        decided = decisions.decide(changes, deposit, request)
        await write_changes(unit, changes)
        record = await record_in(unit, deposit, heads)
    if decided:
        context.poke_outbox()
        log.info("deposit decided", extra={"deposit_id": deposit.deposit_id, "decision": request.decision})
    return record
