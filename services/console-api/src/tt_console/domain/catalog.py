"""The catalog: models, their routes, and the providers behind them.

Invariant: a provider's secret is only ever a reference (`env:NAME`); a literal secret is refused before it is stored or logged.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from tt_common.contracts.records import Dialect, ModelKind, Route
from tt_common.errors import DomainError
from tt_common.provider_access import Network, is_private, key_variable, parse_provider_url

ROUTES_MAX: Final = 20
HEADERS_MAX: Final = 20
TOKENS_MAX: Final = 100_000_000
WEIGHT_MAX: Final = 1_000_000
TIMEOUT_S_MAX: Final = 3600.0
URL_LENGTH_MAX: Final = 500

_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$")
_HEADER: Final = re.compile(r"^[A-Za-z0-9-]{1,64}$")
_SECRET_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "x-goog-api-key"}
)

RowStatus = Literal["active", "disabled", "deleted"]
ManagedBy = Literal["seed", "operator"]


class ModelTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about a model. Token counts; `hold_output_tokens` sizes a hold without a client's limit."""

    kind: ModelKind
    owned_by: str
    context_window: int
    max_output_tokens: int
    hold_output_tokens: int
    routes: tuple[Route, ...]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as stored."""

    id: str
    status: RowStatus
    managed_by: ManagedBy
    revision: int
    created_at_ms: int
    terms: ModelTerms


class ProviderTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about a provider. Time-outs in seconds; `base_url` includes the version, such as `/v1`."""

    base_url: str
    dialect: Dialect = "openai"
    key_ref: str | None = None
    headers: dict[str, str] = {}
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float = 120.0
    between_bytes_timeout_s: float = 120.0
    responses: bool = False


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as stored."""

    id: str
    status: RowStatus
    managed_by: ManagedBy
    revision: int
    created_at_ms: int
    terms: ProviderTerms


def check_id(text: str, param: str) -> str:
    """A model's or provider's id. Raises DomainError invalid_id."""
    if not _ID.match(text):
        raise DomainError(
            "invalid_id",
            "an id is up to 128 letters, digits and . _ : / @ + -, beginning with a letter or digit",
            param=param,
        )
    return text


def check_model_terms(terms: ModelTerms) -> None:
    """Raises DomainError invalid_model that names the field."""
    _require(len(terms.routes) <= ROUTES_MAX, "invalid_model", "routes", f"at most {ROUTES_MAX} routes")
    for name in ("context_window", "max_output_tokens", "hold_output_tokens"):
        value: int = getattr(terms, name)
        _require(0 <= value <= TOKENS_MAX, "invalid_model", name, f"between 0 and {TOKENS_MAX}")
    _require(terms.context_window > 0, "invalid_model", "context_window", "above 0")
    seen: set[tuple[str, str]] = set()
    for route in terms.routes:
        _require(1 <= route.weight <= WEIGHT_MAX, "invalid_model", "routes.weight", f"between 1 and {WEIGHT_MAX}")
        _require(0 <= route.priority <= 1000, "invalid_model", "routes.priority", "between 0 and 1000")
        _require(0 < len(route.upstream_model) <= 200, "invalid_model", "routes.upstream_model", "1 to 200 characters")
        pair = (route.provider, route.upstream_model)
        _require(pair not in seen, "invalid_model", "routes", f"the route {pair[0]} / {pair[1]} is there twice")
        seen.add(pair)


def check_provider_terms(terms: ProviderTerms) -> None:
    """Raises DomainError: `secret_refused` for a literal secret, `invalid_provider` for the rest."""
    check_base_url(terms.base_url)
    _require(
        not terms.responses or terms.dialect == "openai",
        "invalid_provider",
        "responses",
        "only providers of the dialect openai have the Responses API",
    )
    if terms.key_ref is not None:
        try:
            key_variable(terms.key_ref)
        except ValueError:
            raise DomainError(
                "secret_refused",
                "key_ref is a reference such as env:OPENAI_API_KEY, never the secret itself, and its name ends in _API_KEY",
                param="key_ref",
            ) from None
    _require(len(terms.headers) <= HEADERS_MAX, "invalid_provider", "headers", f"at most {HEADERS_MAX} headers")
    for name, value in terms.headers.items():
        _require(bool(_HEADER.match(name)), "invalid_provider", "headers", f"{name[:64]!r} is no header name")
        _require(
            len(value) <= 1000 and value.isprintable(),
            "invalid_provider",
            "headers",
            "printable, up to 1000 characters",
        )
        if name.lower() in _SECRET_HEADERS:
            raise DomainError("secret_refused", f"the header {name} carries a secret; use key_ref", param="headers")
    for field in ("connect_timeout_s", "first_byte_timeout_s", "between_bytes_timeout_s"):
        value_s: float = getattr(terms, field)
        _require(0 < value_s <= TIMEOUT_S_MAX, "invalid_provider", field, f"above 0, at most {TIMEOUT_S_MAX:.0f} s")


def check_base_url(url: str) -> None:
    """What the edge will take: http(s)://host[:port][/path] and nothing more. Raises DomainError."""
    if any(character in url for character in "@?#"):
        raise DomainError("secret_refused", "base_url has no user, password, query or fragment", param="base_url")
    _require(len(url) <= URL_LENGTH_MAX, "invalid_provider", "base_url", f"at most {URL_LENGTH_MAX} characters")
    try:
        parse_provider_url(url)
    except ValueError as error:
        raise DomainError("invalid_provider", f"base_url: {error}", param="base_url") from None


def check_reachable(url: str, networks: Sequence[Network]) -> None:
    """What an operator may set from afar: a public host, or one in `networks`. Raises DomainError private_address."""
    if is_private(parse_provider_url(url).host, networks):
        raise DomainError(
            "private_address",
            "base_url is inside a private network; CONSOLE_PROVIDER_NETWORKS names those where providers may be",
            param="base_url",
        )


def _require(ok: bool, code: str, param: str, rule: str) -> None:
    if not ok:
        raise DomainError(code, f"{param}: {rule}", param=param)
