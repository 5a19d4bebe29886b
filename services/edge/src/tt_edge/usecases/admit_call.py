"""Admit a call: its model and price from memory, and the journal's word that it will be one event."""

from tt_common.errors import DomainError
from tt_edge.domain.admission import check_model
from tt_edge.domain.refusals import model_not_found, wrong_endpoint
from tt_edge.journal.segment import Started
from tt_edge.usecases.gateway import Call, Gateway


def resolve_model(gateway: Gateway, call: Call) -> None:
    """Sets model and price, from memory. Raises model_not_found, model_not_allowed, or invalid_request for the wrong endpoint."""
    assert call.key is not None and call.request is not None
    name = call.request.model
    model = gateway.catalog.model(name)
    price = gateway.catalog.price(name, call.started_at_ms)
    check_model(call.key, name)
    if model is None or price is None:
        if not gateway.catalog.mirror.loaded:
            raise DomainError(
                "not_ready", "This gateway has not loaded its catalog yet; please retry.", retry_after_s=1
            )
        raise model_not_found(name)
    if model.kind != call.request.kind:
        raise wrong_endpoint(name, model.kind, call.endpoint.name)
    call.model, call.price = model, price


def journal_start(gateway: Gateway, call: Call) -> None:
    """From here on the call will be exactly one event. Raises journal_unavailable: then nothing is called."""
    assert call.key is not None and call.model is not None and call.price is not None and call.hold is not None
    assert call.request is not None
    gateway.journal.started(
        Started(
            id=call.id,
            account_id=call.key.account_id,
            key_id=call.key.key_id,
            grant_id=call.hold.grant.id,
            hold_id=call.hold.id,
            hold_nanousd=call.hold.amount_nanousd,
            model=call.model.id,
            endpoint=call.endpoint.name,
            protocol=call.endpoint.protocol.name,
            stream=call.request.stream,
            started_at_ms=call.started_at_ms,
            price_version=call.price.version,
            traceparent=call.traceparent,
        )
    )
    call.started = True
    gateway.crash("after_started")
