"""Requests by RPC that make no sense are refused before a use case sees them."""

from collections.abc import Callable
from typing import Any

import pytest

from tt_common.contracts import deposits as d
from tt_common.errors import DomainError
from tt_deposits.api import requests as check

WORDS = {"actor": "op@example.com", "reason": "looked"}


@pytest.mark.parametrize(
    ("checked", "request_"),
    [
        (check.check_address, d.GetAddress(account_id="acc_1")),
        (check.check_new_order, d.CreateOrder(order_id="ord_1", account_id="acc_1")),
        (check.check_new_order, d.CreateOrder(order_id="o", account_id="a", amount_micro_usdt=1, note="für mich")),
        (check.check_records, d.ListRecords(account_id=None, states=("suspense",), before="1.dep_1")),
        (check.check_decision, d.Decide(deposit_id="dep_1", decision="assign", account_id="acc_1", **WORDS)),
        (check.check_decision, d.Decide(deposit_id="dep_1", decision="release", **WORDS)),
        (check.check_rescan, d.StartRescan(rescan_id="r", from_height=7, to_height=7, **WORDS)),
        (check.check_sweep, d.ExportSweep()),
    ],
)
def test_what_makes_sense_passes(checked: Callable[[Any], None], request_: Any) -> None:
    checked(request_)


@pytest.mark.parametrize(
    ("checked", "request_"),
    [
        (check.check_address, d.GetAddress(account_id="")),
        (check.check_address, d.GetAddress(account_id="acc.1")),
        (check.check_address, d.GetAddress(account_id="acc_*")),
        (check.check_address, d.GetAddress(account_id="house")),
        (check.check_new_order, d.CreateOrder(order_id="ord 1", account_id="acc_1")),
        (check.check_new_order, d.CreateOrder(order_id="o", account_id="a", amount_micro_usdt=0)),
        (check.check_new_order, d.CreateOrder(order_id="o", account_id="a", amount_micro_usdt=2**63)),
        (check.check_new_order, d.CreateOrder(order_id="o", account_id="a", note="n" * 201)),
        (check.check_new_order, d.CreateOrder(order_id="o", account_id="a", note="a\x00b")),
        (check.check_order, d.GetOrder(order_id="", account_id="a")),
        (check.check_orders, d.ListOrders(account_id="a", limit=0)),
        (check.check_record, d.GetRecord(deposit_id="dep.1", account_id=None)),
        (check.check_records, d.ListRecords(account_id=None, before="\x00")),
        (check.check_records, d.ListRecords(account_id=None, limit=10**6)),
        (check.check_decision, d.Decide(deposit_id="dep_1", decision="assign", **WORDS)),
        (check.check_decision, d.Decide(deposit_id="dep_1", decision="assign", account_id="house", **WORDS)),
        (check.check_decision, d.Decide(deposit_id="dep_1", decision="refuse", account_id="acc_1", **WORDS)),
        (check.check_decision, d.Decide(deposit_id="dep_1", decision="release", actor=" ", reason="looked")),
        (check.check_decision, d.Decide(deposit_id="dep_1", decision="release", actor="op", reason="")),
        (check.check_decision, d.Decide(deposit_id="dep_1", decision="release", actor="a" * 321, reason="looked")),
        (check.check_decision, d.Decide(deposit_id="dep_1", decision="release", actor="a", reason="r" * 1001)),
        (check.check_resume, d.ResumeScanner(actor="op", reason="")),
        (check.check_rescan, d.StartRescan(rescan_id="r", from_height=8, to_height=7, **WORDS)),
        (check.check_rescan, d.StartRescan(rescan_id="r", from_height=-1, to_height=7, **WORDS)),
        (check.check_rescan, d.StartRescan(rescan_id="r", from_height=1, to_height=2**63, **WORDS)),
        (check.check_sweep, d.ExportSweep(after=2**40)),
        (check.check_sweep, d.ExportSweep(limit=0)),
        (check.check_scanner, d.GetScanner(rescans_max=-1)),
        (check.check_reconciliation, d.RunReconciliation(actor="")),
        (check.check_report, d.GetReconciliation(differences_max=-1)),
    ],
)
def test_what_makes_no_sense_is_refused(checked: Callable[[Any], None], request_: Any) -> None:
    with pytest.raises(DomainError, match="invalid_request"):
        checked(request_)
