"""Billing as the console sees it: the same RPC subjects on real NATS, wallets and prices in memory.

For tests of the console alone; the end-to-end tests run the real one.
"""

import msgspec
from nats.aio.client import Client

from tt_common.bus.rpc import RpcServer
from tt_common.clock import month_of, now_ms
from tt_common.contracts import wallets
from tt_common.contracts.events import UsageEvent
from tt_common.errors import DomainError
from tt_common.ids import new_event_id
from tt_common.rating import Price, price_in_force, receipt_lines


class FakeBilling:
    """Answers billing's RPC. `booked` is its event table, in booking order."""

    def __init__(self, nc: Client) -> None:
        self.server = RpcServer(nc, "billing", "0.0.1")
        self.wallets: dict[str, wallets.WalletState] = {}
        self.adjustments: dict[str, tuple[bytes, wallets.WalletState]] = {}
        self.prices: dict[str, list[Price]] = {}
        self.booked: list[UsageEvent] = []
        self.entries: list[wallets.Entry] = []

    async def start(self) -> None:
        method = self.server.method
        method(wallets.WALLET_ADJUST, wallets.AdjustWallet, self._adjust)
        method(wallets.WALLET_GET, wallets.GetWallet, self._get)
        method(wallets.WALLET_CONFIGURE, wallets.ConfigureWallet, self._configure)
        method(wallets.WALLET_ENTRIES, wallets.ListEntries, self._entries)
        method(wallets.PRICE_PUBLISH, wallets.PublishPrice, self._publish)
        method(wallets.PRICE_LIST, wallets.ListPrices, self._list)
        method(wallets.RECEIPT_GET, wallets.GetReceipt, self._receipt)
        method(wallets.USAGE_EXPORT, wallets.ExportUsage, self._export)
        method(wallets.KEY_SPEND, wallets.GetKeySpend, self._spend)
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def wallet(self, account_id: str) -> wallets.WalletState:
        empty = wallets.WalletState(
            account_id=account_id, available_nanousd=0, held_nanousd=0, overdraft_nanousd=0, low_balance_nanousd=None
        )
        return self.wallets.get(account_id, empty)

    async def _adjust(self, request: wallets.AdjustWallet) -> wallets.WalletState:
        body = msgspec.json.encode(request)
        if request.request_id in self.adjustments:
            known, state = self.adjustments[request.request_id]
            if known != body:
                raise DomainError("idempotency_conflict", "another body under this request id")
            return state
        wallet = self.wallet(request.account_id)
        available = wallet.available_nanousd + request.amount_nanousd
        if available < 0:
            raise DomainError("billing_shortfall", "the wallet holds less than that")
        transaction_id = new_event_id()
        state = msgspec.structs.replace(wallet, available_nanousd=available, transaction_id=transaction_id)
        self.wallets[request.account_id] = state
        self.adjustments[request.request_id] = (body, state)
        self.entries.append(
            wallets.Entry(
                seq=len(self.entries) + 1,
                transaction_id=transaction_id,
                kind=request.kind,
                debit=f"adjustments:{request.account_id}",
                credit="available",
                amount_nanousd=abs(request.amount_nanousd),
                source="adjust",
                source_id=request.request_id,
                details={"reason": request.reason, "actor": request.actor},
                occurred_at_ms=now_ms(),
                booked_at_ms=now_ms(),
            )
        )
        return state

    async def _get(self, request: wallets.GetWallet) -> wallets.WalletState:
        return self.wallet(request.account_id)

    async def _configure(self, request: wallets.ConfigureWallet) -> wallets.WalletState:
        state = msgspec.structs.replace(
            self.wallet(request.account_id),
            overdraft_nanousd=request.overdraft_nanousd,
            low_balance_nanousd=request.low_balance_nanousd,
        )
        self.wallets[request.account_id] = state
        return state

    async def _entries(self, request: wallets.ListEntries) -> wallets.EntryPage:
        mine = [e for e in reversed(self.entries) if e.debit.endswith(request.account_id)]
        mine = [e for e in mine if request.before is None or e.seq < request.before]
        page = mine[: request.limit]
        return wallets.EntryPage(entries=tuple(page), next_before=page[-1].seq if len(mine) > len(page) else None)

    async def _publish(self, request: wallets.PublishPrice) -> Price:
        versions = self.prices.setdefault(request.model, [])
        newest = versions[-1] if versions else None
        if newest and (newest.rates, newest.long_context) == (request.rates, request.long_context):
            return newest
        number = len(versions) + 1
        price = Price(
            version=f"{request.model}@{number}",
            model=request.model,
            number=number,
            rates=request.rates,
            starts_at_ms=now_ms() if request.starts_at_ms is None else request.starts_at_ms,
            created_at_ms=now_ms(),
            long_context=request.long_context,
            service_tiers=request.service_tiers,
        )
        versions.append(price)
        return price

    async def _list(self, request: wallets.ListPrices) -> wallets.PriceList:
        if request.model is not None:
            return wallets.PriceList(prices=tuple(self.prices.get(request.model, ())))
        in_force = (price_in_force(tuple(versions), now_ms()) for versions in self.prices.values())
        return wallets.PriceList(prices=tuple(price for price in in_force if price is not None))

    async def _receipt(self, request: wallets.GetReceipt) -> wallets.Receipt:
        for event in self.booked:
            if (event.id, event.account_id) == (request.request_id, request.account_id):
                price = next((p for p in self.prices.get(event.model, ()) if p.version == event.price_version), None)
                return wallets.Receipt(
                    event=event,
                    price=price,
                    lines=tuple(receipt_lines(event.usage, price, event.service_tier)) if price else (),
                    cost_nanousd=event.cost_nanousd,
                    charged_nanousd=event.cost_nanousd,
                    entries=(),
                    booked_at_ms=event.finished_at_ms,
                )
        raise DomainError("receipt_not_found", "there is no such call")

    async def _export(self, request: wallets.ExportUsage) -> wallets.UsagePage:
        page = self.booked[request.after : request.after + request.limit]
        events = tuple(
            wallets.ExportedUsage(
                position=request.after + index + 1,
                charged_nanousd=event.cost_nanousd,
                booked_at_ms=event.finished_at_ms,
                event=event,
            )
            for index, event in enumerate(page)
        )
        end = request.after + len(page)
        return wallets.UsagePage(events=events, next_after=end if end < len(self.booked) else None)

    async def _spend(self, request: wallets.GetKeySpend) -> wallets.KeySpendList:
        month = month_of(now_ms())
        spent = {key_id: sum(e.cost_nanousd for e in self.booked if e.key_id == key_id) for key_id in request.key_ids}
        return wallets.KeySpendList(
            keys=tuple(
                wallets.KeySpend(key_id=key_id, month=month, spent_nanousd=nanousd, held_nanousd=0)
                for key_id, nanousd in spent.items()
            )
        )
