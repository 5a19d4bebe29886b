"""What an operator may decide about a deposit, and when it has been decided already."""

from tt_common.contracts.deposits import Decide
from tt_common.errors import DomainError
from tt_deposits.domain.changes import Changes
from tt_deposits.domain.records import Deposit


def decide(changes: Changes, deposit: Deposit, request: Decide) -> bool:
    """Carry a decision out; False where it was carried out before. Raises invalid_state where the deposit is not where it needs it.

    What the ledger can't book stays under review: neither wallet nor suspense can take it.
    """
    if _done(deposit, request):
        return False
    actor, reason = request.actor, request.reason
    if request.decision == "assign":
        if deposit.state != "suspense" or not deposit.booked:
            raise _invalid_state(deposit, "only what is in suspense, and booked there, can be assigned")
        deposit.account_id = request.account_id
        changes.credit(deposit, "assign", actor, reason)
        return True
    if deposit.state != "under_review":
        raise _invalid_state(deposit, "it is not under review")
    if deposit.held_reason == "amount_overflow":
        raise _invalid_state(deposit, "the ledger can't book that much")
    if request.decision == "release":
        changes.credit(deposit, "credit", actor, reason)
    else:
        changes.suspend(deposit, actor, reason)
    return True


def _done(deposit: Deposit, request: Decide) -> bool:
    if request.decision == "assign":
        return deposit.entry == "assign" and deposit.account_id == request.account_id
    if not deposit.held_reason:
        return False
    # What was refused may have been assigned since.
    return deposit.entry in (("credit",) if request.decision == "release" else ("suspend", "assign"))


def _invalid_state(deposit: Deposit, message: str) -> DomainError:
    return DomainError("invalid_state", message, state=deposit.state, booked=deposit.booked)
