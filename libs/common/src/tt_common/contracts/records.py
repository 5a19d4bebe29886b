"""KV records: what console-api and billing push to the edges. Each carries a revision; the higher one wins.

Nothing is ever deleted from a bucket: what is gone has a status that says so, so a missing record never means "revoked".
"""

from typing import Literal

import msgspec

from tt_common.contracts.streams import kv_token
from tt_common.rating import Price, price_in_force

Dialect = Literal["openai", "openai_responses", "anthropic", "gemini"]
"""What a provider speaks; `openai_responses` only beside `openai`, see `ProviderRecord.responses`."""
ModelKind = Literal["chat", "embedding", "image", "transcription", "speech"]
"""What a model does: one that makes images, writes down speech, or speaks can't chat."""
KeyStatus = Literal["active", "disabled", "rotated", "deleted"]


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Bucket `keys`, under the hex SHA-256 of the plaintext. Limits of None are no limits; times are Unix ms."""

    key_id: str
    account_id: str
    hash: str
    status: KeyStatus
    revision: int
    kind: Literal["wallet", "byok"] = "wallet"
    monthly_limit_nanousd: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    models: tuple[str, ...] | None = None
    ip_ranges: tuple[str, ...] | None = None
    expires_at_ms: int | None = None
    cache: bool = False
    """Whether calls use the response cache unless their header says otherwise."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One way to a model. Lower `priority` is tried first; `weight` (at least 1) spreads within a priority."""

    provider: str
    upstream_model: str
    priority: int = 0
    weight: int = 1


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Bucket `catalog`, key `model.<id>`. `hold_output_tokens` sizes a hold when the client names no limit."""

    id: str
    kind: ModelKind
    status: Literal["active", "disabled"]
    revision: int
    owned_by: str
    created_at_ms: int
    context_window: int
    max_output_tokens: int
    hold_output_tokens: int
    routes: tuple[Route, ...]


class ProviderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Bucket `catalog`, key `provider.<id>`. `key_ref` is `env:NAME`: the edge reads the secret, it never travels."""

    id: str
    dialect: Dialect
    base_url: str
    status: Literal["active", "disabled"]
    revision: int
    key_ref: str | None = None
    headers: dict[str, str] = {}
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float = 120.0
    between_bytes_timeout_s: float = 120.0
    responses: bool = False
    """Whether it has OpenAI's Responses API too."""


class PriceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Bucket `catalog`, key `price.<model>`, written by billing at `made_at_ms`: the version in force and those that start later."""

    model: str
    revision: int
    versions: tuple[Price, ...]
    made_at_ms: int = 0

    def in_force(self, now_ms: int) -> Price | None:
        """The version for a reader whose clock says `now_ms`: it is at least as late as when billing wrote, so one that is
        behind serves what billing says is in force.
        """
        return price_in_force(self.versions, max(now_ms, self.made_at_ms))


def model_key(model: str) -> str:
    return f"model.{kv_token(model)}"


def provider_key(provider: str) -> str:
    return f"provider.{kv_token(provider)}"


def price_key(model: str) -> str:
    return f"price.{kv_token(model)}"
