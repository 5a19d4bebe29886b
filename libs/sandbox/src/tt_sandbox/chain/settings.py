"""Settings of the sandbox chain, read once from `CHAIN_*`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tt_sandbox.chain.usdt import USDT


class ChainSettings(BaseSettings):
    """Where the chain listens, how fast it grows and where it is kept."""

    model_config = SettingsConfigDict(env_prefix="CHAIN_", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8091, ge=0, le=65535)
    block_s: float = Field(default=3.0, ge=0, le=3600)
    """Seconds from block to block; 0: blocks come only by command."""
    solid_lag: int = Field(default=18, ge=0, le=1000)
    """How many later blocks make a block solid."""
    start_height: int = Field(default=70_000_000, ge=1, le=1_000_000_000)
    """The head when the chain is made; the blocks below are there and empty."""
    usdt_contract: str = USDT
    nodes: tuple[str, ...] = ("a", "b", "c")
    file: Path | None = None
    """SQLite file that the chain is kept in; without one it is gone with the process."""
    log_level: str = "warning"
