"""Compare the buckets with the database and bring both to the newer of the two.

Invariant: a record is put again through the outbox with its row locked, so a repair can never overtake a newer change. A bucket is newer
than the database only where the database was restored from a backup: then its records are adopted.
"""

import logging
from typing import Final, TypeVar

import msgspec

from tt_common.contracts.records import KeyRecord, ModelRecord, ProviderRecord, model_key, provider_key
from tt_console.domain.messages import key_messages, model_message, provider_message
from tt_console.usecases.adopt_records import adopt_keys, adopt_model, adopt_provider
from tt_console.usecases.ports import Bucket, Database

log = logging.getLogger(__name__)

RecordT = TypeVar("RecordT", KeyRecord, ModelRecord, ProviderRecord)

PAGE = 1000

_keys: Final = msgspec.json.Decoder(KeyRecord)
_models: Final = msgspec.json.Decoder(ModelRecord)
_providers: Final = msgspec.json.Decoder(ProviderRecord)


class Repair(msgspec.Struct, frozen=True):
    """`put`: records put again into the bucket. `adopted`: rows of the database that the bucket knew better."""

    put: int
    adopted: int


async def repair_keys(database: Database, bucket: Bucket, now_ms: int) -> Repair:
    """The bucket `keys`."""
    there = await bucket.revisions()
    stale: set[str] = set()
    newer = {key_hash for key_hash, revision in there.items() if revision >= 0}
    after = ""
    while True:
        async with database.transaction() as unit:
            page = await unit.keys.revisions_page(after, PAGE)
        for key_hash, key_id, revision in page:
            if there.get(key_hash, -1) < revision:
                stale.add(key_id)
            if there.get(key_hash, -1) <= revision:
                newer.discard(key_hash)
        if len(page) < PAGE:
            break
        after = page[-1][0]
    adopted = await _adopt_keys(database, bucket, sorted(newer), now_ms)
    return Repair(await _put_keys(database, sorted(stale)), adopted)


async def repair_catalog(database: Database, bucket: Bucket, now_ms: int) -> Repair:
    """Models and providers in the bucket `catalog`; prices are billing's."""
    there = await bucket.revisions()
    async with database.transaction() as unit:
        providers = {provider_key(name): (name, revision) for name, revision in await unit.catalog.provider_revisions()}
        models = {model_key(name): (name, revision) for name, revision in await unit.catalog.model_revisions()}
    put = 0
    for key, (provider_id, revision) in providers.items():
        if there.get(key, -1) < revision:
            put += await _put_provider(database, provider_id)
    for key, (model_id, revision) in models.items():
        if there.get(key, -1) < revision:
            put += await _put_model(database, model_id)
    adopted = 0
    # Providers first: models route to them.
    for key in _newer(there, providers, "provider."):
        if (provider := await _record(bucket, key, _providers)) is not None:
            adopted += await adopt_provider(database, provider, now_ms)
    for key in _newer(there, models, "model."):
        if (model := await _record(bucket, key, _models)) is not None:
            adopted += await adopt_model(database, model, now_ms)
    return Repair(put, adopted)


def _newer(there: dict[str, int], known: dict[str, tuple[str, int]], prefix: str) -> list[str]:
    ours = sorted(key for key in there if key.startswith(prefix))
    return [key for key in ours if there[key] > (known[key][1] if key in known else -1)]


async def _adopt_keys(database: Database, bucket: Bucket, hashes: list[str], now_ms: int) -> int:
    found = [await _record(bucket, key_hash, _keys) for key_hash in hashes]
    return await adopt_keys(database, [record for record in found if record is not None], now_ms)


async def _record(bucket: Bucket, key: str, decoder: "msgspec.json.Decoder[RecordT]") -> RecordT | None:
    """None for what is gone, or is no record of a kind that this version knows."""
    data = await bucket.record(key)
    try:
        return None if data is None else decoder.decode(data)
    except msgspec.DecodeError as error:
        log.error("a record can't be read, not adopted", extra={"key": key[:12], "error": str(error)})
        return None


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
