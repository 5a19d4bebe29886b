"""Reading usage events off the wire: what is well formed, and what can be saved of what is not.

An event is poison when it can't be decoded, breaks the schema, or holds what no row can store. Never raises anything
but PoisonEvent.
"""

import re
from typing import Any, Final
from uuid import UUID

import msgspec

from tt_common.contracts.events import UsageEvent

SEQUENCE_MAX: Final = 2**53
INTEGER_MAX: Final = 2**62
TEXT_MAX: Final = 512

_CANONICAL_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+")
_decoder: Final = msgspec.json.Decoder(UsageEvent)


class PoisonEvent(Exception):
    """The event can't be settled; the text says why."""


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """What could be read of a poison event."""

    boot_epoch: str | None = None
    edge_seq: int | None = None
    grant_id: str | None = None


def decode_usage(payload: bytes) -> UsageEvent:
    """The event of a payload, fit to be stored."""
    try:
        event = _decoder.decode(payload)
        if _CANONICAL_ID.fullmatch(event.id) is None:
            UUID(event.id)
    except (msgspec.DecodeError, ValueError) as error:
        raise PoisonEvent(str(error)[:TEXT_MAX]) from error
    if not 1 <= event.edge_seq <= SEQUENCE_MAX:
        raise PoisonEvent("edge_seq is out of range")
    numbers = (event.cost_nanousd, event.hold_nanousd, event.started_at_ms, event.finished_at_ms)
    if min(numbers) < -INTEGER_MAX or max(numbers) > INTEGER_MAX:
        raise PoisonEvent("a number is out of range")
    names = (
        event.account_id,
        event.key_id,
        event.grant_id,
        event.edge_id,
        event.boot_epoch,
        event.model,
        event.price_version,
    )
    # The account becomes a part of subjects, so nothing but a subject token will do.
    if not _all_storable(names) or _TOKEN.fullmatch(event.account_id) is None or not event.boot_epoch:
        raise PoisonEvent("a name is empty, too long or not storable")
    return event


def traces_of(payload: bytes) -> Traces:
    """Epoch, sequence and grant of a payload that is no usage event, as far as they are there."""
    try:
        fields = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError):
        return Traces()
    boot_epoch, edge_seq, grant_id = fields.get("boot_epoch"), fields.get("edge_seq"), fields.get("grant_id")
    if not _is_name(boot_epoch) or type(edge_seq) is not int or not 1 <= edge_seq <= SEQUENCE_MAX:
        return Traces()
    return Traces(boot_epoch=boot_epoch, edge_seq=edge_seq, grant_id=grant_id if _is_name(grant_id) else None)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value) and storable(value)


def _all_storable(names: tuple[str, ...]) -> bool:
    joined = "".join(names)
    # Nearly always the whole is short and plain, and so is every part.
    return (len(joined) <= TEXT_MAX and joined.isascii() and "\x00" not in joined) or all(map(storable, names))


def storable(text: str, length_max: int = TEXT_MAX) -> bool:
    """Whether a column of text, or of JSON, takes it."""
    if len(text) > length_max or "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
