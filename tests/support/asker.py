"""Asks a model the same question again and again, whole or as a stream, and reads both answers in the same way."""

from typing import Any

from openai import OpenAI

from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import Product

HELLO: Any = [{"role": "user", "content": "Say hello."}]
PROMPT_TOKENS = 1_000
OUTPUT_TOKENS = 20
SWITCHES = {"prompt_tokens": PROMPT_TOKENS, "output_tokens": OUTPUT_TOKENS}


class Asker:
    """A request that only this customer's test makes: `served` counts what reached the provider."""

    def __init__(self, product: Product, model: str, customer: ConsoleUser) -> None:
        self._product = product
        self._model = model
        self.label = f"cache-{customer.account_id}"

    def ask(
        self, key: ApiKey, *, edge: int = 0, stream: bool = False, headers: dict[str, str] | None = None, **fields: Any
    ) -> tuple[dict[str, Any], Any]:
        """The completion and its headers; of a stream what the SDK puts together."""
        body = {"model": self._model, "messages": HELLO, **fields}
        extra = {"sandbox": {**SWITCHES, "label": self.label}}
        with self._product.openai(key, edge=edge) as client:
            if stream:
                return self._streamed(client, body, extra, headers)
            raw = client.chat.completions.with_raw_response.create(**body, extra_body=extra, extra_headers=headers)
            return raw.parse().model_dump(exclude_none=True), raw.headers

    @staticmethod
    def _streamed(client: OpenAI, body: Any, extra: Any, headers: Any) -> tuple[dict[str, Any], Any]:
        with client.chat.completions.stream(
            **body, stream_options={"include_usage": True}, extra_body=extra, extra_headers=headers
        ) as events:
            whole: Any = events.get_final_completion().model_dump(exclude_none=True)
            for choice in whole["choices"]:
                for call in choice["message"].get("tool_calls") or ():
                    call.pop("index", None)
                    call["function"].pop("parsed_arguments", None)
            return whole, events._response.headers

    @property
    def served(self) -> int:
        """How often the provider was called."""
        return len(self._product.provider.calls(label=self.label))
