"""Operators: accounts, their wallets, adjustments, the audit log."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from tt_common.clock import now_ms
from tt_common.contracts.wallets import AdjustWallet, ConfigureWallet
from tt_common.errors import DomainError
from tt_common.ids import new_id
from tt_console.api.balance import BalanceOut, balance_out
from tt_console.api.context import ContextDep
from tt_console.api.pages import PAGE_DEFAULT, Cursor, Limit, Page, cut, number_cursor, text_cursor, time_text
from tt_console.api.session import OperatorDep, actor_of
from tt_console.domain.accounts import Role
from tt_console.domain.prices import parse_amount
from tt_console.store.audit import list_entries
from tt_console.store.identity import get_account, list_accounts
from tt_console.usecases.manage_wallet import adjust_wallet, configure_wallet

router = APIRouter(prefix="/operator", tags=["operator"])

AccountId = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
Usd = StrictStr | StrictInt
Word = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


class AccountUser(BaseModel):
    id: str
    email: str
    role: Role


class AccountOut(BaseModel):
    object: Literal["account"] = "account"
    id: str
    users: list[AccountUser]
    created_at: str | None


class AccountWithWallet(AccountOut):
    wallet: BalanceOut


class AdjustmentIn(BaseModel):
    """A credit (above 0) or debit (below 0), in decimal USD."""

    model_config = ConfigDict(extra="forbid")

    amount_usd: Usd
    reason: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")
    request_id: str | None = Field(
        default=None, min_length=1, max_length=200, pattern=r"^[^\x00]*$", description="or the Idempotency-Key header"
    )


class WalletIn(BaseModel):
    """Overdraft, and the balance below which the account is alerted (null: no alert), in decimal USD."""

    model_config = ConfigDict(extra="forbid")

    overdraft_usd: Usd
    low_balance_usd: Usd | None


class AuditOut(BaseModel):
    object: Literal["audit_entry"] = "audit_entry"
    id: int
    at: str | None
    actor_kind: str
    actor: str
    actor_user_id: str | None
    address: str
    request_id: str
    action: str
    target: str
    account_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@router.get("/accounts")
async def get_accounts(
    _: OperatorDep, context: ContextDep, search: Word = None, limit: Limit = PAGE_DEFAULT, cursor: Cursor = None
) -> Page[AccountOut]:
    """Accounts, newest first; `search` is a part of an email or a whole account id."""
    async with context.database.reading() as connection:
        found = await list_accounts(connection, limit + 1, text_cursor(cursor), search)
    rows, more = cut(found, limit)
    data = [AccountOut(**_account_fields(row)) for row in rows]
    return Page(data=data, has_more=more, next_cursor=rows[-1]["id"] if more else None)


@router.get("/accounts/{account_id}")
async def get_one_account(account_id: AccountId, _: OperatorDep, context: ContextDep) -> AccountWithWallet:
    """An account with its wallet."""
    async with context.database.reading() as connection:
        row = await get_account(connection, account_id)
    if row is None:
        raise DomainError("account_not_found", "there is no such account")
    wallet = await context.billing.wallet(account_id)
    return AccountWithWallet(**_account_fields(row), wallet=balance_out(wallet, context.credit))


@router.post("/accounts/{account_id}/adjustments", status_code=201)
async def post_adjustment(
    account_id: AccountId,
    body: AdjustmentIn,
    request: Request,
    session: OperatorDep,
    context: ContextDep,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> BalanceOut:
    """Credit or debit a wallet. The same Idempotency-Key (or request_id) and body have one effect."""
    if body.request_id is not None and idempotency_key is not None and body.request_id != idempotency_key:
        raise DomainError("invalid_request", "request_id and Idempotency-Key differ", param="request_id")
    amount_nanousd = parse_amount(str(body.amount_usd), "amount_usd")
    if amount_nanousd == 0:
        raise DomainError("invalid_amount", "amount_usd: not 0", param="amount_usd")
    command = AdjustWallet(
        request_id=f"adjust:{body.request_id or idempotency_key or new_id('adj')}",
        account_id=account_id,
        amount_nanousd=amount_nanousd,
        reason=body.reason,
        actor=session.user.email,
    )
    actor = actor_of(request, context, session)
    wallet = await adjust_wallet(context.database, context.billing, command, actor, now_ms)
    return balance_out(wallet, context.credit)


@router.put("/accounts/{account_id}/wallet")
async def put_wallet(
    account_id: AccountId, body: WalletIn, request: Request, session: OperatorDep, context: ContextDep
) -> BalanceOut:
    """Set a wallet's overdraft and its alert threshold."""
    command = ConfigureWallet(
        account_id=account_id,
        overdraft_nanousd=_at_least_0(body.overdraft_usd, "overdraft_usd"),
        low_balance_nanousd=None
        if body.low_balance_usd is None
        else _at_least_0(body.low_balance_usd, "low_balance_usd"),
    )
    actor = actor_of(request, context, session)
    wallet = await configure_wallet(context.database, context.billing, command, actor, now_ms)
    return balance_out(wallet, context.credit)


@router.get("/audit-log")
async def get_audit_log(
    _: OperatorDep,
    context: ContextDep,
    account_id: Word = None,
    action: Word = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> Page[AuditOut]:
    """Who did what, newest first."""
    async with context.database.reading() as connection:
        found = await list_entries(connection, limit + 1, number_cursor(cursor), account_id, action)
    rows, more = cut(found, limit)
    data = [AuditOut(at=time_text(row.pop("at_ms")), **row) for row in rows]
    return Page(data=data, has_more=more, next_cursor=str(data[-1].id) if more else None)


def _at_least_0(value: Usd, param: str) -> int:
    nanousd = parse_amount(str(value), param)
    if nanousd < 0:
        raise DomainError("invalid_amount", f"{param}: at least 0", param=param)
    return nanousd


def _account_fields(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "users": row["users"], "created_at": time_text(row["created_at_ms"])}
