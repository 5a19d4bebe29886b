"""An account's one address, for ever. It is committed before it is shown; one that nobody has checked is never given out."""

from typing import Final

from tt_common.contracts.deposits import AddressState, GetAddress
from tt_common.errors import DomainError
from tt_deposits.domain.base58 import address_text
from tt_deposits.usecases.context import Context

RETRY_AFTER_S: Final = 5


async def assign_address(context: Context, request: GetAddress) -> AddressState:
    """The account's, else the lowest spare one from now on. Idempotent. Error: deposits_unavailable, with retry_after_s."""
    async with context.database.begin() as unit:
        given = await unit.given_address(request.account_id)
        if given is None:
            given = await unit.give_address(request.account_id, context.now_ms())
    if given is None:
        raise DomainError("deposits_unavailable", "no address is ready now", retry_after_s=RETRY_AFTER_S)
    return AddressState(
        account_id=request.account_id,
        address=address_text(given.address),
        network=context.rules.network,
        contract=address_text(context.watch.contract),
        minimum_micro_usdt=context.rules.minimum_micro_usdt,
        activated=given.activated,
        usable=not given.blacklisted,
        assigned_at_ms=given.assigned_at_ms,
    )
