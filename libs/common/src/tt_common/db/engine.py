"""Async SQLAlchemy engines on psycopg 3. `synchronous_commit` stays on: what is acknowledged is on disk."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

POOL_SIZE = 16
CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 30_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000


def sqlalchemy_url(url: str) -> str:
    """`postgresql://…` with the psycopg driver named."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def make_engine(url: str, application: str, pool_size: int = POOL_SIZE) -> AsyncEngine:
    """An engine whose connections are checked before use, so that a restarted server costs a retry and not an error."""
    return create_async_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": application,
            "options": (
                f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
                f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_MS}"
                " -c timezone=UTC"
            ),
        },
    )
