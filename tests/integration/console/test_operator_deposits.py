"""What operators do with deposits: decide with a reason, look after the scanner, export what is to be swept, reconcile."""

import csv
import io

import msgspec
import pytest

from tests.integration.console.conftest import Browser, Deployment
from tt_common.contracts.deposits import SweepRow

RECORDS = "/operator/deposits/records"


def test_what_waits_for_a_decision_is_a_filter(operator: Browser, customer: Browser, deployment: Deployment) -> None:
    held = deployment.deposits.add(customer.account_id, "under_review", held_reason="above_limit")
    nobodys = deployment.deposits.add(None, "suspense")
    deployment.deposits.add(customer.account_id)

    review = operator.http.get(RECORDS, params={"state": "under_review", "account_id": customer.account_id}).json()
    suspense = operator.http.get(RECORDS, params={"state": "suspense"}).json()["data"]

    assert [record["id"] for record in review["data"]] == [held.deposit_id]
    assert review["data"][0]["held_reason"] == "above_limit"
    assert nobodys.deposit_id in [record["id"] for record in suspense]
    assert operator.http.get(f"{RECORDS}/{nobodys.deposit_id}").json()["account_id"] is None
    assert review["data"][0]["timeline"][0]["actor"] == "boss@example.com"


@pytest.mark.parametrize(
    ("decision", "before", "after"),
    [
        ("release", "under_review", "crediting"),
        ("refuse", "under_review", "suspense"),
        ("assign", "suspense", "crediting"),
    ],
)
def test_a_decision_has_the_operators_name_and_reason_and_is_audited(
    operator: Browser, customer: Browser, deployment: Deployment, decision: str, before: str, after: str
) -> None:
    owner = None if decision == "assign" else customer.account_id
    held = deployment.deposits.add(owner, before)  # pyright: ignore[reportArgumentType]
    body = {"reason": "seen on the phone"} | ({"account_id": customer.account_id} if decision == "assign" else {})

    answer = operator.http.post(f"{RECORDS}/{held.deposit_id}/{decision}", json=body)
    again = operator.http.post(f"{RECORDS}/{held.deposit_id}/{decision}", json=body)

    assert (answer.status_code, answer.json()["state"]) == (200, after)
    assert answer.json()["account_id"] == customer.account_id
    assert (again.status_code, again.json()["error"]["code"]) == (409, "invalid_state")
    asked = deployment.deposits.decisions[-1]
    assert (asked.decision, asked.actor, asked.reason) == (decision, "operator@example.com", "seen on the phone")
    log = operator.http.get("/operator/audit-log", params={"account_id": customer.account_id}).json()["data"]
    actions = [entry["action"] for entry in reversed(log) if entry["target"] == held.deposit_id]
    assert actions == [f"deposit.{decision}_{outcome}" for outcome in ("requested", "done", "requested", "failed")]


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x", "amount": "1"}])
def test_a_decision_needs_a_reason_and_nothing_more(
    operator: Browser, customer: Browser, deployment: Deployment, body: dict[str, str]
) -> None:
    held = deployment.deposits.add(customer.account_id, "under_review")

    assert operator.http.post(f"{RECORDS}/{held.deposit_id}/release", json=body).status_code == 400
    assert deployment.deposits.records[held.deposit_id].state == "under_review"


def test_money_is_assigned_to_accounts_that_exist(operator: Browser, deployment: Deployment) -> None:
    nobodys = deployment.deposits.add(None, "suspense")
    body = {"reason": "x", "account_id": "acc_none"}

    answer = operator.http.post(f"{RECORDS}/{nobodys.deposit_id}/assign", json=body)
    unknown = operator.http.post(f"{RECORDS}/dep_none/release", json={"reason": "x"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "account_not_found")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "deposit_not_found")
    assert deployment.deposits.records[nobodys.deposit_id].state == "suspense"


def test_a_halted_scanner_is_seen_and_resumed(operator: Browser, deployment: Deployment) -> None:
    halted = {"halted_reason": "nodes_disagree", "halted_height": 1_001, "halted_details": {"one": "a", "two": "b"}}
    deployment.deposits.scanner = msgspec.structs.replace(deployment.deposits.scanner, **halted)

    seen = operator.http.get("/operator/deposits/scanner").json()
    resumed = operator.http.post("/operator/deposits/scanner/resume", json={"reason": "node two replaced"}).json()

    assert {name: seen[name] for name in halted} == halted
    assert (seen["nodes"][0]["name"], seen["eta_s"], seen["xpub_fingerprint"]) == ("one", 2.4, "deadbeef")
    assert resumed["halted_reason"] == ""
    log = operator.http.get("/operator/audit-log", params={"action": "scanner.resume_done"}).json()["data"]
    assert log[0]["before"]["halted_reason"] == "nodes_disagree"


def test_a_range_is_scanned_again_once_an_idempotency_key(operator: Browser, deployment: Deployment) -> None:
    body = {"from_height": 10, "to_height": 20, "reason": "node two lied"}
    headers = {"Idempotency-Key": "again-1"}

    made = [operator.http.post("/operator/deposits/scanner/rescans", json=body, headers=headers) for _ in range(2)]
    turned = operator.http.post("/operator/deposits/scanner/rescans", json=body | {"to_height": 9})

    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json() == made[1].json()
    assert (made[0].json()["state"], made[0].json()["actor"]) == ("running", "operator@example.com")
    assert turned.status_code == 400
    listed = operator.http.get("/operator/deposits/scanner").json()["rescans"]
    assert [rescan["id"] for rescan in listed].count(made[0].json()["id"]) == 1


def test_what_is_to_be_swept_comes_by_pages_and_as_csv_without_formulas(
    operator: Browser, deployment: Deployment
) -> None:
    deployment.deposits.sweep_rows = [_sweep_row(index) for index in range(250)]
    try:
        first = operator.http.get("/operator/deposits/sweep", params={"limit": 100}).json()
        second = operator.http.get("/operator/deposits/sweep", params={"cursor": first["next_cursor"]}).json()
        answer = operator.http.get("/operator/deposits/sweep.csv", params={"balances": False})
    finally:
        deployment.deposits.sweep_rows = []

    assert (first["data"][-1]["index"], second["data"][0]["index"]) == (99, 100)
    assert (first["energy_fee_sun"], first["xpub_fingerprint"]) == (210, "deadbeef")
    row = first["data"][0]
    assert (row["received_usdt"], row["unswept_micro_usdt"], row["balance_usdt"]) == ("3.00", -2_000_000, None)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(found["index"]) for found in rows] == list(range(250))
    assert tuple(rows[0]) == SweepRow.__struct_fields__
    assert (rows[0]["account_id"], rows[0]["unswept_micro_usdt"]) == ("'@SUM(A1)", "-2000000")


def test_a_reconciliation_is_started_and_its_report_read(operator: Browser, deployment: Deployment) -> None:
    before = deployment.deposits.reconciliations

    started = operator.http.post("/operator/deposits/reconciliation")
    report = operator.http.get("/operator/deposits/reconciliation").json()

    assert (started.status_code, started.json()["running"]) == (202, True)
    assert deployment.deposits.reconciliations == before + 1
    assert (report["clean"], report["differences"][0]["found"]) == (False, "2.00")
    assert report["sums"] == [
        {"state": "credited", "deposits": 2, "amount_usdt": "25.50", "amount_micro_usdt": 25_500_000}
    ]


def _sweep_row(index: int) -> SweepRow:
    return SweepRow(
        index=index,
        path=f"m/44'/195'/0'/0/{index}",
        address=f"T{index}",
        address_hex=f"41{index:040x}",
        account_id="@SUM(A1)",
        received_micro_usdt=3_000_000,
        sent_micro_usdt=5_000_000,
        unswept_micro_usdt=-2_000_000,
        balance_micro_usdt=None,
        trx_balance_sun=None,
        activated=None,
        blacklisted=False,
        last_deposit_at_ms=None,
    )
