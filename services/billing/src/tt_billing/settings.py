"""Settings of billing, read from BILLING_* variables once, in main."""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIGRATIONS_DIR: Final = Path(__file__).parents[2] / "migrations"

Network = Literal["mainnet", "nile", "shasta", "sandbox"]
CrashPoint = Literal[
    "",
    "before_commit",
    "after_commit_before_ack",
    "mid_grant",
    "after_grant_commit_before_reply",
    "before_deposit_commit",
    "after_deposit_commit_before_ack",
]


class Settings(BaseSettings):
    """No default secrets; an unknown or malformed value refuses the start."""

    model_config = SettingsConfigDict(env_prefix="BILLING_", frozen=True, hide_input_in_errors=True)

    database_url: str = Field(description="database, as the runtime role", repr=False)
    owner_database_url: str | None = Field(
        default=None, description="the same as the owning role; migrate only", repr=False
    )
    nats_url: str | None = Field(default=None, description="NATS; needed by serve and reconcile", repr=False)
    host: str = Field(default="127.0.0.1", description="address of the health endpoints")
    port: int = Field(default=8082, ge=0, le=65535, description="port of the health endpoints")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    grant_soft_ttl_s: float = Field(default=30.0, gt=0, description="a grant this old admits no new calls")
    grant_hard_ttl_s: float = Field(
        default=90.0, gt=0, description="a grant not heard of for this long is lost (at least twice soft)"
    )
    lost_grant_s: float = Field(default=900.0, gt=0, description="a lost grant stays held for this long")
    recall_wait_s: float = Field(default=0.25, gt=0, le=2, description="how long edges may take to answer a recall")
    deposits_network: Network = Field(
        default="mainnet",
        description="the chain whose deposits are booked: mainnet, nile, shasta or sandbox; others go to quarantine",
    )
    reconcile_every_s: float = Field(default=3600.0, gt=0, description="time between scheduled reconciliations")
    crash_at: CrashPoint = Field(default="", description="fault tests: die at this point")
    crash_after: int = Field(default=1, ge=1, description="fault tests: at the n-th pass of it")

    @model_validator(mode="after")
    def _hard_is_twice_soft(self) -> Self:
        if self.grant_hard_ttl_s < 2 * self.grant_soft_ttl_s:
            raise ValueError("BILLING_GRANT_HARD_TTL_S is at least twice BILLING_GRANT_SOFT_TTL_S")
        return self
