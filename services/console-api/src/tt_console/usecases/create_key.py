"""Make an API key: the one moment at which its plaintext exists."""

from tt_common.errors import DomainError
from tt_common.ids import new_id
from tt_console.domain.audit import Actor, AuditEntry, seen
from tt_console.domain.keys import KEYS_PER_ACCOUNT_MAX, Key, KeySettings, made, new_plaintext
from tt_console.domain.messages import key_event, key_messages
from tt_console.usecases.ports import Database, Unit


async def create_key(
    database: Database, account_id: str, settings: KeySettings, prefix: str, actor: Actor, now_ms: int
) -> tuple[Key, str]:
    """The key and its plaintext. Not idempotent. Raises too_many_keys, unknown_model."""
    async with database.transaction() as unit:
        return await create_key_in(unit, account_id, settings, prefix, actor, now_ms)


async def create_key_in(
    unit: Unit, account_id: str, settings: KeySettings, prefix: str, actor: Actor, now_ms: int
) -> tuple[Key, str]:
    """`create_key` within a transaction."""
    # The account's row is locked, so that the limit holds for two at once.
    await unit.identity.lock_account(account_id)
    if await unit.keys.count(account_id) >= KEYS_PER_ACCOUNT_MAX:
        raise DomainError("too_many_keys", f"an account has at most {KEYS_PER_ACCOUNT_MAX} keys")
    await refuse_unknown_models(unit, settings)
    plaintext = new_plaintext(prefix)
    key = made(new_id("key"), account_id, plaintext, prefix, settings, now_ms)
    await unit.keys.add(key)
    await unit.audit(
        AuditEntry(actor=actor, action="key.created", target=key.id, account_id=account_id, after=seen(key, "hash")),
        now_ms,
    )
    await unit.publish([*key_messages(key), key_event(key, "created", now_ms)])
    return key, plaintext


async def refuse_unknown_models(unit: Unit, settings: KeySettings) -> None:
    """Raises unknown_model where the key's model list names one that the catalog doesn't have."""
    missing = await unit.catalog.missing_models(settings.models) if settings.models else []
    if missing:
        raise DomainError("unknown_model", f"there is no model {missing[0]!r}", param="models")
