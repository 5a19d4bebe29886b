"""Settings of the console API, read once from `CONSOLE_*`. Nothing secret has a default."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ConsoleSettings(BaseSettings):
    """How one process of the console API is set up."""

    model_config = SettingsConfigDict(
        env_prefix="CONSOLE_", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8081
    """Port to listen on."""
    nats_url: SecretStr
    """NATS with user and password."""
    database_url: SecretStr
    """PostgreSQL as the runtime role."""
    owner_database_url: SecretStr | None = None
    """PostgreSQL as the owner role; only `migrate` uses it."""
    log_level: str = "INFO"
    """Lowest level that is logged."""
    key_prefix: str = "sk-"
    """What new API keys begin with."""
    credit_name: str | None = None
    """The deployment's own credit, such as TMT; amounts are then shown in it as well."""
    credits_per_usd: str = "1"
    """How many of that credit one USD is, a decimal number."""
    edge_base_url: str = "http://127.0.0.1:8080"
    """The public address of the edge, without /v1."""
    cookie_secure: bool | None = None
    """Whether the session cookie needs HTTPS. Unset: yes, unless `host` is a loopback address. Behind a TLS proxy on the same
    machine set it to true."""
    leave_s: float = 0.0
    """On SIGTERM, how long requests are still taken while /readyz says no, for load balancers to notice."""
    session_ttl_s: int = 14 * 86_400
    """How long a sign-in lasts."""
    allowed_origins: tuple[str, ...] = ()
    """Further origins (scheme://host:port) whose pages may call the API; a JSON list."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or CIDR ranges of proxies whose X-Forwarded-For is believed; a JSON list."""
    provider_networks: tuple[str, ...] = ()
    """Private networks (CIDR) in which an operator may set up providers through the API; a JSON list. The catalog file may name any."""
    webhook_networks: tuple[str, ...] = ()
    """Private networks (CIDR) in which customers' webhooks may be, there also without TLS; a JSON list."""
