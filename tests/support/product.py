"""The whole product while tests use it: a running stack, its operator, and short ways to accounts, keys and models.

Accounts and models are made anew for whoever asks, so tests that share the stack don't share state.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from anthropic import Anthropic
from anthropic import DefaultHttpxClient as AnthropicHttpxClient
from openai import AsyncOpenAI, DefaultHttpxClient, OpenAI

from tests.support.console import ApiKey, ConsoleUser, Operator
from tests.support.nats_log import refusals
from tests.support.provider_record import ProviderRecord
from tests.support.waiting import eventually
from tt_sandbox.stack.stack import Stack

OPERATOR_EMAIL = "operator@example.com"
CREDIT_NAME = "TMT"
CREDITS_PER_USD = "100"
SANDBOX = "sandbox"
NO_VENDORS = {"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": "", "GEMINI_API_KEY": ""}
"""The models of this stack are the sandbox's, whatever the tester's own shell has."""


class Product:
    """Start with `start`, end with `stop`. Deposits and their chain are there when asked for."""

    def __init__(
        self, data_dir: Path, *, edges: int, deposits: bool = False, env: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        self._operator_password = secrets.token_urlsafe(16)
        console = {
            "CONSOLE_OPERATOR_PASSWORD": self._operator_password,
            "CONSOLE_TRUSTED_PROXIES": '["127.0.0.1/32"]',
            "CONSOLE_PROVIDER_NETWORKS": '["127.0.0.0/8"]',
            "CONSOLE_CREDIT_NAME": CREDIT_NAME,
            "CONSOLE_CREDITS_PER_USD": CREDITS_PER_USD,
            **NO_VENDORS,
        }
        edge = {"EDGE_IDLE_GRANT_S": "0.2", **NO_VENDORS}
        given = env or {}
        self.stack = Stack(
            data_dir,
            edges=edges,
            deposits=deposits,
            env={
                **given,
                "console": console | dict(given.get("console", {})),
                "edge": edge | dict(given.get("edge", {})),
            },
        )
        self._users: list[ConsoleUser] = []

    def start(self) -> None:
        self.stack.start()
        made = self.stack.command("console", "create-operator", OPERATOR_EMAIL)
        assert made.returncode == 0, made.stderr
        self.provider = ProviderRecord(self.stack.sandbox_url)
        self.operator = Operator(self.stack.console_url).log_in(OPERATOR_EMAIL, self._operator_password)

    def stop(self) -> None:
        for user in self._users:
            user.close()
        if hasattr(self, "operator"):
            self.operator.close()
            self.provider.close()
        self.stack.stop()
        assert refusals(self.stack.nats) == []

    def base_url(self, edge: int = 0) -> str:
        """What an SDK is pointed at."""
        return f"{self.stack.edge_urls[edge]}/v1"

    def new_customer(self, credit_usd: str | None = "5.00") -> ConsoleUser:
        """A fresh account, signed in, with credit in its wallet."""
        user = ConsoleUser(self.stack.console_url).sign_up()
        self._users.append(user)
        if credit_usd is not None:
            self.operator.credit(user.account_id, credit_usd)
        return user

    def new_model(
        self,
        *,
        routes: list[dict[str, Any]] | None = None,
        input_usd: str = "1.00",
        output_usd: str = "2.00",
        cache_read_usd: str = "0",
        **terms: Any,
    ) -> str:
        """A model of its own, callable on every edge when this returns; its upstream name at the sandbox is its id.

        Prices are USD per million tokens. With an upstream name of its own a model has a circuit breaker of its own.
        """
        model = f"test-{secrets.token_hex(6)}"
        self.operator.put_model(model, routes or [{"provider": SANDBOX, "upstream_model": model}], **terms)
        self.operator.publish_price(model, input=input_usd, cache_read=cache_read_usd, output=output_usd)
        self.until_callable(model)
        return model

    def until_callable(self, model: str) -> None:
        """Waits until every edge lists the model."""
        with ConsoleUser(self.stack.console_url).sign_up() as user:
            key = user.create_key()
            for url in self.stack.edge_urls:
                eventually(lambda url=url: self._lists(url, key, model), f"{url} serves {model}", 5.0)

    def _lists(self, edge_url: str, key: ApiKey, model: str) -> bool:
        answer = httpx.get(
            f"{edge_url}/v1/models/{model}", headers={"Authorization": f"Bearer {key.plaintext}"}, trust_env=False
        )
        return answer.status_code == 200

    def openai(self, key: ApiKey | str, *, edge: int = 0, max_retries: int = 0, **options: Any) -> OpenAI:
        """The official SDK, pointed at an edge. It doesn't retry unless told to; close it, or use it in a `with`."""
        plaintext = key if isinstance(key, str) else key.plaintext
        options.setdefault("base_url", self.base_url(edge))
        options.setdefault("http_client", DefaultHttpxClient(trust_env=False))
        return OpenAI(api_key=plaintext, max_retries=max_retries, **options)

    def anthropic(self, key: ApiKey | str, *, edge: int = 0, max_retries: int = 0, **options: Any) -> Anthropic:
        """Anthropic's SDK, pointed at an edge. It doesn't retry unless told to; close it, or use it in a `with`."""
        plaintext = key if isinstance(key, str) else key.plaintext
        options.setdefault("base_url", self.stack.edge_urls[edge])
        options.setdefault("http_client", AnthropicHttpxClient(trust_env=False))
        return Anthropic(api_key=plaintext, max_retries=max_retries, **options)

    def async_openai(self, key: ApiKey, *, edge: int = 0, max_retries: int = 0) -> AsyncOpenAI:
        return AsyncOpenAI(api_key=key.plaintext, max_retries=max_retries, base_url=self.base_url(edge))
