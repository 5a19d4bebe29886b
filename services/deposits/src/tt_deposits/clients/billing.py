"""Billing's ledger, asked what it has of deposits."""

from typing import Final

from nats.aio.client import Client

from tt_common.bus.rpc import call
from tt_common.contracts.wallets import DEPOSITS_BOOKED, BookedDepositPage, ListBookedDeposits

PAGE: Final = 1_000
TIMEOUT_S: Final = 10.0


class BillingLedger:
    """See usecases.desk_ports.Ledger."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def booked(self, after: int) -> BookedDepositPage:
        request = ListBookedDeposits(after=after, limit=PAGE)
        return await call(self._nc, DEPOSITS_BOOKED, request, BookedDepositPage, TIMEOUT_S)
