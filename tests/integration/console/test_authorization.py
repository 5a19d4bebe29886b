"""Who may call which route: every route of the application has an entry here, and a new one without it fails.

Each is asked anonymously, without the CSRF token, from another site's page, with a session that has ended, by a customer where it is an
operator's, and with another customer's ids where it takes ids.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from tests.integration.console.conftest import Browser, Deployment
from tt_console.api.app import PREFIX, create_app

PUBLIC: Final = "public"
"""Needs no session."""
SIGNED_IN: Final = "signed in"
"""Any session; answers about the session's own account only, and takes no id of anything."""
OWN: Final = "own"
"""Any session; takes an id, and another customer's is as good as none."""
OPERATOR: Final = "operator"

ACCESS: Final[dict[str, str]] = {
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /metrics": PUBLIC,  # for this machine's network only: tests/unit/common/test_metrics_access.py
    "GET /openapi.json": PUBLIC,
    "POST /auth/signup": PUBLIC,
    "POST /auth/login": PUBLIC,
    "POST /auth/logout": SIGNED_IN,
    "GET /auth/me": SIGNED_IN,
    "GET /keys": SIGNED_IN,
    "POST /keys": SIGNED_IN,
    "GET /keys/{key_id}": OWN,
    "PATCH /keys/{key_id}": OWN,
    "DELETE /keys/{key_id}": OWN,
    "POST /keys/{key_id}/rotate": OWN,
    "POST /keys/{key_id}/disable": OWN,
    "POST /keys/{key_id}/enable": OWN,
    "GET /balance": SIGNED_IN,
    "GET /entries": SIGNED_IN,
    "GET /receipts/{request_id}": OWN,
    "GET /models": SIGNED_IN,
    "GET /usage": SIGNED_IN,
    "GET /usage.csv": SIGNED_IN,
    "GET /usage/hourly": SIGNED_IN,
    "GET /usage/daily": SIGNED_IN,
    "GET /deposits/address": SIGNED_IN,
    "GET /deposits/address/qr.svg": SIGNED_IN,
    "GET /deposits/status": SIGNED_IN,
    "GET /deposits/events": SIGNED_IN,
    "GET /deposits/orders": SIGNED_IN,
    "POST /deposits/orders": SIGNED_IN,
    "GET /deposits/orders/{order_id}": OWN,
    "POST /deposits/orders/{order_id}/cancel": OWN,
    "GET /deposits/records": SIGNED_IN,
    "GET /deposits/records.csv": SIGNED_IN,
    "GET /deposits/records/{deposit_id}": OWN,
    "GET /webhooks": SIGNED_IN,
    "POST /webhooks": SIGNED_IN,
    "GET /webhooks/{webhook_id}": OWN,
    "PATCH /webhooks/{webhook_id}": OWN,
    "DELETE /webhooks/{webhook_id}": OWN,
    "POST /webhooks/{webhook_id}/disable": OWN,
    "POST /webhooks/{webhook_id}/enable": OWN,
    "POST /webhooks/{webhook_id}/rotate": OWN,
    "POST /webhooks/{webhook_id}/test": OWN,
    "GET /webhooks/deliveries": SIGNED_IN,
    "GET /webhooks/deliveries/{delivery_id}": OWN,
    "POST /webhooks/deliveries/{delivery_id}/redeliver": OWN,
    "GET /operator/accounts": OPERATOR,
    "GET /operator/accounts/{account_id}": OPERATOR,
    "POST /operator/accounts/{account_id}/adjustments": OPERATOR,
    "PUT /operator/accounts/{account_id}/wallet": OPERATOR,
    "GET /operator/audit-log": OPERATOR,
    "GET /operator/models": OPERATOR,
    "GET /operator/models/{model_id}": OPERATOR,
    "PUT /operator/models/{model_id}": OPERATOR,
    "DELETE /operator/models/{model_id}": OPERATOR,
    "GET /operator/providers": OPERATOR,
    "GET /operator/providers/{provider_id}": OPERATOR,
    "PUT /operator/providers/{provider_id}": OPERATOR,
    "DELETE /operator/providers/{provider_id}": OPERATOR,
    "GET /operator/prices": OPERATOR,
    "POST /operator/prices": OPERATOR,
    "GET /operator/deposits/records": OPERATOR,
    "GET /operator/deposits/records/{deposit_id}": OPERATOR,
    "POST /operator/deposits/records/{deposit_id}/release": OPERATOR,
    "POST /operator/deposits/records/{deposit_id}/refuse": OPERATOR,
    "POST /operator/deposits/records/{deposit_id}/assign": OPERATOR,
    "GET /operator/deposits/reconciliation": OPERATOR,
    "POST /operator/deposits/reconciliation": OPERATOR,
    "GET /operator/deposits/scanner": OPERATOR,
    "POST /operator/deposits/scanner/resume": OPERATOR,
    "POST /operator/deposits/scanner/rescans": OPERATOR,
    "GET /operator/deposits/sweep": OPERATOR,
    "GET /operator/deposits/sweep.csv": OPERATOR,
}
GUARDED: Final = [route for route, access in ACCESS.items() if access != PUBLIC]
CHANGING: Final = [route for route in GUARDED if not route.startswith("GET ")]
# Bodies that would do, so that nothing but the right is missing.
BODIES: Final[dict[str, dict[str, Any]]] = {
    "POST /keys": {"name": "x"},
    "PATCH /keys/{key_id}": {"name": "taken over"},
    "POST /operator/accounts/{account_id}/adjustments": {"amount_usd": "100", "reason": "for me"},
    "PUT /operator/accounts/{account_id}/wallet": {"overdraft_usd": "100", "low_balance_usd": None},
    "PUT /operator/providers/{provider_id}": {"base_url": "https://provider.example/v1"},
    "POST /webhooks": {"url": "https://receiver.example/", "events": ["deposit.credited"]},
    "PATCH /webhooks/{webhook_id}": {"description": "taken over"},
    "POST /deposits/orders": {"amount_usdt": "10"},
    "POST /operator/deposits/records/{deposit_id}/release": {"reason": "mine"},
    "POST /operator/deposits/records/{deposit_id}/refuse": {"reason": "not mine"},
    "POST /operator/deposits/records/{deposit_id}/assign": {"reason": "mine", "account_id": "acc_1"},
    "POST /operator/deposits/scanner/resume": {"reason": "go on"},
    "POST /operator/deposits/scanner/rescans": {"reason": "again", "from_height": 1, "to_height": 2},
    "POST /operator/prices": {"model": "gpt-4o-mini", "usd_per_million_tokens": {"input": "0", "output": "0"}},
}


def call(http: httpx.Client, route: str, ids: dict[str, str], **options: Any) -> httpx.Response:
    method, path = route.split(" ")
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", value)
    body = BODIES.get(route)
    return http.request(method, path, json=body, **options)


def ids_of(browser: Browser, key_id: str = "key_1") -> dict[str, str]:
    """Something for every id in a path."""
    return {
        "key_id": key_id,
        "account_id": browser.account_id or "acc_1",
        "request_id": "0192f0c4-7a80-7000-8000-000000000000",
        "model_id": "gpt-4o-mini",
        "provider_id": "sandbox",
        "deposit_id": "dep_1",
        "order_id": "ord_1",
        "webhook_id": "wh_1",
        "delivery_id": "whd_1",
    }


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_every_route_has_an_entry_and_every_entry_a_route() -> None:
    assert set(routes_of(create_app(_never_started).routes)) == set(ACCESS)


@pytest.mark.parametrize("route", GUARDED)
def test_nobody_gets_in_without_a_session(browser: Browser, route: str) -> None:
    assert code_of(call(browser.http, route, ids_of(browser))) == (401, "not_signed_in")


@pytest.mark.parametrize("route", GUARDED)
def test_an_invented_cookie_is_no_session(browser: Browser, route: str) -> None:
    answer = call(browser.http, route, ids_of(browser), headers={"Cookie": f"tt_session={'x' * 43}"})

    assert code_of(answer) == (401, "not_signed_in")


def test_a_session_that_ended_opens_nothing(customer: Browser) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in customer.http.cookies.items())
    assert customer.http.post("/auth/logout").status_code == 204

    answers = {route: call(customer.http, route, ids_of(customer), headers={"Cookie": cookie}) for route in GUARDED}

    assert {route: code_of(a) for route, a in answers.items() if code_of(a) != (401, "not_signed_in")} == {}


@pytest.mark.parametrize("route", CHANGING)
def test_a_change_needs_the_sessions_csrf_token(regular: Browser, operator: Browser, route: str) -> None:
    who = operator if ACCESS[route] == OPERATOR else regular

    for token in ("", "wrong", (regular if who is operator else operator).http.headers["X-CSRF-Token"]):
        answer = call(who.http, route, ids_of(regular), headers={"X-CSRF-Token": token})

        assert code_of(answer) == (403, "csrf_failed")


@pytest.mark.parametrize("route", CHANGING)
def test_another_sites_page_may_change_nothing(regular: Browser, operator: Browser, route: str) -> None:
    who = operator if ACCESS[route] == OPERATOR else regular

    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example"):
        answer = call(who.http, route, ids_of(regular), headers={"Origin": origin})

        assert code_of(answer) == (403, "origin_refused")


@pytest.mark.parametrize("route", [route for route, access in ACCESS.items() if access == OPERATOR])
def test_a_customer_may_do_nothing_that_is_an_operators(regular: Browser, route: str) -> None:
    assert code_of(call(regular.http, route, ids_of(regular))) == (403, "not_allowed")


@pytest.mark.parametrize("route", [route for route, access in ACCESS.items() if access == OWN])
def test_another_customers_id_is_as_good_as_none(
    regular: Browser, stranger: Browser, deployment: Deployment, route: str
) -> None:
    key = stranger.make_key(name="theirs")

    answer = call(regular.http, route, ids_of(regular, key["id"]))

    assert answer.status_code == 404
    unchanged = stranger.http.get(f"/keys/{key['id']}").json()
    assert (unchanged["name"], unchanged["status"]) == ("theirs", "active")
    record = deployment.key_record(key["key"])
    assert record is not None
    assert record.status == "active"


@pytest.mark.parametrize(
    "route", [route for route in ACCESS if "{order_id}" in route or "/deposits/records/{" in route]
)
def test_another_customers_deposits_are_as_good_as_none(
    regular: Browser, stranger: Browser, deployment: Deployment, route: str
) -> None:
    order = stranger.http.post("/deposits/orders", json={"amount_usdt": "7"}).json()
    deposit = deployment.deposits.add(stranger.account_id, "under_review")
    ids = {"order_id": order["id"], "deposit_id": deposit.deposit_id}

    answer = call(regular.http, route, ids)

    assert answer.status_code == (403 if ACCESS[route] == OPERATOR else 404)
    assert stranger.http.get(f"/deposits/orders/{order['id']}").json()["status"] == "waiting"
    assert stranger.http.get(f"/deposits/records/{deposit.deposit_id}").json()["state"] == "under_review"


@pytest.mark.parametrize("route", [route for route in ACCESS if "{webhook_id}" in route or "{delivery_id}" in route])
def test_another_customers_webhooks_are_as_good_as_none(regular: Browser, stranger: Browser, route: str) -> None:
    hook = stranger.http.post("/webhooks", json=BODIES["POST /webhooks"]).json()
    delivery = stranger.http.post(f"/webhooks/{hook['id']}/test").json()
    stranger.http.post(f"/webhooks/{hook['id']}/disable")  # nothing is on its way any more

    answer = call(regular.http, route, {"webhook_id": hook["id"], "delivery_id": delivery["id"]})

    assert answer.status_code == 404
    unchanged = stranger.http.get(f"/webhooks/{hook['id']}").json()
    assert (unchanged["description"], unchanged["status"]) == ("", "disabled")
    assert stranger.http.get(f"/webhooks/deliveries/{delivery['id']}").json()["status"] == "failed"


def test_filters_by_another_customers_key_find_nothing(regular: Browser, stranger: Browser) -> None:
    key = stranger.make_key(name="theirs")

    for path in ("/usage", "/usage/hourly", "/usage/daily"):
        answer = regular.http.get(path, params={"key_id": key["id"]})

        assert answer.status_code in (200, 400, 404)
        assert answer.json().get("data", []) == []


def test_a_role_can_not_be_asked_for(browser: Browser) -> None:
    body = {"email": browser.email, "password": browser.password, "role": "operator"}

    assert browser.http.post("/auth/signup", json=body).status_code == 400


def routes_of(routes: Iterable[Any], prefix: str = "") -> Iterator[str]:
    for route in routes:
        if hasattr(route, "original_router"):  # FastAPI keeps an included router as it is
            yield from routes_of(route.original_router.routes, prefix + route.include_context.prefix)
            continue
        assert isinstance(route, Route | APIRoute), f"{route} is a kind of route that this test does not know"
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}:
            yield f"{method} {(prefix + route.path).removeprefix(PREFIX).replace(':path}', '}')}"


@asynccontextmanager
async def _never_started(_: FastAPI) -> AsyncIterator[None]:
    yield
