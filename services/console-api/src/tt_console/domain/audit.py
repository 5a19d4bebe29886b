"""Who did what to whom: one entry a change, written in the change's own transaction and never altered."""

from typing import Any, Literal

import msgspec

ActorKind = Literal["user", "system"]


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, from where, in which request. Commands of the shell are `system`."""

    kind: ActorKind
    name: str
    user_id: str | None = None
    address: str = ""
    request_id: str = ""


SYSTEM: Actor = Actor(kind="system", name="system")


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`action` is `<noun>.<past tense>`; `before` and `after` hold what changed, never a secret."""

    actor: Actor
    action: str
    target: str
    account_id: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class WalletChange(msgspec.Struct, frozen=True, kw_only=True):
    """One audit entry about a wallet: `wallet.adjust` or `wallet.configure`, and `requested`, `done` or `failed`."""

    at_ms: int
    request_id: str
    action: str
    outcome: str
    after: dict[str, Any]


def seen(value: msgspec.Struct | None, *hidden: str) -> dict[str, Any] | None:
    """A struct as audit data, without the fields in `hidden`."""
    if value is None:
        return None
    fields: dict[str, Any] = msgspec.to_builtins(value)
    return {name: field for name, field in fields.items() if name not in hidden}
