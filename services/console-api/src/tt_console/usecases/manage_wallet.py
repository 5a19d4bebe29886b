"""An operator's hand on a wallet and on prices. Billing does it; the audit log says who asked and what came of it.

The request is in the audit log before billing is asked: a crash between the two leaves a trace, never an unaudited change.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from tt_common.contracts.wallets import AdjustWallet, ConfigureWallet, PublishPrice, WalletState
from tt_common.errors import DomainError
from tt_common.rating import Price
from tt_console.domain.audit import Actor, AuditEntry, seen
from tt_console.usecases.ports import Billing, Database

ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)


async def adjust_wallet(
    database: Database, billing: Billing, request: AdjustWallet, actor: Actor, clock: Callable[[], int]
) -> WalletState:
    """Idempotent by the request's id. Raises account_not_found, billing_shortfall, idempotency_conflict, Unavailable."""
    await _require_account(database, request.account_id)
    return await _audited(
        database, lambda: billing.adjust(request), "wallet.adjust", request.account_id, request, None, actor, clock
    )


async def configure_wallet(
    database: Database, billing: Billing, request: ConfigureWallet, actor: Actor, clock: Callable[[], int]
) -> WalletState:
    """Idempotent. Raises account_not_found, Unavailable."""
    await _require_account(database, request.account_id)
    before = await billing.wallet(request.account_id)
    return await _audited(
        database,
        lambda: billing.configure(request),
        "wallet.configure",
        request.account_id,
        request,
        before,
        actor,
        clock,
    )


async def publish_price(
    database: Database, billing: Billing, request: PublishPrice, actor: Actor, clock: Callable[[], int]
) -> Price:
    """The same rates again give the same version. Raises unknown_model, Unavailable."""
    async with database.transaction() as unit:
        if await unit.catalog.missing_models([request.model]):
            raise DomainError("unknown_model", f"there is no model {request.model!r}", param="model")
    versions = await billing.prices(request.model)
    newest = max(versions, key=lambda price: price.number) if versions else None
    return await _audited(
        database, lambda: billing.publish_price(request), "price.publish", request.model, request, newest, actor, clock
    )


async def _audited(
    database: Database,
    act: Callable[[], Awaitable[ReplyT]],
    action: str,
    target: str,
    request: msgspec.Struct,
    before: msgspec.Struct | None,
    actor: Actor,
    clock: Callable[[], int],
) -> ReplyT:
    account_id = target if action.startswith("wallet.") else None

    async def record(outcome: str, after: dict[str, object] | None) -> None:
        entry = AuditEntry(
            actor=actor,
            action=f"{action}_{outcome}",
            target=target,
            account_id=account_id,
            before=seen(before),
            after=after,
        )
        async with database.transaction() as unit:
            await unit.audit(entry, clock())

    await record("requested", seen(request))
    try:
        reply = await act()
    except DomainError as error:
        await record("failed", {"code": error.code, "message": error.message})
        raise
    await record("done", seen(reply))
    return reply


async def _require_account(database: Database, account_id: str) -> None:
    async with database.transaction() as unit:
        if not await unit.identity.lock_account(account_id):
            raise DomainError("account_not_found", "there is no such account")
