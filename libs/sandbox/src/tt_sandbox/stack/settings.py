"""Where `make up` keeps its data and which ports it uses, from the environment."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_DIR = Path(__file__).resolve().parents[5]


@dataclass(frozen=True)
class Ports:
    """TCP ports on 127.0.0.1; 0 picks a free one."""

    edge: int = 0
    console: int = 0
    billing: int = 0
    deposits: int = 0
    sandbox: int = 0
    chain: int = 0
    nats: int = 0
    postgres: int = 0


class StackSettings(BaseSettings):
    """The variables `make up` knows. NATS and PostgreSQL stay clear of the ports of system-wide servers."""

    model_config = SettingsConfigDict(frozen=True)

    data_dir: Path = PROJECT_DIR / ".data"
    detach: bool = False
    yes: bool = False
    edge_port: int = Field(default=8080, ge=1, le=65535)
    console_port: int = Field(default=8081, ge=1, le=65535)
    billing_port: int = Field(default=8082, ge=1, le=65535)
    deposits_port: int = Field(default=8083, ge=1, le=65535)
    sandbox_port: int = Field(default=8090, ge=1, le=65535)
    chain_port: int = Field(default=8091, ge=1, le=65535)
    nats_port: int = Field(default=42220, ge=1, le=65535)
    postgres_port: int = Field(default=54320, ge=1, le=65535)

    @property
    def ports(self) -> Ports:
        """The same, as `Stack` takes them."""
        return Ports(
            edge=self.edge_port,
            console=self.console_port,
            billing=self.billing_port,
            deposits=self.deposits_port,
            sandbox=self.sandbox_port,
            chain=self.chain_port,
            nats=self.nats_port,
            postgres=self.postgres_port,
        )
