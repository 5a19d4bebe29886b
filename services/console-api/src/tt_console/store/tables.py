"""The tables as SQLAlchemy Core sees them. The migrations make them; a test holds the two together."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from tt_common.db.outbox import outbox_table

metadata = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _bigint(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


accounts = Table("accounts", metadata, Column("id", Text, primary_key=True), _bigint("created_at_ms"))

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False, index=False),
    Column("email", Text, nullable=False, unique=True),
    _text("password_hash"),
    _text("role"),
    _bigint("created_at_ms"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    _text("csrf_token"),
    _bigint("created_at_ms"),
    _bigint("expires_at_ms"),
    _bigint("last_used_at_ms"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    _bigint("window_ends_at_ms"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    _text("display"),
    _text("name"),
    _text("status"),
    _text("kind"),
    _bigint("revision"),
    _bigint("monthly_limit_nanousd", nullable=True),
    _bigint("requests_per_minute", nullable=True),
    _bigint("tokens_per_minute", nullable=True),
    _bigint("concurrency", nullable=True),
    Column("models", ARRAY(Text)),
    Column("ip_ranges", ARRAY(Text)),
    _bigint("expires_at_ms", nullable=True),
    Column("cache", Boolean, nullable=False),
    _bigint("created_at_ms"),
    _bigint("updated_at_ms"),
)

key_hashes = Table(
    "key_hashes",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("key_id", Text, ForeignKey("keys.id"), nullable=False),
    _bigint("revision"),
    _bigint("rotated_at_ms"),
)

providers = Table(
    "providers",
    metadata,
    Column("id", Text, primary_key=True),
    _text("status"),
    _text("managed_by"),
    _bigint("revision"),
    _bigint("created_at_ms"),
    _text("dialect"),
    _text("base_url"),
    Column("key_ref", Text),
    Column("headers", JSONB, nullable=False),
    Column("connect_timeout_s", Float, nullable=False),
    Column("first_byte_timeout_s", Float, nullable=False),
    Column("between_bytes_timeout_s", Float, nullable=False),
    Column("responses", Boolean, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("id", Text, primary_key=True),
    _text("status"),
    _text("managed_by"),
    _bigint("revision"),
    _bigint("created_at_ms"),
    _text("kind"),
    _text("owned_by"),
    _bigint("context_window"),
    _bigint("max_output_tokens"),
    _bigint("hold_output_tokens"),
    Column("seeded_price", Text, nullable=False, server_default=""),
)

routes = Table(
    "routes",
    metadata,
    Column("model_id", Text, ForeignKey("models.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("provider_id", Text, ForeignKey("providers.id"), nullable=False),
    _text("upstream_model"),
    Column("priority", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    UniqueConstraint("model_id", "provider_id", "upstream_model"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _bigint("at_ms"),
    _text("actor_kind"),
    _text("actor"),
    Column("actor_user_id", Text),
    _text("address"),
    _text("request_id"),
    _text("action"),
    _text("target"),
    Column("account_id", Text),
    Column("before", JSONB(none_as_null=True)),
    Column("after", JSONB(none_as_null=True)),
)

# In partitions by month; no key of its own, `usage_inbox` holds every id once.
usage = Table(
    "usage",
    metadata,
    Column("event_id", Uuid, nullable=False),
    *[_text(name) for name in ("account_id", "key_id", "model", "provider", "outcome")],
    Column("status", Integer, nullable=False),
    *[_text(name) for name in ("endpoint", "protocol")],
    Column("stream", Boolean, nullable=False),
    *[
        _bigint(name)
        for name in (
            "input_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "output_tokens",
            "reasoning_tokens",
            "audio_input_tokens",
            "audio_output_tokens",
            "images",
            "server_tool_calls",
            "seconds",
            "characters",
            "cost_nanousd",
        )
    ],
    *[_text(name) for name in ("service_tier", "price_version", "usage_source", "error_code")],
    *[_bigint(name) for name in ("started_at_ms", "finished_at_ms", "first_byte_ms")],
)

usage_inbox = Table("usage_inbox", metadata, Column("event_id", Uuid, primary_key=True))


def _rollup(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("start_ms", BigInteger, primary_key=True),
        Column("key_id", Text, primary_key=True),
        Column("model", Text, primary_key=True),
        *[_bigint(column) for column in ROLLUP_NUMBERS],
    )


ROLLUP_NUMBERS = (
    "requests",
    "errors",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "images",
    "cost_nanousd",
)
usage_hourly = _rollup("usage_hourly")
usage_daily = _rollup("usage_daily")

stream_positions = Table(
    "stream_positions",
    metadata,
    Column("stream", Text, primary_key=True),
    _text("created"),
    _bigint("sequence"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    _text("url"),
    _text("description"),
    Column("events", ARRAY(Text), nullable=False),
    _text("status"),
    _text("disabled_reason"),
    _text("secret"),
    Column("previous_secret", Text),
    _bigint("previous_until_ms", nullable=True),
    _bigint("failing_since_ms", nullable=True),
    _bigint("created_at_ms"),
    _bigint("updated_at_ms"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("endpoint_id", Text, ForeignKey("webhook_endpoints.id"), nullable=False),
    *[_text(name) for name in ("account_id", "event_id", "event_type", "body", "status")],
    Column("tries", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    _bigint("next_attempt_at_ms", nullable=True),
    _bigint("created_at_ms"),
    _bigint("finished_at_ms", nullable=True),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", Text, ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    _bigint("at_ms"),
    Column("duration_ms", Integer, nullable=False),
    Column("status_code", Integer),
    _text("error"),
)

webhook_inbox = Table("webhook_inbox", metadata, Column("event_id", Uuid, primary_key=True), _bigint("at_ms"))

outbox = outbox_table(metadata)
