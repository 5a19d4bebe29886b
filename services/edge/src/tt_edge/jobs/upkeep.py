"""Once a second: the credit keeper's housekeeping."""

import asyncio

from tt_edge.credit.keeper import CreditKeeper

EVERY_S = 1.0


async def upkeep_for_ever(credit: CreditKeeper) -> None:
    """Renew, give back, close. Ends by cancellation."""
    while True:
        await asyncio.sleep(EVERY_S)
        await credit.upkeep()
