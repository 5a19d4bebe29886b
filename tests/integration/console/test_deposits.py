"""What a customer sees of deposits: the address and its QR code, orders, records, CSV, status."""

import csv
import io
import re
from xml.etree import ElementTree

import msgspec
import pytest

from tests.integration.console.conftest import Browser, Deployment
from tests.integration.console.fake_deposits import CONTRACT


def test_the_address_comes_with_all_that_one_should_know_before_sending(customer: Browser) -> None:
    address = customer.http.get("/deposits/address").json()

    assert (address["network"], address["currency"], address["standard"]) == ("nile", "USDT", "TRC-20")
    assert (address["contract"], address["contract_end"]) == (CONTRACT, CONTRACT[-6:])
    assert (address["minimum_usdt"], address["minimum_micro_usdt"]) == ("1.00", 1_000_000)
    told = {item["code"]: item["level"] for item in address["advice"]}
    assert told == {
        "trc20_usdt_only": "warning",
        "test_network": "warning",
        "minimum": "info",
        "not_activated": "info",
        "fees_reduce_amount": "info",
        "exchanges_welcome": "info",
        "address_stays_valid": "info",
    }


def test_the_qr_code_is_a_plain_picture_that_a_browser_keeps_and_asks_about(
    customer: Browser, stranger: Browser
) -> None:
    first = customer.http.get("/deposits/address/qr.svg")
    tag = first.headers["ETag"]
    again = customer.http.get("/deposits/address/qr.svg", headers={"If-None-Match": tag})
    others = stranger.http.get("/deposits/address/qr.svg", headers={"If-None-Match": tag})

    assert first.headers["Content-Type"] == "image/svg+xml"
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert (others.status_code, others.content != first.content) == (200, True)
    picture = ElementTree.fromstring(first.text)
    assert {re.sub(r"\{.*\}", "", element.tag) for element in picture.iter()} == {"svg", "g", "path"}
    assert not {name for element in picture.iter() for name in element.attrib if name.startswith("on")}
    dark = next(element.attrib["d"] for element in picture.iter() if "stroke" in element.attrib)
    assert dark.startswith("M4 4.5")  # four modules of quiet zone


def test_an_address_that_must_not_be_used_has_no_qr_code(customer: Browser, deployment: Deployment) -> None:
    customer.http.get("/deposits/address")
    known = deployment.deposits.addresses
    known[customer.account_id] = msgspec.structs.replace(known[customer.account_id], usable=False)

    address = customer.http.get("/deposits/address").json()
    picture = customer.http.get("/deposits/address/qr.svg")

    assert (address["usable"], address["advice"][0]["code"]) == (False, "address_unusable")
    assert (picture.status_code, picture.json()["error"]["code"]) == (409, "address_unusable")


def test_an_order_is_made_once_an_idempotency_key(customer: Browser, stranger: Browser) -> None:
    headers = {"Idempotency-Key": "invoice-1"}
    body = {"amount_usdt": "25.5", "note": "March"}

    answers = [customer.http.post("/deposits/orders", json=body, headers=headers) for _ in range(2)]
    other = customer.http.post("/deposits/orders", json=body | {"note": "April"}, headers=headers)
    theirs = stranger.http.post("/deposits/orders", json=body, headers=headers)

    assert [answer.status_code for answer in answers] == [201, 201]
    order = answers[0].json()
    assert answers[1].json() == order
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert (theirs.status_code, theirs.json()["id"] != order["id"]) == (201, True)
    assert (order["amount_usdt"], order["amount_micro_usdt"], order["received_usdt"]) == ("25.50", 25_500_000, "0.00")
    assert order["address"] == customer.http.get("/deposits/address").json()["address"]


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000001", "1e3", "12345678901", "", 0, 1.5, True])
def test_an_order_for_no_amount_that_can_be_sent_is_refused(customer: Browser, amount: object) -> None:
    answer = customer.http.post("/deposits/orders", json={"amount_usdt": amount})

    assert answer.status_code == 400
    assert customer.http.get("/deposits/orders").json()["data"] == []


def test_orders_are_listed_by_pages_and_cancelled(customer: Browser) -> None:
    made = [customer.http.post("/deposits/orders", json={"note": str(n)}).json()["id"] for n in range(3)]

    first = customer.http.get("/deposits/orders", params={"limit": 2}).json()
    second = customer.http.get("/deposits/orders", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    cancelled = customer.http.post(f"/deposits/orders/{made[0]}/cancel").json()

    assert [order["id"] for order in first["data"] + second["data"]] == made[::-1]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
    assert cancelled["status"] == "cancelled"
    assert customer.http.get(f"/deposits/orders/{made[0]}").json()["status"] == "cancelled"


def test_records_are_filtered_and_hide_who_decided(customer: Browser, deployment: Deployment) -> None:
    credited = deployment.deposits.add(customer.account_id, transaction_id="tx_9", credited_at_ms=1_750_000_000_500)
    confirming = deployment.deposits.add(customer.account_id, "confirming", 1, 7, order_id="ord_x")

    every = customer.http.get("/deposits/records")
    some = customer.http.get("/deposits/records", params={"state": ["confirming", "detected"]}).json()["data"]
    of_order = customer.http.get("/deposits/records", params={"order_id": "ord_x"}).json()["data"]
    one = customer.http.get(f"/deposits/records/{credited.deposit_id}").json()

    assert [record["id"] for record in every.json()["data"]] == [confirming.deposit_id, credited.deposit_id]
    assert [record["id"] for record in some] == [record["id"] for record in of_order] == [confirming.deposit_id]
    assert (some[0]["amount_usdt"], some[0]["confirmations"], some[0]["confirmations_required"]) == ("0.000001", 7, 19)
    assert one["explorer_url"] == f"https://nile.tronscan.org/#/transaction/{credited.transfer.txid}"
    assert (one["transaction_id"], one["credited_at"]) == ("tx_9", "2025-06-15T15:06:40.500Z")
    assert one["timeline"] == [{"state": "credited", "at": "2025-06-15T15:06:40.000Z"}]
    assert "boss@example.com" not in every.text


def test_records_as_csv_are_all_pages_and_no_formulas(customer: Browser, deployment: Deployment) -> None:
    made = [deployment.deposits.add(customer.account_id, held_reason="=1+1") for _ in range(101)]

    answer = customer.http.get("/deposits/records.csv", params={"state": "credited"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert [row["id"] for row in rows] == [record.deposit_id for record in reversed(made)]
    assert {row["held_reason"] for row in rows} == {"'=1+1"}
    assert {row["amount_micro_usdt"] for row in rows} == {"25500000"}


def test_the_status_says_what_a_customer_should_be_told(customer: Browser, deployment: Deployment) -> None:
    usual = customer.http.get("/deposits/status").json()
    before = deployment.deposits.scanner
    halted = msgspec.structs.replace(before, delayed=True, halted_reason="nodes_disagree", eta_s=61.7)
    deployment.deposits.scanner = halted
    try:
        unusual = customer.http.get("/deposits/status").json()
    finally:
        deployment.deposits.scanner = before

    assert (usual["delayed"], usual["halted"], usual["eta_s"]) == (False, False, None)
    assert (unusual["delayed"], unusual["halted"], unusual["eta_s"]) == (True, True, 62)
    assert "nodes_disagree" not in str(unusual)


def test_without_the_deposits_service_its_routes_are_503_and_others_work(
    customer: Browser, deployment: Deployment
) -> None:
    deployment.bus.run(deployment.deposits.stop())
    try:
        for path in ("address", "address/qr.svg", "orders", "records", "records.csv", "status"):
            answer = customer.http.get(f"/deposits/{path}")

            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "deposits_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        assert customer.http.get("/balance").status_code == 200
    finally:
        deployment.bus.run(deployment.deposits.start())
    assert customer.http.get("/deposits/address").status_code == 200
