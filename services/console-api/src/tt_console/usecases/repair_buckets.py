"""Compare the buckets with the database and put again what is missing or older.

Invariant: a record is put again through the outbox with its row locked, so a repair can never overtake a newer change. A bucket that is
newer than the database is only reported: which of the two is right is for a person to say.
"""

import msgspec

from tt_common.contracts.records import model_key, provider_key
from tt_console.domain.messages import key_messages, model_message, provider_message
from tt_console.usecases.ports import Bucket, Database

PAGE = 1000


class Repair(msgspec.Struct, frozen=True):
    """`put`: records put again. `newer`: records in the buckets with a higher revision than the database's."""

    put: int
    newer: int


async def repair_keys(database: Database, bucket: Bucket) -> Repair:
    """The bucket `keys`."""
    there = await bucket.revisions()
    stale: set[str] = set()
    newer = 0
    after = ""
    while True:
        async with database.transaction() as unit:
            page = await unit.keys.revisions_page(after, PAGE)
        for key_hash, key_id, revision in page:
            if there.get(key_hash, -1) < revision:
                stale.add(key_id)
            elif there[key_hash] > revision:
                newer += 1
        if len(page) < PAGE:
            break
        after = page[-1][0]
    return Repair(await _put_keys(database, sorted(stale)), newer)


async def repair_catalog(database: Database, bucket: Bucket) -> Repair:
    """Models and providers in the bucket `catalog`; prices are billing's."""
    there = await bucket.revisions()
    async with database.transaction() as unit:
        providers = await unit.catalog.provider_revisions()
        models = await unit.catalog.model_revisions()
    put = 0
    for provider_id, revision in providers:
        if there.get(provider_key(provider_id), -1) < revision:
            put += await _put_provider(database, provider_id)
    for model_id, revision in models:
        if there.get(model_key(model_id), -1) < revision:
            put += await _put_model(database, model_id)
    newer = sum(there.get(provider_key(provider_id), 0) > revision for provider_id, revision in providers)
    newer += sum(there.get(model_key(model_id), 0) > revision for model_id, revision in models)
    return Repair(put, newer)


async def _put_keys(database: Database, key_ids: list[str]) -> int:
    put = 0
    for key_id in key_ids:
        async with database.transaction() as unit:
            key = await unit.keys.lock(key_id)
            if key is not None:
                messages = key_messages(key, await unit.keys.retired_hashes(key_id))
                await unit.publish(messages)
                put += len(messages)
    return put


async def _put_model(database: Database, model_id: str) -> int:
    async with database.transaction() as unit:
        model = await unit.catalog.lock_model(model_id)
        await unit.publish([model_message(model)] if model else [])
    return 1 if model else 0


async def _put_provider(database: Database, provider_id: str) -> int:
    async with database.transaction() as unit:
        provider = await unit.catalog.lock_provider(provider_id)
        await unit.publish([provider_message(provider)] if provider else [])
    return 1 if provider else 0
