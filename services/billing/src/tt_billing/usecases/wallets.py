"""Read, credit, debit and configure a wallet."""

from tt_billing.domain.adjustments import SOURCE, adjust, body_hash
from tt_billing.domain.book import Wallet, transaction_id
from tt_billing.usecases.context import Context
from tt_common.clock import month_of
from tt_common.contracts.wallets import (
    AdjustWallet,
    ConfigureWallet,
    EntryPage,
    GetKeySpend,
    GetWallet,
    KeySpend,
    KeySpendList,
    ListEntries,
    WalletState,
)
from tt_common.errors import DomainError

ENTRIES_MAX = 500


async def adjust_wallet(context: Context, request: AdjustWallet) -> WalletState:
    """One effect a request id; the same id with another body raises idempotency_conflict."""
    async with context.database.begin() as unit:
        book = await unit.load_book(context.now_ms(), [request.account_id])
        before = await unit.request_before(SOURCE, request.request_id)
        if before is None:
            adjust(book, request)
            await unit.save_book(book)
        elif (before.account_id, before.body_sha256) != (request.account_id, body_hash(request)):
            raise DomainError("idempotency_conflict", "this request id was used with another body")
    context.poke_outbox()
    return wallet_state(book.wallets[request.account_id], str(transaction_id(SOURCE, request.request_id)))


async def configure_wallet(context: Context, request: ConfigureWallet) -> WalletState:
    """Set overdraft and alert threshold; a balance below a new threshold is told of at once."""
    async with context.database.begin() as unit:
        book = await unit.load_book(context.now_ms(), [request.account_id])
        wallet = book.wallets[request.account_id]
        wallet.overdraft_nanousd = request.overdraft_nanousd
        if wallet.low_balance_nanousd != request.low_balance_nanousd:
            wallet.low_balance_nanousd = request.low_balance_nanousd
            wallet.low_notified = False
        book.changed_wallets.add(wallet.account_id)
        await unit.save_book(book)
    context.poke_outbox()
    return wallet_state(wallet)


async def get_wallet(context: Context, request: GetWallet) -> WalletState:
    async with context.database.begin() as unit:
        return wallet_state(await unit.read_wallet(request.account_id))


async def list_entries(context: Context, request: ListEntries) -> EntryPage:
    limit = max(1, min(request.limit, ENTRIES_MAX))
    async with context.database.begin() as unit:
        entries = await unit.entries_of_account(request.account_id, request.before, limit)
    return EntryPage(entries=tuple(entries), next_before=entries[-1].seq if len(entries) == limit else None)


async def get_key_spend(context: Context, request: GetKeySpend) -> KeySpendList:
    """Every key that was asked for, in the present month; those without any with zeros."""
    month = month_of(context.now_ms())
    async with context.database.begin() as unit:
        known = await unit.key_spend(request.key_ids, month)
    return KeySpendList(
        keys=tuple(
            KeySpend(key_id=key_id, month=month, spent_nanousd=spent, held_nanousd=held)
            for key_id in request.key_ids
            for spent, held in (known.get(key_id, (0, 0)),)
        )
    )


def wallet_state(wallet: Wallet, transaction: str = "") -> WalletState:
    return WalletState(
        account_id=wallet.account_id,
        available_nanousd=wallet.available_nanousd,
        held_nanousd=wallet.held_nanousd,
        overdraft_nanousd=wallet.overdraft_nanousd,
        low_balance_nanousd=wallet.low_balance_nanousd,
        transaction_id=transaction,
    )
