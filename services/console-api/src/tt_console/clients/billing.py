"""Billing over NATS RPC. Raises the DomainError that billing answered with, or Unavailable `billing_unavailable`."""

from collections.abc import AsyncIterator
from typing import Final, TypeVar

import msgspec
from nats.aio.client import Client

from tt_common.bus.rpc import call
from tt_common.contracts import wallets
from tt_common.contracts.events import UsageEvent
from tt_common.errors import DomainError, Unavailable
from tt_common.rating import Price

TIMEOUT_S: Final = 3.0
EXPORT_TIMEOUT_S: Final = 20.0
EXPORT_PAGE: Final = 300
RETRY_AFTER_S: Final = 2

ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)


class BillingClient:
    """One method an RPC; every request is safe to repeat as contracts/wallets.py says."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def adjust(self, request: wallets.AdjustWallet) -> wallets.WalletState:
        return await self._call(wallets.WALLET_ADJUST, request, wallets.WalletState)

    async def wallet(self, account_id: str) -> wallets.WalletState:
        return await self._call(wallets.WALLET_GET, wallets.GetWallet(account_id=account_id), wallets.WalletState)

    async def configure(self, request: wallets.ConfigureWallet) -> wallets.WalletState:
        return await self._call(wallets.WALLET_CONFIGURE, request, wallets.WalletState)

    async def entries(self, account_id: str, limit: int, before: int | None) -> wallets.EntryPage:
        request = wallets.ListEntries(account_id=account_id, limit=limit, before=before)
        return await self._call(wallets.WALLET_ENTRIES, request, wallets.EntryPage)

    async def publish_price(self, request: wallets.PublishPrice) -> Price:
        return await self._call(wallets.PRICE_PUBLISH, request, Price)

    async def prices(self, model: str | None) -> tuple[Price, ...]:
        listed = await self._call(wallets.PRICE_LIST, wallets.ListPrices(model=model), wallets.PriceList)
        return listed.prices

    async def receipt(self, account_id: str, request_id: str) -> wallets.Receipt:
        request = wallets.GetReceipt(account_id=account_id, request_id=request_id)
        return await self._call(wallets.RECEIPT_GET, request, wallets.Receipt)

    async def key_spend(self, key_ids: tuple[str, ...]) -> dict[str, wallets.KeySpend]:
        listed = await self._call(wallets.KEY_SPEND, wallets.GetKeySpend(key_ids=key_ids), wallets.KeySpendList)
        return {spend.key_id: spend for spend in listed.keys}

    async def export_usage(self) -> AsyncIterator[list[UsageEvent]]:
        """Billing's whole event table in booking order, page by page."""
        after: int | None = 0
        while after is not None:
            request = wallets.ExportUsage(after=after, limit=EXPORT_PAGE)
            page = await self._call(wallets.USAGE_EXPORT, request, wallets.UsagePage, EXPORT_TIMEOUT_S)
            yield [exported.event for exported in page.events]
            after = page.next_after

    async def _call(
        self, subject: str, request: msgspec.Struct, reply_type: type[ReplyT], timeout_s: float = TIMEOUT_S
    ) -> ReplyT:
        try:
            return await call(self._nc, subject, request, reply_type, timeout_s)
        except Unavailable as error:
            raise Unavailable(
                "billing can't be reached now; try again", code="billing_unavailable", retry_after_s=RETRY_AFTER_S
            ) from error
        except DomainError as error:
            if error.code != "internal":
                raise
            raise Unavailable(
                "billing failed; try again", "billing_unavailable", retry_after_s=RETRY_AFTER_S
            ) from error
