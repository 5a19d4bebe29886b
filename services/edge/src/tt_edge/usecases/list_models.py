"""The models a key may use: in the catalog, active, allowed by the key, with a price in force."""

from tt_common.clock import now_ms
from tt_common.contracts.records import KeyRecord, ModelRecord
from tt_edge.domain.admission import check_model, may_use
from tt_edge.domain.refusals import model_not_found
from tt_edge.usecases.gateway import Gateway


def list_models(gateway: Gateway, key: KeyRecord) -> list[ModelRecord]:
    """By id."""
    catalog, now = gateway.catalog, now_ms()
    return [
        model
        for model_id, model in sorted(catalog.models.items())
        if model.status == "active" and may_use(key, model_id) and catalog.price(model_id, now) is not None
    ]


def find_model(gateway: Gateway, key: KeyRecord, model_id: str) -> ModelRecord:
    """Raises model_not_allowed, model_not_found."""
    check_model(key, model_id)
    model = gateway.catalog.model(model_id)
    if model is None or gateway.catalog.price(model_id, now_ms()) is None:
        raise model_not_found(model_id)
    return model
