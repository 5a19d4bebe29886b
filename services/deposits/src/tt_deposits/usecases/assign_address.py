"""An account's one address, for ever. It is committed and said before it is shown; one that nobody has checked is never given out.

Invariant: what a customer has seen is in the stream ADDRESSES, so that a database restored from any backup learns of it again; and the
stream is asked before an address is given, so that a database that went back under this process gives none away twice.
"""

import asyncio
import logging
from typing import Final

from tt_common.clock import monotonic_s
from tt_common.contracts.deposits import AddressState, GetAddress
from tt_common.errors import DomainError
from tt_deposits.domain.assignments import assigned_event
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.records import GivenAddress
from tt_deposits.usecases.adopt_addresses import adopt_addresses
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.ports import Assignments, Unit

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 5
SAID_WITHIN_S: Final = 2.0
LOOK_EVERY_S: Final = 0.01


class _GivenBefore(Exception):
    """The stream knows another account's assignment of the address that was to be given."""


async def assign_address(context: Context, assignments: Assignments, request: GetAddress) -> AddressState:
    """The account's, else the lowest spare one from now on. Idempotent. Error: deposits_unavailable, with retry_after_s."""
    account_id = request.account_id
    try:
        given, said = await _find_or_give(context, assignments, account_id)
    except _GivenBefore:
        log.error("the database was restored under this process: an address was about to be given twice")
        await adopt_addresses(context, assignments)
        raise _unavailable("whose addresses are whose is being read again") from None
    if not said:
        await _wait_until_said(context, given, account_id)
    return AddressState(
        account_id=account_id,
        address=address_text(given.address),
        network=context.rules.network,
        contract=address_text(context.watch.contract),
        minimum_micro_usdt=context.rules.minimum_micro_usdt,
        activated=given.activated,
        usable=not given.blacklisted,
        assigned_at_ms=given.assigned_at_ms,
    )


async def _find_or_give(context: Context, assignments: Assignments, account_id: str) -> tuple[GivenAddress, bool]:
    """The address, and whether its event has left the outbox."""
    async with context.database.begin() as unit:
        given = await unit.given_address(account_id)
        if given is not None:
            return given, not await unit.is_waiting_to_be_said(_event_id(context, given, account_id))
        given = await give_address(context, unit, account_id)
        if given is None:
            raise _unavailable("no address is ready now")
        holder = await assignments.holder(given.index)
        if holder is not None and (holder.xpub_fingerprint, holder.account_id) != (context.key.fingerprint, account_id):
            raise _GivenBefore
    context.poke_outbox()
    return given, False


async def give_address(context: Context, unit: Unit, account_id: str) -> GivenAddress | None:
    """In the caller's transaction, with the event. None where no address is ready."""
    given = await unit.give_address(account_id, context.now_ms())
    if given is not None:
        event = assigned_event(given, account_id, context.rules.network, context.key.fingerprint)
        await unit.enqueue_events([event])
    return given


async def _wait_until_said(context: Context, given: GivenAddress, account_id: str) -> None:
    event_id = _event_id(context, given, account_id)
    deadline_s = monotonic_s() + SAID_WITHIN_S
    while monotonic_s() < deadline_s:
        async with context.database.begin() as unit:
            if not await unit.is_waiting_to_be_said(event_id):
                return
        await asyncio.sleep(LOOK_EVERY_S)
    raise _unavailable("the address is not on record yet")


def _event_id(context: Context, given: GivenAddress, account_id: str) -> str:
    return assigned_event(given, account_id, context.rules.network, context.key.fingerprint).id


def _unavailable(message: str) -> DomainError:
    return DomainError("deposits_unavailable", message, retry_after_s=RETRY_AFTER_S)
