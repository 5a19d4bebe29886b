"""Tell billing again what operators did to wallets: after its database was restored from a backup.

The audit log has every request with the id under which billing books it once, so what billing still knows stays as it is. Sends only
what billing had confirmed; what was asked and never answered is returned, for a person to look at.
"""

import msgspec

from tt_common.contracts.wallets import AdjustWallet, ConfigureWallet
from tt_console.domain.audit import WalletChange
from tt_console.usecases.ports import Billing, Database

ADJUST = "wallet.adjust"
CONFIGURE = "wallet.configure"


class Resent(msgspec.Struct, frozen=True):
    """How many were sent, and the requests of which nobody knows what came of them."""

    adjustments: int
    configurations: int
    unanswered: list[WalletChange]


async def resend_wallets(database: Database, billing: Billing, since_ms: int) -> Resent:
    """Safe to repeat. Raises Unavailable when billing is away."""
    async with database.transaction() as unit:
        changes = await unit.wallet_changes(since_ms)
    outcomes = {(change.action, change.request_id): change.outcome for change in changes}
    requested = [change for change in changes if change.outcome == "requested"]
    confirmed = [change for change in requested if outcomes[change.action, change.request_id] == "done"]
    adjustments = [change for change in confirmed if change.action == ADJUST]
    for change in adjustments:
        await billing.adjust(msgspec.convert(change.after, AdjustWallet))
    # The last word on each account counts.
    configured = {
        change.after["account_id"]: msgspec.convert(change.after, ConfigureWallet)
        for change in confirmed
        if change.action == CONFIGURE
    }
    for request in configured.values():
        await billing.configure(request)
    unanswered = [change for change in requested if outcomes[change.action, change.request_id] == "requested"]
    return Resent(len(adjustments), len(configured), unanswered)
