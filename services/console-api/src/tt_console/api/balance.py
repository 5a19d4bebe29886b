"""The wallet of the signed-in account: balance, ledger entries, receipts. All of it is billing's; nothing is kept here."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel

from tt_common.contracts.wallets import Entry, Receipt, WalletState
from tt_common.money import format_usd
from tt_console.api.context import ContextDep
from tt_console.api.pages import PAGE_DEFAULT, Cursor, Limit, Page, number_cursor, time_text
from tt_console.api.session import SessionDep
from tt_console.domain.prices import Credit, in_credit

router = APIRouter(tags=["wallet"])


class CreditOut(BaseModel):
    """The same amounts in the deployment's own credit."""

    name: str
    per_usd: str
    balance: str
    available: str
    held: str


class BalanceOut(BaseModel):
    """`balance` = available + held. Amounts are decimal strings in USD; `_nanousd` is exact, 10^-9 USD."""

    object: Literal["balance"] = "balance"
    account_id: str
    balance_usd: str
    available_usd: str
    held_usd: str
    overdraft_usd: str
    low_balance_usd: str | None
    balance_nanousd: int
    available_nanousd: int
    held_nanousd: int
    credit: CreditOut | None


class EntryOut(BaseModel):
    """One transfer in the ledger, from bucket `debit` to bucket `credit`."""

    object: Literal["entry"] = "entry"
    seq: int
    transaction_id: str
    kind: str
    debit: str
    credit: str
    amount_usd: str
    amount_nanousd: int
    source: str
    source_id: str
    details: dict[str, Any]
    occurred_at: str | None
    booked_at: str | None


class LineOut(BaseModel):
    """One row of a receipt: `quantity` at `unit_price_usd` per `per` units."""

    token_class: str
    quantity: int
    unit_price_usd: str
    per: int


class ReceiptOut(BaseModel):
    """Why a call cost what it did: the sum of the lines, rounded half up once to nanoUSD, is the cost."""

    object: Literal["receipt"] = "receipt"
    request_id: str
    model: str
    provider: str
    key_id: str
    outcome: str
    price_version: str
    usage_source: str
    lines: list[LineOut]
    cost_usd: str
    cost_nanousd: int
    charged_usd: str
    charged_nanousd: int
    hold_id: str
    hold_usd: str
    started_at: str | None
    booked_at: str | None
    entries: list[EntryOut]


@router.get("/balance")
async def get_balance(session: SessionDep, context: ContextDep) -> BalanceOut:
    """What the account has, in USD and in the deployment's own credit where one is set."""
    return balance_out(await context.billing.wallet(session.user.account_id), context.credit)


@router.get("/entries")
async def get_entries(
    session: SessionDep, context: ContextDep, limit: Limit = PAGE_DEFAULT, cursor: Cursor = None
) -> Page[EntryOut]:
    """The account's ledger entries, newest first."""
    page = await context.billing.entries(session.user.account_id, limit, number_cursor(cursor))
    more = page.next_before is not None
    data = [entry_out(entry) for entry in page.entries]
    return Page(data=data, has_more=more, next_cursor=str(page.next_before) if more else None)


@router.get("/receipts/{request_id}")
async def get_receipt(
    request_id: Annotated[str, Path(max_length=100)], session: SessionDep, context: ContextDep
) -> ReceiptOut:
    """The receipt of one call of this account, by its X-TT-Request-ID."""
    return _receipt_out(await context.billing.receipt(session.user.account_id, request_id))


def balance_out(wallet: WalletState, credit: Credit | None) -> BalanceOut:
    """A wallet as the API shows it."""
    balance_nanousd = wallet.available_nanousd + wallet.held_nanousd
    low = wallet.low_balance_nanousd
    return BalanceOut(
        account_id=wallet.account_id,
        balance_usd=format_usd(balance_nanousd),
        available_usd=format_usd(wallet.available_nanousd),
        held_usd=format_usd(wallet.held_nanousd),
        overdraft_usd=format_usd(wallet.overdraft_nanousd),
        low_balance_usd=None if low is None else format_usd(low),
        balance_nanousd=balance_nanousd,
        available_nanousd=wallet.available_nanousd,
        held_nanousd=wallet.held_nanousd,
        credit=None
        if credit is None
        else CreditOut(
            name=credit.name,
            per_usd=f"{credit.per_usd:f}",
            balance=in_credit(balance_nanousd, credit),
            available=in_credit(wallet.available_nanousd, credit),
            held=in_credit(wallet.held_nanousd, credit),
        ),
    )


def entry_out(entry: Entry) -> EntryOut:
    return EntryOut(
        seq=entry.seq,
        transaction_id=entry.transaction_id,
        kind=entry.kind,
        debit=entry.debit,
        credit=entry.credit,
        amount_usd=format_usd(entry.amount_nanousd),
        amount_nanousd=entry.amount_nanousd,
        source=entry.source,
        source_id=entry.source_id,
        details=entry.details,
        occurred_at=time_text(entry.occurred_at_ms),
        booked_at=time_text(entry.booked_at_ms),
    )


def _receipt_out(receipt: Receipt) -> ReceiptOut:
    event = receipt.event
    return ReceiptOut(
        request_id=event.id,
        model=event.model,
        provider=event.provider,
        key_id=event.key_id,
        outcome=event.outcome,
        price_version=event.price_version,
        usage_source=event.usage_source,
        lines=[
            LineOut(
                token_class=line.token_class,
                quantity=line.quantity,
                unit_price_usd=format_usd(line.unit_price_nanousd),
                per=line.per,
            )
            for line in receipt.lines
        ],
        cost_usd=format_usd(receipt.cost_nanousd),
        cost_nanousd=receipt.cost_nanousd,
        charged_usd=format_usd(receipt.charged_nanousd),
        charged_nanousd=receipt.charged_nanousd,
        hold_id=event.hold_id,
        hold_usd=format_usd(event.hold_nanousd),
        started_at=time_text(event.started_at_ms),
        booked_at=time_text(receipt.booked_at_ms),
        entries=[entry_out(entry) for entry in receipt.entries],
    )
