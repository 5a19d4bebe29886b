"""The deposits service over NATS RPC. Raises the DomainError that it answered with, or Unavailable `deposits_unavailable`."""

from typing import Final, TypeVar

import msgspec
from nats.aio.client import Client

from tt_common.bus.rpc import call
from tt_common.contracts import deposits
from tt_common.errors import DomainError, Unavailable

TIMEOUT_S: Final = 3.0
SWEEP_TIMEOUT_S: Final = 20.0
"""An export asks the chain for balances."""
RETRY_AFTER_S: Final = 2

ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)


class DepositsClient:
    """One method an RPC; fulfils `usecases.ports.Deposits`. Every request is safe to repeat as contracts/deposits.py says."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def address(self, account_id: str) -> deposits.AddressState:
        request = deposits.GetAddress(account_id=account_id)
        return await self._call(deposits.ADDRESS_GET, request, deposits.AddressState)

    async def create_order(self, request: deposits.CreateOrder) -> deposits.Order:
        return await self._call(deposits.ORDER_CREATE, request, deposits.Order)

    async def order(self, account_id: str, order_id: str) -> deposits.Order:
        request = deposits.GetOrder(order_id=order_id, account_id=account_id)
        return await self._call(deposits.ORDER_GET, request, deposits.Order)

    async def orders(self, request: deposits.ListOrders) -> deposits.OrderPage:
        return await self._call(deposits.ORDER_LIST, request, deposits.OrderPage)

    async def cancel_order(self, account_id: str, order_id: str) -> deposits.Order:
        request = deposits.GetOrder(order_id=order_id, account_id=account_id)
        return await self._call(deposits.ORDER_CANCEL, request, deposits.Order)

    async def record(self, account_id: str | None, deposit_id: str) -> deposits.DepositRecord:
        """`account_id` of None is an operator's request."""
        request = deposits.GetRecord(deposit_id=deposit_id, account_id=account_id)
        return await self._call(deposits.RECORD_GET, request, deposits.DepositRecord)

    async def records(self, request: deposits.ListRecords) -> deposits.RecordPage:
        return await self._call(deposits.RECORD_LIST, request, deposits.RecordPage)

    async def decide(self, request: deposits.Decide) -> deposits.DepositRecord:
        return await self._call(deposits.RECORD_DECIDE, request, deposits.DepositRecord)

    async def scanner(self) -> deposits.ScannerState:
        return await self._call(deposits.SCANNER_GET, deposits.GetScanner(), deposits.ScannerState)

    async def resume_scanner(self, request: deposits.ResumeScanner) -> deposits.ScannerState:
        return await self._call(deposits.SCANNER_RESUME, request, deposits.ScannerState)

    async def start_rescan(self, request: deposits.StartRescan) -> deposits.Rescan:
        return await self._call(deposits.SCANNER_RESCAN, request, deposits.Rescan)

    async def sweep(self, request: deposits.ExportSweep) -> deposits.SweepPage:
        return await self._call(deposits.SWEEP_EXPORT, request, deposits.SweepPage, SWEEP_TIMEOUT_S)

    async def reconcile(self, request: deposits.RunReconciliation) -> deposits.ReconciliationReport:
        return await self._call(deposits.RECONCILE, request, deposits.ReconciliationReport)

    async def reconciliation(self) -> deposits.ReconciliationReport:
        request = deposits.GetReconciliation()
        return await self._call(deposits.RECONCILIATION_GET, request, deposits.ReconciliationReport)

    async def _call(
        self, subject: str, request: msgspec.Struct, reply_type: type[ReplyT], timeout_s: float = TIMEOUT_S
    ) -> ReplyT:
        try:
            return await call(self._nc, subject, request, reply_type, timeout_s)
        except Unavailable as error:
            raise _unavailable("deposits can't be reached now; try again") from error
        except DomainError as error:
            if error.code != "internal":
                raise
            raise _unavailable("deposits failed; try again") from error


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, "deposits_unavailable", retry_after_s=RETRY_AFTER_S)
