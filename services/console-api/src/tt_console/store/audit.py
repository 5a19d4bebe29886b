"""The audit log: appended with the change it tells of, listed newest first."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_console.domain.audit import AuditEntry, WalletChange
from tt_console.store.tables import audit_log


async def add_entry(connection: AsyncConnection, entry: AuditEntry, now_ms: int) -> None:
    """Append one entry to the caller's transaction."""
    await connection.execute(
        audit_log.insert().values(
            at_ms=now_ms,
            actor_kind=entry.actor.kind,
            actor=entry.actor.name,
            actor_user_id=entry.actor.user_id,
            address=entry.actor.address,
            request_id=entry.actor.request_id,
            action=entry.action,
            target=entry.target,
            account_id=entry.account_id,
            before=entry.before,
            after=entry.after,
        )
    )


async def wallet_changes(connection: AsyncConnection, since_ms: int) -> list[WalletChange]:
    """Entries of `wallet.…`, oldest first."""
    query = (
        select(audit_log.c.at_ms, audit_log.c.request_id, audit_log.c.action, audit_log.c.after)
        .where(audit_log.c.at_ms >= since_ms, audit_log.c.action.like("wallet.%"))
        .order_by(audit_log.c.id)
    )
    changes: list[WalletChange] = []
    for row in await connection.execute(query):
        action, _, outcome = row.action.rpartition("_")
        changes.append(
            WalletChange(
                at_ms=row.at_ms, request_id=row.request_id, action=action, outcome=outcome, after=row.after or {}
            )
        )
    return changes


async def list_entries(
    connection: AsyncConnection, limit: int, before_id: int | None, account_id: str | None, action: str | None
) -> list[dict[str, Any]]:
    """At most `limit` entries older than `before_id`, newest first."""
    query = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(audit_log.c.id < before_id)
    if account_id is not None:
        query = query.where(audit_log.c.account_id == account_id)
    if action is not None:
        query = query.where(audit_log.c.action == action)
    return [dict(row) for row in (await connection.execute(query)).mappings()]
