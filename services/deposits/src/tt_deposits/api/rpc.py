"""The RPC methods of deposits: each checks its request, calls one use case and answers.

A database that can't be reached is `unavailable` to the caller, who sends the same request again; every request is safe to repeat.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from tt_common.bus.rpc import RpcServer
from tt_common.contracts import deposits as d
from tt_deposits.api import requests as check
from tt_deposits.usecases import decide, export_sweep, halt, orders, reconcile, records
from tt_deposits.usecases.assign_address import assign_address
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.desk_ports import Witness
from tt_deposits.usecases.ports import Assignments
from tt_deposits.usecases.rescan import start_rescan
from tt_deposits.usecases.scanner_state import scanner_state

RequestT = TypeVar("RequestT", bound=msgspec.Struct)
AskReconciliation = Callable[[d.RunReconciliation], Awaitable[d.ReconciliationReport]]


def register(
    server: RpcServer,
    context: Context,
    assignments: Assignments,
    witnesses: Sequence[Witness],
    ask_reconciliation: AskReconciliation,
) -> None:
    """Add every method to `server`; call before it starts."""

    def serve(
        subject: str,
        request_type: type[RequestT],
        checked: Callable[[RequestT], None],
        handle: Callable[[RequestT], Awaitable[msgspec.Struct]],
    ) -> None:
        async def handler(request: RequestT) -> msgspec.Struct:
            checked(request)
            return await handle(request)

        server.method(subject, request_type, handler)

    async def assign(account_id: str) -> d.AddressState:
        return await assign_address(context, assignments, d.GetAddress(account_id=account_id))

    serve(d.ADDRESS_GET, d.GetAddress, check.check_address, lambda r: assign_address(context, assignments, r))
    serve(d.ORDER_CREATE, d.CreateOrder, check.check_new_order, lambda r: orders.create_order(context, assign, r))
    serve(d.ORDER_GET, d.GetOrder, check.check_order, lambda r: orders.get_order(context, r))
    serve(d.ORDER_LIST, d.ListOrders, check.check_orders, lambda r: orders.list_orders(context, r))
    serve(d.ORDER_CANCEL, d.GetOrder, check.check_order, lambda r: orders.cancel_order(context, r))
    serve(d.RECORD_GET, d.GetRecord, check.check_record, lambda r: records.get_record(context, r))
    serve(d.RECORD_LIST, d.ListRecords, check.check_records, lambda r: records.list_records(context, r))
    serve(d.RECORD_DECIDE, d.Decide, check.check_decision, lambda r: decide.decide(context, r))
    serve(d.SCANNER_GET, d.GetScanner, check.check_scanner, lambda r: scanner_state(context, r))
    serve(d.SCANNER_RESCAN, d.StartRescan, check.check_rescan, lambda r: start_rescan(context, r))
    serve(d.SCANNER_RESUME, d.ResumeScanner, check.check_resume, lambda r: halt.resume(context, r))
    serve(d.SWEEP_EXPORT, d.ExportSweep, check.check_sweep, lambda r: export_sweep.export_sweep(context, witnesses, r))
    serve(d.RECONCILE, d.RunReconciliation, check.check_reconciliation, ask_reconciliation)
    serve(d.RECONCILIATION_GET, d.GetReconciliation, check.check_report, lambda r: reconcile.get_report(context, r))
