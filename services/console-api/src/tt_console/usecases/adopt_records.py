"""Bring home what the buckets know and a database restored from a backup has forgotten.

A bucket can be newer than the database in no other way: records go there after the commit. What it says is what the edges enforce, a
revoked key above all. Invariant: a row only ever moves to a higher revision. What no record holds is lost: a key's name, a user.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from tt_common.contracts.records import KeyRecord, ModelRecord, ProviderRecord
from tt_console.domain.audit import SYSTEM, AuditEntry, seen
from tt_console.domain.catalog import Model, ModelTerms, Provider, ProviderTerms
from tt_console.domain.keys import Key, KeySettings
from tt_console.usecases.ports import Database, Unit

RESTORED_NAME: Final = "restored"
UNKNOWN_DISPLAY: Final = "…"


async def adopt_keys(database: Database, records: Iterable[KeyRecord], now_ms: int) -> int:
    """How many keys were made or changed. Accounts that are not there are made, without users."""
    by_key: dict[str, list[KeyRecord]] = {}
    for record in records:
        by_key.setdefault(record.key_id, []).append(record)
    adopted = 0
    for key_id in sorted(by_key):
        current = [record for record in by_key[key_id] if record.status != "rotated"]
        if current:
            newest = max(current, key=lambda record: record.revision)
            retired = [record.hash for record in by_key[key_id] if record.hash != newest.hash]
            async with database.transaction() as unit:
                adopted += await _adopt_key(unit, newest, retired, now_ms)
    return adopted


async def _adopt_key(unit: Unit, record: KeyRecord, retired: list[str], now_ms: int) -> bool:
    before = await unit.keys.lock(record.key_id)
    if before is not None and before.revision >= record.revision:
        return False
    if before is None and not await unit.identity.lock_account(record.account_id):
        await unit.identity.add_account(record.account_id, now_ms)
    after = _key_of(record, before, now_ms)
    if before is None:
        await unit.keys.add(after)
    else:
        await unit.keys.save(after)
    known = set(await unit.keys.retired_hashes(record.key_id))
    gone = {*retired, *((before.hash,) if before is not None else ())} - known - {after.hash}
    for key_hash in sorted(gone):
        await unit.keys.retire_hash(key_hash, after, now_ms)
    await unit.audit(
        AuditEntry(
            actor=SYSTEM,
            action="key.adopted",
            target=after.id,
            account_id=after.account_id,
            before=seen(before, "hash"),
            after=seen(after, "hash"),
        ),
        now_ms,
    )
    return True


def _key_of(record: KeyRecord, before: Key | None, now_ms: int) -> Key:
    assert record.status != "rotated"
    same_secret = before is not None and before.hash == record.hash
    return Key(
        id=record.key_id,
        account_id=record.account_id,
        hash=record.hash,
        display=before.display if before is not None and same_secret else UNKNOWN_DISPLAY,
        status=record.status,
        kind=record.kind,
        revision=record.revision,
        settings=KeySettings(
            name=before.settings.name if before is not None else RESTORED_NAME,
            monthly_limit_nanousd=record.monthly_limit_nanousd,
            requests_per_minute=record.requests_per_minute,
            tokens_per_minute=record.tokens_per_minute,
            concurrency=record.concurrency,
            models=record.models,
            ip_ranges=record.ip_ranges,
            expires_at_ms=record.expires_at_ms,
            cache=record.cache,
        ),
        created_at_ms=before.created_at_ms if before is not None else now_ms,
        updated_at_ms=now_ms,
    )


async def adopt_provider(database: Database, record: ProviderRecord, now_ms: int) -> bool:
    """Whether the row was made or changed."""
    async with database.transaction() as unit:
        before = await unit.catalog.lock_provider(record.id)
        if before is not None and before.revision >= record.revision:
            return False
        after = Provider(
            id=record.id,
            status=record.status,
            managed_by=before.managed_by if before else "operator",
            revision=record.revision,
            created_at_ms=before.created_at_ms if before else now_ms,
            terms=ProviderTerms(
                base_url=record.base_url,
                dialect=record.dialect,
                key_ref=record.key_ref,
                headers=record.headers,
                connect_timeout_s=record.connect_timeout_s,
                first_byte_timeout_s=record.first_byte_timeout_s,
                between_bytes_timeout_s=record.between_bytes_timeout_s,
                responses=record.responses,
            ),
        )
        await unit.catalog.save_provider(after)
        await _audit(unit, "provider", record.id, before, after, now_ms)
    return True


async def adopt_model(database: Database, record: ModelRecord, now_ms: int) -> bool:
    """Whether the row was made or changed. The providers of its routes must be there."""
    async with database.transaction() as unit:
        before = await unit.catalog.lock_model(record.id)
        if before is not None and before.revision >= record.revision:
            return False
        removed = record.status == "disabled" and not record.routes
        after = Model(
            id=record.id,
            status="deleted" if removed else record.status,
            managed_by=before.managed_by if before else "operator",
            revision=record.revision,
            created_at_ms=record.created_at_ms,
            terms=ModelTerms(
                kind=record.kind,
                owned_by=record.owned_by,
                context_window=record.context_window,
                max_output_tokens=record.max_output_tokens,
                hold_output_tokens=record.hold_output_tokens,
                routes=record.routes,
            ),
        )
        await unit.catalog.save_model(after)
        await _audit(unit, "model", record.id, before, after, now_ms)
    return True


async def _audit(
    unit: Unit, noun: str, target: str, before: msgspec.Struct | None, after: msgspec.Struct, now_ms: int
) -> None:
    entry = AuditEntry(actor=SYSTEM, action=f"{noun}.adopted", target=target, before=seen(before), after=seen(after))
    await unit.audit(entry, now_ms)
