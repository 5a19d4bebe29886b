"""Edit, disable, enable, delete or rotate an API key.

The row is locked first, so revisions and the outbox agree; a deleted key and another account's are both `key_not_found`.
"""

from collections.abc import Callable

from tt_common.errors import DomainError
from tt_console.domain import keys
from tt_console.domain.audit import Actor, AuditEntry, seen
from tt_console.domain.keys import Key, KeyChange, KeySettings
from tt_console.domain.messages import key_event, key_messages
from tt_console.usecases.create_key import refuse_unknown_models
from tt_console.usecases.ports import Database, Unit

_STATUS_OF: dict[KeyChange, keys.KeyState] = {"disabled": "disabled", "enabled": "active", "deleted": "deleted"}


async def edit_key(
    database: Database,
    account_id: str,
    key_id: str,
    edit: Callable[[KeySettings], KeySettings],
    actor: Actor,
    now_ms: int,
) -> Key:
    """The key with edited settings; no change is no revision."""
    async with database.transaction() as unit:
        before = await _lock(unit, account_id, key_id)
        settings = edit(before.settings)
        if settings == before.settings:
            return before
        if settings.models != before.settings.models:
            await refuse_unknown_models(unit, settings)
        after = keys.edited(before, settings, now_ms)
        await _record(unit, before, after, "updated", actor, now_ms)
    return after


async def set_key_status(
    database: Database, account_id: str, key_id: str, change: KeyChange, actor: Actor, now_ms: int
) -> Key:
    """Disabled, enabled or deleted. Idempotent while the key is there."""
    async with database.transaction() as unit:
        before = await _lock(unit, account_id, key_id)
        after = keys.with_status(before, _STATUS_OF[change], now_ms)
        if after is not before:
            await _record(unit, before, after, change, actor, now_ms)
    return after


async def rotate_key(
    database: Database, account_id: str, key_id: str, prefix: str, actor: Actor, now_ms: int
) -> tuple[Key, str]:
    """The key and its new plaintext; the old one stops at once. Not idempotent."""
    async with database.transaction() as unit:
        before = await _lock(unit, account_id, key_id)
        plaintext = keys.new_plaintext(prefix)
        after = keys.rotated(before, plaintext, prefix, now_ms)
        await unit.keys.retire_hash(before.hash, after, now_ms)
        await _record(unit, before, after, "rotated", actor, now_ms, rotated_hashes=(before.hash,))
    return after, plaintext


async def _lock(unit: Unit, account_id: str, key_id: str) -> Key:
    key = await unit.keys.lock(key_id)
    if key is None or key.account_id != account_id or key.status == "deleted":
        raise DomainError("key_not_found", "there is no such key")
    return key


async def _record(
    unit: Unit,
    before: Key,
    after: Key,
    change: KeyChange,
    actor: Actor,
    now_ms: int,
    rotated_hashes: tuple[str, ...] = (),
) -> None:
    await unit.keys.save(after)
    entry = AuditEntry(
        actor=actor,
        action=f"key.{change}",
        target=after.id,
        account_id=after.account_id,
        before=seen(before, "hash"),
        after=seen(after, "hash"),
    )
    await unit.audit(entry, now_ms)
    await unit.publish([*key_messages(after, rotated_hashes), key_event(after, change, now_ms)])
