"""Settings of deposits, read from DEPOSITS_* variables once, in main. No private key is among them, and none is taken."""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIGRATIONS_DIR: Final = Path(__file__).parents[2] / "migrations"

Network = Literal["mainnet", "nile", "shasta", "sandbox"]
CrashPoint = Literal[
    "",
    "block_read",
    "before_block_commit",
    "after_block_commit",
    "after_publish_before_delete",
    "before_booked_commit",
    "after_booked_commit_before_ack",
]

USDT_CONTRACTS: Final[dict[Network, str]] = {
    "mainnet": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
    "nile": "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf",
    "shasta": "TG3XXyExBkPp9nzdajDZsozEu4BkaSJozs",
    "sandbox": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
}


class NodeSettings(BaseModel):
    """One TRON node; `solid_url` and `jsonrpc_url` default to what a node behind one address (such as TronGrid) has."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z0-9-]+$", description="as metrics and logs call it")
    url: str = Field(pattern=r"^https?://", description="where /wallet/… is, without a slash at its end")
    solid_url: str | None = Field(default=None, pattern=r"^https?://", description="where /walletsolidity/… is")
    jsonrpc_url: str | None = Field(default=None, pattern=r"^https?://", description="where eth_getLogs is answered")
    key_env: str | None = Field(default=None, description="name of the variable with the TRON-PRO-API-KEY")


class Settings(BaseSettings):
    """No default secrets; an unknown or malformed value refuses the start."""

    model_config = SettingsConfigDict(env_prefix="DEPOSITS_", frozen=True, hide_input_in_errors=True)

    database_url: str = Field(description="database, as the runtime role", repr=False)
    owner_database_url: str | None = Field(
        default=None, description="the same as the owning role; migrate only", repr=False
    )
    nats_url: str | None = Field(default=None, description="NATS; needed by serve", repr=False)
    host: str = Field(default="127.0.0.1", description="address of the health endpoints")
    port: int = Field(default=8083, ge=0, le=65535, description="port of the health endpoints")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    network: Network = Field(default="mainnet", description="mainnet, nile, shasta or sandbox")
    xpub: str = Field(default="", description="the account's xpub, m/44'/195'/A'; needed by serve", repr=False)
    xpub_fingerprint: str = Field(
        default="",
        description="refuse any other xpub than the one with this fingerprint (python -m tt_deposits addresses)",
    )
    nodes: tuple[NodeSettings, ...] = Field(
        default=(),
        description="JSON list of TRON nodes, the preferred first: name, url, solid_url, jsonrpc_url, key_env",
    )
    contract: str = Field(default="", description="the USDT contract; empty: the network's known one")
    start_height: int | None = Field(
        default=None, ge=0, description="first block to scan on a new database; empty: the solid head of that moment"
    )
    minimum_micro_usdt: int = Field(
        default=1_000_000, ge=0, description="an address is credited once it has got this much, in micro-USDT"
    )
    review_above_micro_usdt: int = Field(
        default=10_000_000_000, ge=0, description="a larger transfer waits for an operator, in micro-USDT"
    )
    order_ttl_s: int = Field(default=86_400, ge=60, description="after this a recharge order is late")
    spare_addresses: int = Field(default=20, ge=1, le=1000, description="addresses that are checked and kept ready")
    poll_s: float = Field(default=1.0, gt=0, le=30, description="how often nodes are asked for a new block")
    node_timeout_s: float = Field(default=10.0, gt=0, le=60, description="how long a node may take to answer")
    solid_lag_max_s: float = Field(
        default=120.0, gt=0, description="an older solid block means that deposits are delayed"
    )
    check_root: bool = Field(
        default=True,
        description="take a block only where its transactions make the root in its header; false: should TRON change how it is made",
    )
    reconcile_every_s: float = Field(default=86_400.0, gt=0, description="time between scheduled reconciliations")
    crash_at: CrashPoint = Field(default="", description="fault tests: die at this point")
    crash_after: int = Field(default=1, ge=1, description="fault tests: at the n-th pass of it")

    @property
    def usdt_contract(self) -> str:
        """base58check of the contract that is watched."""
        return self.contract or USDT_CONTRACTS[self.network]

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.review_above_micro_usdt < self.minimum_micro_usdt:
            raise ValueError("DEPOSITS_REVIEW_ABOVE_MICRO_USDT is at least DEPOSITS_MINIMUM_MICRO_USDT")
        if len({node.name for node in self.nodes}) < len(self.nodes):
            raise ValueError("DEPOSITS_NODES names a node twice")
        return self
