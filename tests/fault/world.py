"""The product under fault tests, with what they need on top: keys that every edge knows, the provider's record from a point on,
and direct reading of the services' tables, as their owners.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from psycopg.rows import dict_row

from tests.support.product import Product
from tests.support.waiting import eventually
from tt_sandbox.stack.service import Service
from tt_sandbox.stack.stack import Stack

EDGES: Final = 4
ROW_LIMIT: Final = 200_000
READY_S: Final = 15.0
# Short, so that tests needn't wait half a minute for what time does; the ratios are the product's.
SOFT_TTL_S: Final = 8
HARD_TTL_S: Final = 3 * SOFT_TTL_S
ENV: Final = {
    "billing": {"BILLING_GRANT_SOFT_TTL_S": str(SOFT_TTL_S), "BILLING_GRANT_HARD_TTL_S": str(HARD_TTL_S)},
}

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
class Key:
    id: str
    account_id: str
    plaintext: str


class World:
    """One running stack. Blocking; made once for all tests of this folder."""

    def __init__(self, data_dir: Path) -> None:
        self.product = Product(data_dir, edges=EDGES, env=ENV)
        self._provider = httpx.Client(base_url=self.stack.sandbox_url, timeout=20.0, trust_env=False)

    @property
    def stack(self) -> Stack:
        return self.product.stack

    @property
    def edges(self) -> list[Service]:
        return self.stack.edges

    @property
    def billing(self) -> Service:
        return self.stack.service("billing")

    def start(self) -> None:
        self.product.start()
        for model in (CHAT, EXACT, DEAR):
            prices = PRICES[model]
            # Two upstream names are two routes with a circuit breaker each, so that a call can fail over.
            routes = [{"provider": "sandbox", "upstream_model": f"{model}-{n}", "priority": n} for n in (0, 1)]
            self.product.operator.put_model(model, routes, hold_output_tokens=HOLD_OUTPUT_TOKENS)
            usd = {"input": prices.input, "cache_read": prices.cache_read, "output": prices.output}
            rates = {name: f"{value // 10**9}.{value % 10**9:09d}" for name, value in usd.items()}
            self.product.operator.publish_price(model, **rates)
            self.product.until_callable(model)

    def stop(self) -> None:
        self._provider.close()
        self.product.stop()

    def heal(self) -> None:
        """Whatever faults left: engines run, services are up and ready."""
        self.stack.postgres.start()
        self.stack.nats.start()
        for service in self.stack.services:
            service.resume()
            service.start()

    def pass_time(self, seconds: float) -> None:
        """Billing's operational clock, by which grants expire, goes on at once; where PostgreSQL is down, as soon as it is back."""
        eventually(lambda: self._passed(seconds), "the operational clock goes on", READY_S)

    def _passed(self, seconds: float) -> bool:
        try:
            with psycopg.connect(self.stack.database_url("billing", "owner"), autocommit=True) as link:
                link.execute("UPDATE billing_clock SET clock_ms = clock_ms + %s", (int(seconds * 1000),))
        except psycopg.OperationalError:
            return False
        return True

    def key(self, credit_usd: str, **limits: Any) -> Key:
        """A key of a new account with that credit; every edge knows it. `limits` are fields of the console API."""
        user = self.product.new_customer(credit_usd)
        made = user.create_key(**limits)
        headers = {"Authorization": f"Bearer {made.plaintext}"}
        with httpx.Client(headers=headers, trust_env=False) as client:
            for url in self.stack.edge_urls:
                eventually(lambda u=url: client.get(f"{u}/v1/models").status_code == 200, "the key is known", READY_S)
        return Key(made.id, user.account_id, made.plaintext)

    def provider_calls(self, since: int = 0) -> list[dict[str, Any]]:
        """What the provider says it served, in order, after the call with sequence number `since`."""
        page = self._provider.get("/sandbox/calls", params={"since": since}).raise_for_status().json()
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

    def _rows(self, owner: str, query: str, values: tuple[object, ...]) -> list[dict[str, Any]]:
        with psycopg.connect(self.stack.database_url(owner, "owner"), autocommit=True) as link:
            rows = link.cursor(row_factory=dict_row).execute(query.encode(), values).fetchmany(ROW_LIMIT)
        assert len(rows) < ROW_LIMIT
        return rows
