"""Open, extend or renew a grant; where money or slices are short, recall what other grants have unreserved and decide
again.

Invariant: a refusal is given on complete knowledge only. A grant that might hold something free and did not answer
makes it `grant_incomplete_knowledge`, which says: try again.
"""

from tt_billing.domain.grants import Refusal
from tt_billing.domain.records import OtherGrant
from tt_billing.usecases.grant_batch import GrantBatch, Refused
from tt_billing.usecases.ports import RecallGrants
from tt_common.contracts.grants import ChangeGrant, GrantReply
from tt_common.errors import DomainError

RECALL_ROUNDS_MAX = 3
INCOMPLETE_RETRY_S = 1


async def change_grant(batch: GrantBatch, recall: RecallGrants, request: ChangeGrant) -> GrantReply:
    """Raises the errors that the contract names."""
    answered: dict[str, int] = {}
    outcome = await batch.change(request)
    for _ in range(RECALL_ROUNDS_MAX):
        if not isinstance(outcome, Refused):
            return outcome
        asked = {other.grant_id for other in unknown(outcome, answered) if other.state == "open"}
        if not asked:
            break
        got = await recall(outcome.refusal.account_id, asked)
        answered.update(got)
        outcome = await batch.change(request)
        if got.keys() != asked:
            break
    if not isinstance(outcome, Refused):
        return outcome
    if unknown(outcome, answered):
        raise incomplete_knowledge()
    raise outcome.refusal.error


def incomplete_knowledge() -> DomainError:
    return DomainError(
        "grant_incomplete_knowledge", "an edge has not said what it can give back", retry_after_s=INCOMPLETE_RETRY_S
    )


def recallable(outcome: Refused) -> list[OtherGrant]:
    """The other grants that may have some of what is short."""
    return [other for other in outcome.others if _has(other, outcome.refusal)]


def unknown(outcome: Refused, answered: dict[str, int]) -> list[OtherGrant]:
    """The recallable grants of which it is not known what they hold free.

    A grant that was given more than its edge had seen when it answered may have some of that left.
    """
    money = outcome.refusal.shortage in ("wallet", "month")
    return [
        other
        for other in recallable(outcome)
        if other.grant_id not in answered or (money and answered[other.grant_id] < other.granted_nanousd)
    ]


def _has(other: OtherGrant, refusal: Refusal) -> bool:
    if refusal.shortage == "wallet":
        return other.held_nanousd > 0
    if other.key_id != refusal.key_id:
        return False
    if refusal.shortage == "month":
        return other.held_nanousd > 0 and other.month == refusal.month
    if refusal.shortage == "requests":
        return other.slice_requests > 0 and not other.requests_all_used
    if refusal.shortage == "tokens":
        return other.slice_tokens > 0
    return other.slice_concurrency > 0
