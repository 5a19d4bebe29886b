"""The stack under test with what a test needs around it: accounts, keys, models, the provider's record, billing's tables.

Set-up goes through the console API as an operator's would. Reading goes straight to the databases, as their owners.
"""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import psycopg
from psycopg.rows import dict_row

from tt_sandbox.stack.service import Service
from tt_sandbox.stack.stack import Stack

OPERATOR: Final = "operator@example.com"
PASSWORD: Final = "correct horse battery staple"
ROW_LIMIT: Final = 200_000
READY_S: Final = 15.0

CHAT: Final = "fault-chat"
EXACT: Final = "fault-exact"
DEAR: Final = "fault-dear"
EMBEDDING: Final = "text-embedding-3-small"


@dataclass(frozen=True)
class Prices:
    """NanoUSD per million tokens."""

    input: int
    cache_read: int
    output: int


PRICES: Final = {
    CHAT: Prices(150_000_000, 75_000_000, 600_000_000),
    EXACT: Prices(0, 0, 2_000_000_000),
    DEAR: Prices(0, 0, 500_000_000_000),
    EMBEDDING: Prices(20_000_000, 0, 0),
}
"""Input of EXACT and DEAR is free, so that a hold is `max_tokens` at the output price and nothing else."""

HOLD_OUTPUT_TOKENS: Final = 300


@dataclass(frozen=True)
class Account:
    id: str
    client: httpx.Client


@dataclass(frozen=True)
class Key:
    id: str
    account_id: str
    plaintext: str


class World:
    """One running stack. Blocking; made once for all tests of this folder."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._numbers = itertools.count(1)
        self._clients: list[httpx.Client] = []
        self.provider = self._client(stack.sandbox_url)
        done = stack.command("console", "create-operator", OPERATOR)
        assert done.returncode == 0, done.stderr
        self._operator = self._client(f"{stack.console_url}/api/v1")
        self._sign_in(self._operator, "login", OPERATOR)
        for model in (CHAT, EXACT, DEAR):
            self._make_model(model)
        self._wait_for_models()

    def close(self) -> None:
        for client in self._clients:
            client.close()

    @property
    def edges(self) -> list[Service]:
        return self.stack.edges

    @property
    def billing(self) -> Service:
        return self.stack.service("billing")

    def account(self, usd: str) -> Account:
        """A new account with that much in its wallet."""
        number = next(self._numbers)
        client = self._client(f"{self.stack.console_url}/api/v1")
        client.headers["X-Forwarded-For"] = f"10.0.0.{number}"
        user = self._sign_in(client, "signup", f"customer-{number}@example.com")
        credit = {"amount_usd": usd, "reason": "for a test"}
        _answer(self._operator.post(f"/operator/accounts/{user['account_id']}/adjustments", json=credit))
        return Account(user["account_id"], client)

    def key(self, account: Account, **limits: Any) -> Key:
        """A new key of the account; `limits` are fields of the console API."""
        made = _answer(account.client.post("/keys", json={"name": f"key {next(self._numbers)}", **limits}))
        return Key(made["id"], account.id, made["key"])

    def provider_calls(self, since: int = 0) -> list[dict[str, Any]]:
        """What the provider says it served, in order, after the call with sequence number `since`."""
        page = _answer(self.provider.get("/sandbox/calls", params={"since": since}))
        assert not page["more"]
        return page["calls"]

    def billing_rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        return self._rows("billing", query, values)

    def console_rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        return self._rows("console", query, values)

    def balance(self, account_id: str) -> tuple[int, int]:
        """(available, held) of a wallet, nanoUSD."""
        query = "SELECT available_nanousd, held_nanousd FROM wallets WHERE account_id = %s"
        (row,) = self.billing_rows(query, account_id)
        return row["available_nanousd"], row["held_nanousd"]

    def _rows(self, owner: str, query: str, values: Sequence[object]) -> list[dict[str, Any]]:
        with psycopg.connect(self.stack.database_url(owner, "owner"), row_factory=dict_row, autocommit=True) as link:
            rows = link.execute(query.encode(), values).fetchmany(ROW_LIMIT)
        assert len(rows) < ROW_LIMIT
        return rows

    def _client(self, base_url: str) -> httpx.Client:
        client = httpx.Client(base_url=base_url, timeout=20.0, trust_env=False)
        self._clients.append(client)
        return client

    def _sign_in(self, client: httpx.Client, how: str, email: str) -> dict[str, Any]:
        user = _answer(client.post(f"/auth/{how}", json={"email": email, "password": PASSWORD}))
        client.headers["X-CSRF-Token"] = user["csrf_token"]
        return user

    def _make_model(self, model: str) -> None:
        prices = PRICES[model]
        body = {
            "kind": "chat",
            "owned_by": "tests",
            "context_window": 128_000,
            "max_output_tokens": 16_384,
            "hold_output_tokens": HOLD_OUTPUT_TOKENS,
            "routes": [
                {"provider": "sandbox", "upstream_model": f"{model}-a", "priority": 0},
                {"provider": "sandbox", "upstream_model": f"{model}-b", "priority": 1},
            ],
        }
        _answer(self._operator.put(f"/operator/models/{model}", json=body))
        usd = {"input": prices.input, "cache_read": prices.cache_read, "output": prices.output}
        rates = {name: f"{value // 10**9}.{value % 10**9:09d}" for name, value in usd.items()}
        _answer(self._operator.post("/operator/prices", json={"model": model, "usd_per_million_tokens": rates}))

    def _wait_for_models(self) -> None:
        key = self.key(self.account("1"))
        headers = {"Authorization": f"Bearer {key.plaintext}"}
        deadline = time.monotonic() + READY_S
        for edge in self.edges:
            while True:
                listed = httpx.get(f"{edge.url}/v1/models", headers=headers, trust_env=False).json().get("data", [])
                if {CHAT, EXACT, DEAR} <= {model["id"] for model in listed}:
                    break
                assert time.monotonic() < deadline, f"{edge.name} does not serve the tests' models: {listed}"
                time.sleep(0.1)


def _answer(response: httpx.Response) -> dict[str, Any]:
    assert response.is_success, f"{response.request.method} {response.request.url}: {response.text}"
    return response.json()
