"""API keys of the signed-in account. The plaintext is in the answer to create and rotate, and nowhere else."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from tt_common.clock import now_ms
from tt_common.contracts.wallets import KeySpend
from tt_common.errors import DomainError
from tt_common.money import format_usd
from tt_console.api.context import ContextDep
from tt_console.api.pages import PAGE_DEFAULT, Cursor, Limit, Page, cut, text_cursor, time_text, to_ms
from tt_console.api.session import SessionDep, actor_of
from tt_console.domain.keys import (
    IP_RANGES_MAX,
    MODELS_MAX,
    NAME_LENGTH_MAX,
    RATE_LIMIT_MAX,
    Key,
    KeyChange,
    KeySettings,
    normal_ip_ranges,
)
from tt_console.domain.prices import parse_amount
from tt_console.store.keys import get_key, list_keys
from tt_console.usecases.change_key import edit_key, rotate_key, set_key_status
from tt_console.usecases.create_key import create_key

router = APIRouter(prefix="/keys", tags=["keys"])

RateLimit = Annotated[int, Field(strict=True, ge=1, le=RATE_LIMIT_MAX)]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]
KeyId = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


class KeyPatch(BaseModel):
    """What to change; a limit of null is no limit. Money is a decimal string in USD, such as "12.50"."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", min_length=1, max_length=NAME_LENGTH_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")
    monthly_limit_usd: StrictStr | StrictInt | None = Field(
        default=None, description='decimal USD for one calendar month (UTC), such as "12.50"'
    )
    requests_per_minute: RateLimit | None = None
    tokens_per_minute: RateLimit | None = None
    concurrency: RateLimit | None = None
    models: list[ShortText] | None = Field(default=None, min_length=1, max_length=MODELS_MAX)
    ip_ranges: list[ShortText] | None = Field(default=None, min_length=1, max_length=IP_RANGES_MAX)
    expires_at: AwareDatetime | None = None
    cache: StrictBool = Field(
        default=False,
        description="answer repeated requests from the response cache; X-TT-Cache overrides it for a call",
    )


class KeyIn(KeyPatch):
    """A new key."""

    name: str = Field(min_length=1, max_length=NAME_LENGTH_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")


class SpendOut(BaseModel):
    """What the key spent in the present calendar month (UTC) and what its open calls hold."""

    month: str
    spent_usd: str
    held_usd: str


class KeyOut(BaseModel):
    """A key without its plaintext; `display` is its start and end."""

    object: Literal["api_key"] = "api_key"
    id: str
    name: str
    display: str
    status: Literal["active", "disabled", "deleted"]
    kind: Literal["wallet", "byok"]
    monthly_limit_usd: str | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrency: int | None
    models: list[str] | None
    ip_ranges: list[str] | None
    expires_at: str | None
    cache: bool
    created_at: str | None
    updated_at: str | None


class KeyWithSpend(KeyOut):
    spend: SpendOut


class KeyWithPlaintext(KeyOut):
    """`key` is the plaintext, shown this once."""

    key: str


@router.post("", status_code=201)
async def post_key(body: KeyIn, request: Request, session: SessionDep, context: ContextDep) -> KeyWithPlaintext:
    """Make a key. Its plaintext is in this answer and can't be had again."""
    settings = edited_settings(KeySettings(name=body.name), body, now_ms())
    actor = actor_of(request, context, session)
    key, plaintext = await create_key(
        context.database, session.user.account_id, settings, context.settings.key_prefix, actor, now_ms()
    )
    return KeyWithPlaintext(**_fields(key), key=plaintext)


@router.get("")
async def get_keys(
    session: SessionDep, context: ContextDep, limit: Limit = PAGE_DEFAULT, cursor: Cursor = None
) -> Page[KeyOut]:
    """The account's keys, newest first."""
    async with context.database.reading() as connection:
        found = await list_keys(connection, session.user.account_id, limit + 1, text_cursor(cursor))
    keys, more = cut(found, limit)
    data = [KeyOut(**_fields(key)) for key in keys]
    return Page(data=data, has_more=more, next_cursor=keys[-1].id if more else None)


@router.get("/{key_id}")
async def get_one_key(key_id: KeyId, session: SessionDep, context: ContextDep) -> KeyWithSpend:
    """A key with what it spent this month."""
    async with context.database.reading() as connection:
        key = await get_key(connection, session.user.account_id, key_id)
    if key is None:
        raise DomainError("key_not_found", "there is no such key")
    spend = (await context.billing.key_spend((key.id,))).get(key.id)
    return KeyWithSpend(**_fields(key), spend=_spend(spend))


@router.patch("/{key_id}")
async def patch_key(
    key_id: KeyId, body: KeyPatch, request: Request, session: SessionDep, context: ContextDep
) -> KeyOut:
    """Rename a key or change its limits; fields left out stay. In force on every edge within a second."""
    now = now_ms()
    key = await edit_key(
        context.database,
        session.user.account_id,
        key_id,
        lambda settings: edited_settings(settings, body, now),
        actor_of(request, context, session),
        now,
    )
    return KeyOut(**_fields(key))


@router.post("/{key_id}/rotate")
async def post_rotate(key_id: KeyId, request: Request, session: SessionDep, context: ContextDep) -> KeyWithPlaintext:
    """A new plaintext under the same id; the old one is refused on every edge within a second."""
    actor = actor_of(request, context, session)
    key, plaintext = await rotate_key(
        context.database, session.user.account_id, key_id, context.settings.key_prefix, actor, now_ms()
    )
    return KeyWithPlaintext(**_fields(key), key=plaintext)


@router.post("/{key_id}/disable")
async def post_disable(key_id: KeyId, request: Request, session: SessionDep, context: ContextDep) -> KeyOut:
    """The key is refused on every edge within a second, until it is enabled."""
    return await _set_status(key_id, "disabled", request, session, context)


@router.post("/{key_id}/enable")
async def post_enable(key_id: KeyId, request: Request, session: SessionDep, context: ContextDep) -> KeyOut:
    return await _set_status(key_id, "enabled", request, session, context)


@router.delete("/{key_id}")
async def delete_key(key_id: KeyId, request: Request, session: SessionDep, context: ContextDep) -> KeyOut:
    """The key is gone for good; its usage stays."""
    return await _set_status(key_id, "deleted", request, session, context)


async def _set_status(
    key_id: str, change: KeyChange, request: Request, session: SessionDep, context: ContextDep
) -> KeyOut:
    actor = actor_of(request, context, session)
    key = await set_key_status(context.database, session.user.account_id, key_id, change, actor, now_ms())
    return KeyOut(**_fields(key))


def edited_settings(settings: KeySettings, body: KeyPatch, now: int) -> KeySettings:
    """The settings with the fields that the body names. Raises DomainError that names the field."""
    changes: dict[str, Any] = {}
    for field in body.model_fields_set:
        value = getattr(body, field)
        match field:
            case "monthly_limit_usd":
                changes["monthly_limit_nanousd"] = None if value is None else _limit_nanousd(value)
            case "expires_at":
                changes["expires_at_ms"] = _future_ms(to_ms(value), now)
            case "ip_ranges":
                changes["ip_ranges"] = None if value is None else normal_ip_ranges(tuple(value))
            case "models":
                changes["models"] = None if value is None else tuple(dict.fromkeys(value))
            case _:
                changes[field] = value
    return msgspec.structs.replace(settings, **changes)


def _limit_nanousd(value: str | int) -> int:
    nanousd = parse_amount(str(value), "monthly_limit_usd")
    if nanousd < 0:
        raise DomainError("invalid_amount", "monthly_limit_usd: at least 0", param="monthly_limit_usd")
    return nanousd


def _future_ms(milliseconds: int | None, now: int) -> int | None:
    if milliseconds is not None and milliseconds <= now:
        raise DomainError("invalid_expiry", "expires_at: a time in the future", param="expires_at")
    return milliseconds


def _fields(key: Key) -> dict[str, Any]:
    settings = key.settings
    limit = settings.monthly_limit_nanousd
    return {
        "id": key.id,
        "name": settings.name,
        "display": key.display,
        "status": key.status,
        "kind": key.kind,
        "monthly_limit_usd": None if limit is None else format_usd(limit),
        "requests_per_minute": settings.requests_per_minute,
        "tokens_per_minute": settings.tokens_per_minute,
        "concurrency": settings.concurrency,
        "models": None if settings.models is None else list(settings.models),
        "ip_ranges": None if settings.ip_ranges is None else list(settings.ip_ranges),
        "expires_at": time_text(settings.expires_at_ms),
        "cache": settings.cache,
        "created_at": time_text(key.created_at_ms),
        "updated_at": time_text(key.updated_at_ms),
    }


def _spend(spend: KeySpend | None) -> SpendOut:
    if spend is None:
        return SpendOut(month="", spent_usd="0.00", held_usd="0.00")
    return SpendOut(
        month=spend.month, spent_usd=format_usd(spend.spent_nanousd), held_usd=format_usd(spend.held_nanousd)
    )
