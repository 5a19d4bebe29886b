"""Settings of the edge, from EDGE_* variables. Built once in main and passed down; no secrets have defaults."""

import ipaddress
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tt_edge.crash_points import CrashPoint

WORKERS_MAX = 64


class Settings(BaseSettings):
    """One edge. Sizes and sums are for each of its workers. Durations in seconds, sizes in bytes, money in nanoUSD."""

    model_config = SettingsConfigDict(env_prefix="EDGE_", frozen=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, description="port to listen on")
    workers: int = Field(
        1,
        ge=1,
        le=WORKERS_MAX,
        description="processes behind the one port, each its own journal; see docs/operations.md",
    )
    nats_url: str = Field(description="NATS with credentials, nats://user:password@host:port")
    journal_dir: Path = Field(description="root folder of the journals; on a disk that outlives the process")
    journal_segment_bytes: int = Field(
        16 * 1024 * 1024, ge=2 * 1024 * 1024, description="journal: bytes of one file; two are always taken in advance"
    )
    log_level: str = Field("INFO", description="log level")
    key_prefixes: tuple[str, ...] = Field(
        ("sk-", "mt_live_", "gw_"), description="prefixes that a missing key's hint names"
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="networks whose X-Forwarded-For is believed, as a JSON list"
    )
    json_body_bytes_max: int = Field(20 * 1024 * 1024, description="largest JSON body")
    form_bytes_max: int = Field(100 * 1024 * 1024, description="largest form, files included")
    spool_dir: Path = Field(Path("/tmp"), description="where uploads lie while a call runs; on a disk, not in memory")
    spool_bytes_max: int = Field(
        2 * 1024 * 1024 * 1024, description="all uploads of one worker together; above it a call is refused"
    )
    answer_bytes_max: int = Field(64 * 1024 * 1024, description="largest whole answer of a provider")
    drain_s: float = Field(2.0, description="after a client's disconnect, how long to wait for the usage figure")
    leave_s: float = Field(
        0.0,
        ge=0,
        description="on SIGTERM, how long calls are still taken while /readyz says no, for load balancers to notice",
    )
    grace_s: int = Field(30, description="after that, how long open answers may go on")
    billing_wait_s: float = Field(5.0, description="how long a call waits for billing before it is refused")
    unsettled_nanousd_max: int = Field(50_000_000_000, description="admission stops above this much unsettled value")
    idle_grant_s: float = Field(5.0, description="a grant unused for this long is given back")
    grant_age_s_max: float = Field(300.0, description="a grant older than this is replaced by a new one")
    cache_bytes_max: int = Field(
        64 * 1024 * 1024, ge=0, description="response cache: memory of one worker; 0 keeps none"
    )
    cache_entries_max: int = Field(20_000, ge=0, description="response cache: answers in memory")
    cache_ttl_s: float = Field(3600.0, gt=0, description="response cache: an older answer is not served")
    crash_at: CrashPoint = Field("", description="fault tests: die at this point")
    crash_after: int = Field(1, ge=1, description="fault tests: at the n-th pass of it")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value
