"""What operators do: accounts, money, catalog, prices; all of it in the audit log."""

import pytest

from tests.integration.console.conftest import Browser, Deployment, wait_until
from tt_common.contracts.streams import CATALOG

MODEL = {
    "kind": "chat",
    "owned_by": "us",
    "context_window": 1000,
    "max_output_tokens": 100,
    "hold_output_tokens": 50,
    "routes": [{"provider": "sandbox", "upstream_model": "up", "priority": 1, "weight": 3}],
}


def test_a_credit_is_given_once_an_idempotency_key(
    operator: Browser, customer: Browser, deployment: Deployment
) -> None:
    path = f"/operator/accounts/{customer.account_id}/adjustments"
    headers = {"Idempotency-Key": f"credit-{customer.account_id}"}
    body = {"amount_usd": "4.50", "reason": "goodwill"}

    answers = [operator.http.post(path, json=body, headers=headers) for _ in range(2)]
    other = operator.http.post(path, json=body | {"amount_usd": "5"}, headers=headers)

    assert [answer.status_code for answer in answers] == [201, 201]
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    balance = customer.http.get("/balance").json()
    assert (balance["balance_usd"], balance["balance_nanousd"]) == ("4.50", 4_500_000_000)
    assert (balance["credit"]["name"], balance["credit"]["balance"]) == ("TMT", "33.75")
    entries = customer.http.get("/entries").json()["data"]
    assert [(entry["amount_usd"], entry["details"]["reason"]) for entry in entries] == [("4.50", "goodwill")]


def test_the_audit_log_has_the_request_and_its_outcome(operator: Browser, customer: Browser) -> None:
    path = f"/operator/accounts/{customer.account_id}/adjustments"
    operator.http.post(path, json={"amount_usd": "-1", "reason": "too much"})

    log = operator.http.get("/operator/audit-log", params={"account_id": customer.account_id}).json()["data"]

    assert [entry["action"] for entry in log[:2]] == ["wallet.adjust_failed", "wallet.adjust_requested"]
    assert log[0]["after"]["code"] == "billing_shortfall"
    assert log[1]["after"]["reason"] == "too much"
    assert (log[1]["actor"], log[1]["address"]) == ("operator@example.com", operator.address)
    assert log[1]["request_id"].startswith("req_")


def test_wallet_terms_are_set_and_shown_with_the_account(operator: Browser, customer: Browser) -> None:
    body = {"overdraft_usd": "2", "low_balance_usd": "0.5"}
    answer = operator.http.put(f"/operator/accounts/{customer.account_id}/wallet", json=body)

    account = operator.http.get(f"/operator/accounts/{customer.account_id}").json()
    assert answer.status_code == 200
    assert (account["wallet"]["overdraft_usd"], account["wallet"]["low_balance_usd"]) == ("2.00", "0.50")
    assert operator.http.get("/operator/accounts/acc_none").status_code == 404
    nobody = operator.http.post("/operator/accounts/acc_none/adjustments", json={"amount_usd": "1", "reason": "x"})
    assert nobody.status_code == 404


def test_accounts_are_found_by_a_part_of_the_email(operator: Browser, customer: Browser) -> None:
    found = operator.http.get("/operator/accounts", params={"search": customer.email[:-4].upper()}).json()["data"]

    assert [account["id"] for account in found] == [customer.account_id]
    assert operator.http.get("/operator/accounts", params={"search": "%"}).json()["data"] == []


def test_a_model_is_made_changed_and_removed_at_the_edges_too(operator: Browser, deployment: Deployment) -> None:
    path = "/operator/models/acme/large-1"
    subject = CATALOG.subject("model.acme=2Flarge-1")

    made = operator.http.put(path, json=MODEL).json()
    record = wait_until(lambda: deployment.bus.value(subject), 1.0)
    again = operator.http.put(path, json=MODEL).json()
    removed = operator.http.delete(path)

    assert (made["revision"], again["revision"]) == (1, 1)
    assert record["routes"] == [{"provider": "sandbox", "upstream_model": "up", "priority": 1, "weight": 3}]
    assert removed.status_code == 204
    gone = wait_until(lambda: _revision(deployment.bus.value(subject), 2), 1.0)
    assert gone["status"] == "disabled"
    assert operator.http.get(path).status_code == 404
    assert operator.http.put(path, json=MODEL).json()["revision"] == 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key_ref": "sk-live-1234567890"}, "secret_refused"),
        ({"headers": {"Authorization": "Bearer x"}}, "secret_refused"),
        ({"base_url": "https://user:password@host/v1"}, "secret_refused"),
        ({"base_url": "ftp://host"}, "invalid_provider"),
        ({"base_url": "http://169.254.169.254/latest"}, "invalid_provider"),
        ({"base_url": "http://2130706433/v1"}, "invalid_provider"),
        ({"base_url": "http://127.0.0.1:8080/v1"}, "private_address"),
        ({"base_url": "http://10.1.2.3/v1"}, "private_address"),
        ({"base_url": "http://[::ffff:192.168.0.1]/v1"}, "private_address"),
        ({"base_url": "http://postgres:5432/"}, "private_address"),
        ({"base_url": "http://metadata.google.internal/v1"}, "private_address"),
        ({"key_ref": "env:EDGE_NATS_URL"}, "secret_refused"),
        ({"connect_timeout_s": 0}, "invalid_provider"),
    ],
)
def test_a_provider_with_a_secret_or_nonsense_is_refused(
    operator: Browser, deployment: Deployment, change: dict[str, object], code: str
) -> None:
    answer = operator.http.put("/operator/providers/p1", json={"base_url": "https://api.example.com/v1"} | change)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert "sk-live" not in str(deployment.query("SELECT before, after FROM audit_log"))


def test_a_provider_in_use_stays(operator: Browser) -> None:
    in_use = operator.http.delete("/operator/providers/sandbox")
    made = operator.http.put("/operator/providers/spare", json={"base_url": "https://api.example.com/v1"})
    unused = operator.http.delete("/operator/providers/spare")

    assert (in_use.status_code, in_use.json()["error"]["code"]) == (409, "provider_in_use")
    assert (made.status_code, unused.status_code) == (200, 204)
    assert (
        operator.http.put(
            "/operator/models/m1", json=MODEL | {"routes": [{"provider": "spare", "upstream_model": "u"}]}
        ).status_code
        == 400
    )


def test_prices_are_decimal_usd_and_versions_are_kept(operator: Browser, customer: Browser) -> None:
    operator.http.put("/operator/models/priced", json=MODEL)
    first = {"model": "priced", "usd_per_million_tokens": {"input": "0.15", "output": "0.6"}}
    second = first | {
        "usd_per_million_tokens": {"input": "0.2"},
        "long_context": [{"above_tokens": 200_000, "usd_per_million_tokens": {"input": "0.4"}}],
        "starts_at": "2099-01-01T00:00:00Z",
    }

    versions = [operator.http.post("/operator/prices", json=body).json()["version"] for body in (first, first, second)]

    assert versions == ["priced@1", "priced@1", "priced@2"]
    listed = operator.http.get("/operator/prices", params={"model": "priced"}).json()["data"]
    # what was left out costs what its kind costs, and not nothing
    prompt = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "image_input")
    assert [price["usd_per_million_tokens"] for price in listed] == [
        dict.fromkeys(prompt, "0.15") | {"output": "0.60", "audio_output": "0.60"},
        dict.fromkeys(prompt, "0.20"),
    ]
    shown = {model["id"]: model for model in customer.http.get("/models").json()["data"]}["priced"]
    assert shown["price"]["version"] == "priced@1"
    in_credit = dict.fromkeys(prompt, "1.125") | {"output": "4.50", "audio_output": "4.50"}
    assert shown["price"]["credit_per_million_tokens"] == in_credit


@pytest.mark.parametrize("rates", [{"input": "-1"}, {"inputs": "1"}, {"input": "1e3"}, {"input": 1.5}, {}])
def test_a_wrong_price_is_refused(operator: Browser, rates: dict[str, object]) -> None:
    answer = operator.http.post("/operator/prices", json={"model": "gpt-4o", "usd_per_million_tokens": rates})

    assert answer.status_code == 400


def test_without_billing_money_is_503_and_keys_still_work(customer: Browser, deployment: Deployment) -> None:
    deployment.bus.run(deployment.billing.stop())
    try:
        answer = customer.http.get("/balance")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "billing_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert wait_until(lambda: deployment.key_record(customer.make_key()["key"]))
    finally:
        deployment.bus.run(deployment.billing.start())
    assert customer.http.get("/balance").status_code == 200


def _revision(record: dict[str, object] | None, revision: int) -> dict[str, object] | None:
    return record if record is not None and record["revision"] == revision else None
