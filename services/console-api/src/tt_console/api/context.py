"""What the routes work with: built once in main, reached through the application's state."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from fastapi import Depends, Request

from tt_console.clients.billing import BillingClient
from tt_console.clients.deposit_feed import DepositFeeds
from tt_console.clients.deposits import DepositsClient
from tt_console.clients.passwords import Argon2Passwords
from tt_console.domain.prices import Credit
from tt_console.settings import ConsoleSettings
from tt_console.store.database import PostgresDatabase


@dataclass(frozen=True, kw_only=True)
class Context:
    """Shared by all requests of a process."""

    settings: ConsoleSettings
    credit: Credit | None
    database: PostgresDatabase
    billing: BillingClient
    deposits: DepositsClient
    feeds: DepositFeeds
    passwords: Argon2Passwords
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    provider_networks: tuple[IPv4Network | IPv6Network, ...]
    webhook_networks: tuple[IPv4Network | IPv6Network, ...]


def get_context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


ContextDep = Annotated[Context, Depends(get_context)]
