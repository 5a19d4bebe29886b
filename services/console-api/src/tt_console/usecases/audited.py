"""Have another service do what an operator asks for. The audit log says who asked, and what came of it.

The request is in the audit log before the other side is asked: a crash between the two leaves a trace, never an unaudited change.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from tt_common.errors import DomainError
from tt_console.domain.audit import Actor, AuditEntry, seen
from tt_console.usecases.ports import Database

ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)


@dataclass(frozen=True, kw_only=True)
class Deed:
    """What is asked for: `action` is `<noun>.<verb>`, `before` what is there now."""

    action: str
    target: str
    account_id: str | None
    request: msgspec.Struct
    before: msgspec.Struct | None = None


async def audited(
    database: Database, act: Callable[[], Awaitable[ReplyT]], deed: Deed, actor: Actor, clock: Callable[[], int]
) -> ReplyT:
    """The other side's reply; the log has `…_requested` and `…_done` or `…_failed`. Raises what `act` raises."""

    async def record(outcome: str, after: dict[str, object] | None) -> None:
        entry = AuditEntry(
            actor=actor,
            action=f"{deed.action}_{outcome}",
            target=deed.target,
            account_id=deed.account_id,
            before=seen(deed.before),
            after=after,
        )
        async with database.transaction() as unit:
            await unit.audit(entry, clock())

    await record("requested", seen(deed.request))
    try:
        reply = await act()
    except DomainError as error:
        await record("failed", {"code": error.code, "message": error.message})
        raise
    await record("done", seen(reply))
    return reply


async def require_account(database: Database, account_id: str) -> None:
    """Raises account_not_found."""
    async with database.transaction() as unit:
        if not await unit.identity.lock_account(account_id):
            raise DomainError("account_not_found", "there is no such account")
