"""Customers and operators as they use the console's HTTP API: signed in by cookie, with the CSRF token on every change."""

import secrets
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.waiting import eventually

NANOUSD_PER_USD = 1_000_000_000
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class ApiKey:
    """A key with its plaintext."""

    id: str
    plaintext: str


class ConsoleUser:
    """Somebody who is signed in."""

    def __init__(self, console_url: str) -> None:
        # Every user comes from an address of their own (the console trusts this proxy), so that the limit on sign-ups
        # of one address does not meet the tests.
        address = ".".join(str(secrets.randbelow(254) + 1) for _ in range(4))
        self.http = httpx.Client(
            base_url=f"{console_url}/api/v1",
            headers={"X-Forwarded-For": address},
            timeout=TIMEOUT_S,
            trust_env=False,
        )
        self.account_id = ""
        self.email = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.http.close()

    def sign_up(self) -> Self:
        """A new account with a random address and password."""
        self.email = f"{secrets.token_hex(8)}@example.com"
        return self._signed_in("signup", self.email, secrets.token_urlsafe(16))

    def log_in(self, email: str, password: str) -> Self:
        self.email = email
        return self._signed_in("login", email, password)

    def _signed_in(self, door: str, email: str, password: str) -> Self:
        self.password = password
        user = self.send("POST", f"/auth/{door}", {"email": email, "password": password})
        for cookie in self.http.cookies.jar:
            cookie.secure = False  # a loopback address gets it over HTTP too, as from browsers and curl
        self.account_id = user["account_id"]
        self.http.headers["X-CSRF-Token"] = user["csrf_token"]
        return self

    def send(self, method: str, path: str, body: Any = None, **parameters: Any) -> Any:
        """The JSON answer; an error status fails the test with the answer's text."""
        answer = self.http.request(method, path, json=body, params=parameters or None)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str, **parameters: Any) -> Any:
        return self.send("GET", path, **parameters)

    def pages(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        """All pages of a list."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, **{"limit": 100, **parameters, **cursor})
            found += page["data"]
            if not page["has_more"]:
                return found
            cursor = {"cursor": page["next_cursor"]}

    # -- keys ---------------------------------------------------------------------------------------------------------

    def create_key(self, **settings: Any) -> ApiKey:
        """A key with the given settings, such as `monthly_limit_usd="1.00"`."""
        key = self.send("POST", "/keys", {"name": "test", **settings})
        return ApiKey(key["id"], key["key"])

    def edit_key(self, key: ApiKey, **settings: Any) -> None:
        self.send("PATCH", f"/keys/{key.id}", settings)

    def rotate_key(self, key: ApiKey) -> ApiKey:
        rotated = self.send("POST", f"/keys/{key.id}/rotate")
        return ApiKey(rotated["id"], rotated["key"])

    def disable_key(self, key: ApiKey) -> None:
        self.send("POST", f"/keys/{key.id}/disable")

    def enable_key(self, key: ApiKey) -> None:
        self.send("POST", f"/keys/{key.id}/enable")

    def delete_key(self, key: ApiKey) -> None:
        self.send("DELETE", f"/keys/{key.id}")

    # -- money and usage ----------------------------------------------------------------------------------------------

    @property
    def balance(self) -> dict[str, Any]:
        return self.get("/balance")

    @property
    def balance_nanousd(self) -> int:
        """Available and held together."""
        return int(self.balance["balance_nanousd"])

    def settled_balance_nanousd(self) -> int:
        """What is left once nothing is held any more: every call settled, every grant given back."""
        balance = eventually(self._unheld, "everything settled, nothing held")
        return int(balance["balance_nanousd"])

    def _unheld(self) -> dict[str, Any] | None:
        balance = self.balance
        return balance if balance["held_nanousd"] == 0 else None

    def entries(self) -> list[dict[str, Any]]:
        """The ledger, newest first."""
        return self.pages("/entries")

    def receipt(self, request_id: str) -> dict[str, Any]:
        """The receipt of a call, once billing has settled it."""

        def look() -> dict[str, Any] | None:
            answer = self.http.get(f"/receipts/{request_id}")
            assert answer.status_code in (200, 404), answer.text
            return answer.json() if answer.status_code == 200 else None

        return eventually(look, f"a receipt for {request_id}")

    def usage(self, calls: int, **filters: Any) -> list[dict[str, Any]]:
        """The calls in the usage list, newest first, once there are at least `calls` of them."""

        def look() -> list[dict[str, Any]] | None:
            found = self.pages("/usage", **filters)
            return found if len(found) >= calls else None

        return eventually(look, f"{calls} calls in the usage list")

    def charges(self) -> list[dict[str, Any]]:
        """Usage that cost something, once everything is settled."""
        self.settled_balance_nanousd()
        return [call for call in self.usage(0) if call["cost_nanousd"] > 0]


class Operator(ConsoleUser):
    """A user with the operator's role."""

    def credit(self, account_id: str, amount_usd: str, reason: str = "test credit") -> None:
        """Adds to a wallet (or takes, below 0)."""
        body = {"amount_usd": amount_usd, "reason": reason}
        self.send("POST", f"/operator/accounts/{account_id}/adjustments", body)

    def set_wallet(self, account_id: str, *, overdraft_usd: str = "0", low_balance_usd: str | None = None) -> None:
        body = {"overdraft_usd": overdraft_usd, "low_balance_usd": low_balance_usd}
        self.send("PUT", f"/operator/accounts/{account_id}/wallet", body)

    def put_provider(self, provider_id: str, base_url: str, **terms: Any) -> None:
        self.send("PUT", f"/operator/providers/{provider_id}", {"base_url": base_url, **terms})

    def put_model(self, model_id: str, routes: list[dict[str, Any]], **terms: Any) -> None:
        """A model; chat with a 128k window unless `terms` say otherwise."""
        body: dict[str, Any] = {
            "kind": "chat",
            "owned_by": "tests",
            "context_window": 128_000,
            "max_output_tokens": 16_384,
            "hold_output_tokens": 1_024,
            "routes": routes,
        }
        self.send("PUT", f"/operator/models/{model_id}", body | terms)

    def publish_price(self, model_id: str, **usd_per_million_tokens: str) -> None:
        body = {"model": model_id, "usd_per_million_tokens": usd_per_million_tokens}
        self.send("POST", "/operator/prices", body)
