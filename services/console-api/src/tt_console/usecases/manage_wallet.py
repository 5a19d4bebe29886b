"""An operator's hand on a wallet and on prices. Billing does it; the audit log says who asked and what came of it."""

from collections.abc import Callable

from tt_common.contracts.wallets import AdjustWallet, ConfigureWallet, PublishPrice, WalletState
from tt_common.errors import DomainError
from tt_common.rating import Price
from tt_console.domain.audit import Actor
from tt_console.usecases.audited import Deed, audited, require_account
from tt_console.usecases.ports import Billing, Database


async def adjust_wallet(
    database: Database, billing: Billing, request: AdjustWallet, actor: Actor, clock: Callable[[], int]
) -> WalletState:
    """Idempotent by the request's id. Raises account_not_found, billing_shortfall, idempotency_conflict, Unavailable."""
    await require_account(database, request.account_id)
    deed = Deed(action="wallet.adjust", target=request.account_id, account_id=request.account_id, request=request)
    return await audited(database, lambda: billing.adjust(request), deed, actor, clock)


async def configure_wallet(
    database: Database, billing: Billing, request: ConfigureWallet, actor: Actor, clock: Callable[[], int]
) -> WalletState:
    """Idempotent. Raises account_not_found, Unavailable."""
    await require_account(database, request.account_id)
    deed = Deed(
        action="wallet.configure",
        target=request.account_id,
        account_id=request.account_id,
        request=request,
        before=await billing.wallet(request.account_id),
    )
    return await audited(database, lambda: billing.configure(request), deed, actor, clock)


async def publish_price(
    database: Database, billing: Billing, request: PublishPrice, actor: Actor, clock: Callable[[], int]
) -> Price:
    """The same rates again give the same version. Raises unknown_model, Unavailable."""
    async with database.transaction() as unit:
        if await unit.catalog.missing_models([request.model]):
            raise DomainError("unknown_model", f"there is no model {request.model!r}", param="model")
    versions = await billing.prices(request.model)
    newest = max(versions, key=lambda price: price.number) if versions else None
    deed = Deed(action="price.publish", target=request.model, account_id=None, request=request, before=newest)
    return await audited(database, lambda: billing.publish_price(request), deed, actor, clock)
