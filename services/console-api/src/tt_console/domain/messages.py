"""What leaves with a change: KV records and identity events, as plain data for the outbox.

Invariant: a record's revision is that of the row it was made from, so readers can always tell the newer one.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from tt_common.bus.events import event_headers
from tt_common.contracts.events import CONSOLE_SOURCE, AccountCreated, KeyChanged
from tt_common.contracts.records import KeyRecord, KeyStatus, ModelRecord, ProviderRecord, model_key, provider_key
from tt_common.contracts.streams import CATALOG, KEYS, identity_subject
from tt_common.ids import new_event_id
from tt_console.domain.catalog import Model, Provider
from tt_console.domain.keys import Key, KeyChange


class Message(msgspec.Struct, frozen=True):
    """One JetStream message to be published after the commit."""

    subject: str
    payload: bytes
    headers: dict[str, Any] = {}


def key_messages(key: Key, rotated_hashes: Iterable[str] = ()) -> list[Message]:
    """The key's record under its hash, and `rotated` records under the hashes that it had before."""
    messages = [_put_key(_key_record(key, key.hash, key.status))]
    messages += [_put_key(_key_record(key, old_hash, "rotated")) for old_hash in rotated_hashes]
    return messages


def key_event(key: Key, change: KeyChange, at_ms: int) -> Message:
    """`identity.key_changed.v1`."""
    event_id = new_event_id()
    data = KeyChanged(
        id=event_id,
        account_id=key.account_id,
        key_id=key.id,
        change=change,
        revision=key.revision,
        changed_at_ms=at_ms,
    )
    return _event("key_changed", event_id, key.account_id, key.id, at_ms, data)


def account_event(account_id: str, at_ms: int) -> Message:
    """`identity.account_created.v1`."""
    event_id = new_event_id()
    data = AccountCreated(id=event_id, account_id=account_id, created_at_ms=at_ms)
    return _event("account_created", event_id, account_id, account_id, at_ms, data)


def model_message(model: Model) -> Message:
    """The model's catalog record; a deleted model's says `disabled`."""
    terms = model.terms
    record = ModelRecord(
        id=model.id,
        kind=terms.kind,
        status="active" if model.status == "active" else "disabled",
        revision=model.revision,
        owned_by=terms.owned_by,
        created_at_ms=model.created_at_ms,
        context_window=terms.context_window,
        max_output_tokens=terms.max_output_tokens,
        hold_output_tokens=terms.hold_output_tokens,
        routes=terms.routes,
    )
    return Message(CATALOG.subject(model_key(model.id)), msgspec.json.encode(record))


def provider_message(provider: Provider) -> Message:
    """The provider's catalog record; a deleted provider's says `disabled`."""
    terms = provider.terms
    record = ProviderRecord(
        id=provider.id,
        dialect=terms.dialect,
        base_url=terms.base_url,
        status="active" if provider.status == "active" else "disabled",
        revision=provider.revision,
        key_ref=terms.key_ref,
        headers=terms.headers,
        connect_timeout_s=terms.connect_timeout_s,
        first_byte_timeout_s=terms.first_byte_timeout_s,
        between_bytes_timeout_s=terms.between_bytes_timeout_s,
        responses=terms.responses,
    )
    return Message(CATALOG.subject(provider_key(provider.id)), msgspec.json.encode(record))


def _put_key(record: KeyRecord) -> Message:
    return Message(KEYS.subject(record.hash), msgspec.json.encode(record))


def _key_record(key: Key, key_hash: str, status: KeyStatus) -> KeyRecord:
    settings = key.settings
    return KeyRecord(
        key_id=key.id,
        account_id=key.account_id,
        hash=key_hash,
        status=status,
        revision=key.revision,
        kind=key.kind,
        monthly_limit_nanousd=settings.monthly_limit_nanousd,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
        concurrency=settings.concurrency,
        models=settings.models,
        ip_ranges=settings.ip_ranges,
        expires_at_ms=settings.expires_at_ms,
        cache=settings.cache,
    )


def _event(name: str, event_id: str, account_id: str, subject: str, at_ms: int, data: msgspec.Struct) -> Message:
    headers = event_headers(event_id, f"identity.{name}.v1", CONSOLE_SOURCE, subject, at_ms)
    return Message(identity_subject(name, account_id), msgspec.json.encode(data), headers)
