"""The catalog this edge knows: models with their routes, providers, prices."""

import msgspec
from nats.aio.client import Client

from tt_common.bus.kv_mirror import KvMirror
from tt_common.contracts.records import ModelRecord, PriceRecord, ProviderRecord
from tt_common.contracts.streams import CATALOG
from tt_common.rating import Price


class Catalog:
    """Bucket `catalog` in memory; the higher revision wins."""

    def __init__(self, nc: Client) -> None:
        self.models: dict[str, ModelRecord] = {}
        self.providers: dict[str, ProviderRecord] = {}
        self._prices: dict[str, PriceRecord] = {}
        self._model_decoder = msgspec.json.Decoder(ModelRecord)
        self._provider_decoder = msgspec.json.Decoder(ProviderRecord)
        self._price_decoder = msgspec.json.Decoder(PriceRecord)
        self.mirror = KvMirror(nc, CATALOG, self._take)

    def _take(self, key: str, value: bytes) -> None:
        kind = key.partition(".")[0]
        if kind == "model":
            model = self._model_decoder.decode(value)
            if (known := self.models.get(model.id)) is None or model.revision > known.revision:
                self.models[model.id] = model
        elif kind == "provider":
            provider = self._provider_decoder.decode(value)
            if (seen := self.providers.get(provider.id)) is None or provider.revision > seen.revision:
                self.providers[provider.id] = provider
        elif kind == "price":
            price = self._price_decoder.decode(value)
            if (last := self._prices.get(price.model)) is None or price.revision > last.revision:
                self._prices[price.model] = price

    def model(self, model_id: str) -> ModelRecord | None:
        """The model if it is in the catalog and active."""
        model = self.models.get(model_id)
        return model if model is not None and model.status == "active" else None

    def price(self, model_id: str, now_ms: int) -> Price | None:
        """The price version in force, or None: then the model is not served."""
        record = self._prices.get(model_id)
        return None if record is None else record.in_force(now_ms)
