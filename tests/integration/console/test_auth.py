"""Signing up, in and out: sessions, CSRF, origins, throttling."""

import httpx

from tests.integration.console.conftest import Browser, Deployment


def test_signing_up_signs_in_and_me_tells_who(customer: Browser) -> None:
    me = customer.http.get("/auth/me").json()

    assert me["email"] == customer.email
    assert me["role"] == "customer"
    assert me["csrf_token"] == customer.http.headers["X-CSRF-Token"]


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: Browser) -> None:
    answer = browser.http.post("/auth/signup", json={"email": browser.email, "password": browser.password})

    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_an_email_is_taken_once_whatever_its_case(customer: Browser, browser: Browser) -> None:
    answer = browser.http.post("/auth/signup", json={"email": customer.email.upper(), "password": "long enough pw"})

    # The part before the @ may be upper case in theory; accounts treat it as the same.
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "email_taken"


def test_a_short_password_and_a_wrong_email_name_their_field(browser: Browser) -> None:
    short = browser.http.post("/auth/signup", json={"email": browser.email, "password": "short"})
    wrong = browser.http.post("/auth/signup", json={"email": "not an email", "password": "long enough pw"})

    assert (short.status_code, short.json()["error"]["param"]) == (400, "password")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "email")


def test_unknown_email_and_wrong_password_get_the_same_answer(customer: Browser, browser: Browser) -> None:
    wrong = browser.http.post("/auth/login", json={"email": customer.email, "password": "wrong password"})
    unknown = browser.http.post("/auth/login", json={"email": "nobody@example.com", "password": "wrong password"})

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


def test_logging_out_revokes_the_session_everywhere(customer: Browser, deployment: Deployment) -> None:
    cookies = dict(customer.http.cookies)

    assert customer.http.post("/auth/logout").status_code == 204

    answer = httpx.get(f"{deployment.url}/api/v1/auth/me", cookies=cookies, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "not_signed_in"


def test_logging_in_rotates_the_session(customer: Browser, deployment: Deployment) -> None:
    old = dict(customer.http.cookies)

    customer.log_in()

    assert dict(customer.http.cookies) != old
    assert httpx.get(f"{deployment.url}/api/v1/auth/me", cookies=old, trust_env=False).status_code == 401


def test_a_change_without_the_csrf_token_is_refused(customer: Browser) -> None:
    del customer.http.headers["X-CSRF-Token"]
    missing = customer.http.post("/keys", json={"name": "k"})
    wrong = customer.http.post("/keys", json={"name": "k"}, headers={"X-CSRF-Token": "x"})

    assert [answer.json()["error"]["code"] for answer in (missing, wrong)] == ["csrf_failed", "csrf_failed"]
    assert customer.http.get("/keys").json()["data"] == []


def test_another_origin_is_refused_and_our_own_is_not(customer: Browser) -> None:
    own = str(customer.http.base_url.copy_with(path="")).rstrip("/")

    other = customer.http.post("/keys", json={"name": "k"}, headers={"Origin": "https://evil.example"})
    login = customer.http.post("/auth/login", json={}, headers={"Origin": "null"})
    ours = customer.http.post("/keys", json={"name": "k"}, headers={"Origin": own})

    assert (other.status_code, other.json()["error"]["code"]) == (403, "origin_refused")
    assert login.status_code in (400, 403)
    assert ours.status_code == 201


def test_failed_logins_are_throttled_for_the_email_and_only_for_it(
    customer: Browser, stranger: Browser, browser: Browser
) -> None:
    bodies = [{"email": customer.email, "password": f"guess number {n}"} for n in range(12)]

    answers = [browser.http.post("/auth/login", json=body) for body in bodies]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) > 0
    right = browser.http.post("/auth/login", json={"email": customer.email, "password": customer.password})
    assert right.status_code == 429
    stranger.log_in()


def test_sign_ups_are_throttled_for_the_address(browser: Browser, deployment: Deployment) -> None:
    body = {"email": "x", "password": "y"}
    statuses = [
        browser.http.post("/auth/signup", json=body | {"email": f"many{n}@example.com"}).status_code for n in range(22)
    ]

    assert statuses == [400] * 20 + [429] * 2


def test_a_forged_forwarded_address_counts_only_from_a_trusted_proxy(browser: Browser, deployment: Deployment) -> None:
    # Given the proxy's own header at the end, what the client wrote before it is not believed.
    headers = {"X-Forwarded-For": f"203.0.113.9, {browser.address}"}
    made = browser.http.post(
        "/auth/signup", json={"email": browser.email, "password": browser.password}, headers=headers
    )

    address = deployment.query("SELECT address FROM audit_log WHERE account_id = %s", made.json()["account_id"])
    assert address[0][0] == browser.address


def test_operators_routes_are_refused_to_customers(customer: Browser, browser: Browser) -> None:
    paths = ("accounts", "audit-log", "models", "providers", "prices", f"accounts/{customer.account_id}")

    assert {customer.http.get(f"/operator/{path}").status_code for path in paths} == {403}
    assert {browser.http.get(f"/operator/{path}").status_code for path in paths} == {401}
    credit = customer.http.post(
        f"/operator/accounts/{customer.account_id}/adjustments", json={"amount_usd": "1", "reason": "please"}
    )
    assert credit.status_code == 403


def test_unknown_paths_wrong_methods_and_broken_json_get_the_json_shape(customer: Browser) -> None:
    unknown = customer.http.get("/nothing/here")
    method = customer.http.put("/keys")
    broken = customer.http.post("/keys", content=b"{", headers={"Content-Type": "application/json"})
    large = customer.http.post("/keys", json={"name": "x" * 300_000})

    codes = [(answer.status_code, answer.json()["error"]["code"]) for answer in (unknown, method, broken, large)]
    assert codes == [
        (404, "not_found"),
        (405, "method_not_allowed"),
        (400, "invalid_json"),
        (413, "body_too_large"),
    ]


def test_openapi_is_served_and_names_every_resource(deployment: Deployment) -> None:
    document = httpx.get(f"{deployment.url}/openapi.json", trust_env=False, timeout=60).json()

    assert {"/api/v1/keys/{key_id}/rotate", "/api/v1/usage/daily", "/api/v1/operator/prices"} <= set(document["paths"])
    # The usual page around it would load scripts from elsewhere into the console's own origin.
    assert httpx.get(f"{deployment.url}/docs", trust_env=False).status_code == 404
