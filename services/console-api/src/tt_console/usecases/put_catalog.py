"""Make, change and remove models and providers. Revisions go on counting over a removal, so edges always see the newer record."""

from tt_common.errors import DomainError
from tt_console.domain.audit import Actor, AuditEntry, seen
from tt_console.domain.catalog import (
    ManagedBy,
    Model,
    ModelTerms,
    Provider,
    ProviderTerms,
    RowStatus,
    check_id,
    check_model_terms,
    check_provider_terms,
)
from tt_console.domain.messages import model_message, provider_message
from tt_console.usecases.ports import Unit


async def put_model(
    unit: Unit, model_id: str, terms: ModelTerms, status: RowStatus, managed_by: ManagedBy, actor: Actor, now_ms: int
) -> Model:
    """The model as it is now, made where it wasn't. The same again changes nothing. Raises unknown_provider, invalid_model."""
    check_id(model_id, "id")
    check_model_terms(terms)
    missing = await unit.catalog.missing_providers([route.provider for route in terms.routes])
    if missing:
        raise DomainError("unknown_provider", f"there is no provider {missing[0]!r}", param="routes")
    before = await unit.catalog.lock_model(model_id)
    if before is not None and (before.terms, before.status, before.managed_by) == (terms, status, managed_by):
        return before
    after = Model(
        id=model_id,
        status=status,
        managed_by=managed_by,
        revision=before.revision + 1 if before else 1,
        created_at_ms=before.created_at_ms if before else now_ms,
        terms=terms,
    )
    await unit.catalog.save_model(after)
    await unit.audit(_entry(actor, "model", model_id, before, after), now_ms)
    await unit.publish([model_message(after)])
    return after


async def put_provider(
    unit: Unit,
    provider_id: str,
    terms: ProviderTerms,
    status: RowStatus,
    managed_by: ManagedBy,
    actor: Actor,
    now_ms: int,
) -> Provider:
    """The provider as it is now, made where it wasn't. The same again changes nothing. Raises secret_refused, invalid_provider."""
    check_id(provider_id, "id")
    check_provider_terms(terms)
    before = await unit.catalog.lock_provider(provider_id)
    if before is not None and (before.terms, before.status, before.managed_by) == (terms, status, managed_by):
        return before
    after = Provider(
        id=provider_id,
        status=status,
        managed_by=managed_by,
        revision=before.revision + 1 if before else 1,
        created_at_ms=before.created_at_ms if before else now_ms,
        terms=terms,
    )
    await unit.catalog.save_provider(after)
    await unit.audit(_entry(actor, "provider", provider_id, before, after), now_ms)
    await unit.publish([provider_message(after)])
    return after


async def remove_model(unit: Unit, model_id: str, actor: Actor, now_ms: int) -> None:
    """The model is gone from every list; its record at the edges says disabled. Raises model_not_found."""
    model = await unit.catalog.lock_model(model_id)
    if model is None or model.status == "deleted":
        raise DomainError("model_not_found", "there is no such model")
    await put_model(unit, model_id, _without_routes(model.terms), "deleted", "operator", actor, now_ms)


async def remove_provider(unit: Unit, provider_id: str, actor: Actor, now_ms: int) -> None:
    """Raises provider_not_found; provider_in_use while a model routes to it."""
    provider = await unit.catalog.lock_provider(provider_id)
    if provider is None or provider.status == "deleted":
        raise DomainError("provider_not_found", "there is no such provider")
    users = await unit.catalog.models_routed_to(provider_id)
    if users:
        raise DomainError("provider_in_use", f"models route to it: {', '.join(users[:10])}", models=users[:10])
    await put_provider(unit, provider_id, provider.terms, "deleted", "operator", actor, now_ms)


def _without_routes(terms: ModelTerms) -> ModelTerms:
    return ModelTerms(
        kind=terms.kind,
        owned_by=terms.owned_by,
        context_window=terms.context_window,
        max_output_tokens=terms.max_output_tokens,
        hold_output_tokens=terms.hold_output_tokens,
        routes=(),
    )


def _entry(
    actor: Actor, noun: str, target: str, before: Model | Provider | None, after: Model | Provider
) -> AuditEntry:
    change = "deleted" if after.status == "deleted" else "updated" if before else "created"
    return AuditEntry(actor=actor, action=f"{noun}.{change}", target=target, before=seen(before), after=seen(after))
