"""A stream ADDRESSES that was made anew gets every assignment that the database has, a few at a time."""

from typing import Final

from tt_common.bus.consumer import StreamPosition
from tt_deposits.domain.assignments import assigned_event
from tt_deposits.domain.derivation import HARDENED
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.ports import Assignments

POSITION: Final = "ADDRESSES, put back"
"""Under this name is stored how far this incarnation of the stream has been filled: the next index."""
DONE: Final = HARDENED


async def put_back_addresses(context: Context, assignments: Assignments, limit: int) -> bool:
    """The next `limit` of them; False where nothing is left. What the stream has already changes nothing in it."""
    state = await assignments.state()
    async with context.database.begin() as unit:
        position = await unit.read_position(POSITION)
        first = position.sequence if position is not None and position.created == state.created else 0
        if first == DONE:
            return False
        given = await unit.assigned_addresses(first, limit)
        await unit.enqueue_again(
            [assigned_event(one, account, context.rules.network, context.key.fingerprint) for account, one in given]
        )
        more = len(given) == limit
        following = given[-1][1].index + 1 if more else DONE
        await unit.save_position(POSITION, StreamPosition(state.created, following), 0)
    if given:
        context.poke_outbox()
    return more
