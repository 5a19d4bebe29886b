"""Catalog and key records as the edge's tests use them."""

from typing import Any

import msgspec

from tt_common.contracts.records import KeyRecord, ModelRecord, ProviderRecord, Route
from tt_common.rating import LongContextTier, Price, Rates


def key(**changes: Any) -> KeyRecord:
    record = KeyRecord(key_id="key_1", account_id="acc_1", hash="00", status="active", revision=1)
    return msgspec.structs.replace(record, **changes)


def model(*routes: Route, **changes: Any) -> ModelRecord:
    record = ModelRecord(
        id="gpt-4o-mini",
        kind="chat",
        status="active",
        revision=1,
        owned_by="openai",
        created_at_ms=0,
        context_window=128_000,
        max_output_tokens=16_384,
        hold_output_tokens=1_024,
        routes=routes,
    )
    return msgspec.structs.replace(record, **changes)


def provider(name: str, **changes: Any) -> ProviderRecord:
    record = ProviderRecord(id=name, dialect="openai", base_url="http://127.0.0.1/v1", status="active", revision=1)
    return msgspec.structs.replace(record, **changes)


def price(rates: Rates, *tiers: LongContextTier) -> Price:
    return Price(
        version="gpt-4o-mini@1",
        model="gpt-4o-mini",
        number=1,
        rates=rates,
        starts_at_ms=0,
        created_at_ms=0,
        long_context=tiers,
    )
