"""What a webhook says of a deposit event. Bodies name no operator and carry no secret."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import msgspec

from tt_common.clock import rfc3339
from tt_common.contracts.deposit_events import (
    ChainTransfer,
    DepositBelowMinimum,
    DepositCredited,
    DepositDetected,
    DepositHeld,
    DepositOrphaned,
)
from tt_common.ids import new_event_id
from tt_common.money import format_usd
from tt_console.domain.deposits import explorer_url, format_usdt
from tt_console.domain.webhooks import TEST_EVENT, EventName, WebhookEvent

Told = DepositDetected | DepositCredited | DepositHeld | DepositBelowMinimum | DepositOrphaned


class _Kind(msgspec.Struct, frozen=True):
    """How one event becomes a webhook: its name there, when it happened, what is added to the transfer."""

    name: EventName
    decoder: msgspec.json.Decoder[Any]
    at_ms: Callable[[Any], int]
    more: Callable[[Any], dict[str, Any]]


def deposit_webhook(event: str, payload: bytes) -> WebhookEvent | None:
    """The webhook of an event by its short name, such as `deposit_credited`; None for one that no webhook tells of.

    Raises ValueError for what is no such event.
    """
    kind = _KINDS.get(event)
    if kind is None:
        return None
    try:
        data = kind.decoder.decode(payload)
        event_id = str(UUID(data.id))
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    body = {"deposit_id": data.deposit_id, "account_id": data.account_id} | _transfer(data.transfer) | kind.more(data)
    return _event(event_id, data.account_id, kind.name, kind.at_ms(data), body)


def trial_webhook(account_id: str, now_ms: int) -> WebhookEvent:
    """A message that says nothing, to see one arrive."""
    return _event(new_event_id(), account_id, TEST_EVENT, now_ms, {"account_id": account_id})


def _event(event_id: str, account_id: str, name: str, at_ms: int, data: dict[str, Any]) -> WebhookEvent:
    body = {"id": event_id, "type": name, "timestamp": rfc3339(at_ms), "data": data}
    return WebhookEvent(id=event_id, account_id=account_id, type=name, body=msgspec.json.encode(body).decode())


def _transfer(transfer: ChainTransfer) -> dict[str, Any]:
    return {
        "amount_usdt": format_usdt(transfer.amount_micro_usdt),
        "amount_micro_usdt": transfer.amount_micro_usdt,
        "network": transfer.network,
        "txid": transfer.txid,
        "log_index": transfer.log_index,
        "explorer_url": explorer_url(transfer.network, transfer.txid),
        "from_address": transfer.from_address,
        "to_address": transfer.to_address,
        "block_height": transfer.block_height,
        "block_time": rfc3339(transfer.block_time_ms),
    }


def _credited(event: DepositCredited) -> dict[str, Any]:
    return {
        "credited_usd": format_usd(event.amount_nanousd),
        "credited_nanousd": event.amount_nanousd,
        "transaction_id": event.transaction_id,
        "order_id": event.order_id,
    }


def _below(event: DepositBelowMinimum) -> dict[str, Any]:
    return {
        "accumulated_usdt": format_usdt(event.accumulated_micro_usdt),
        "accumulated_micro_usdt": event.accumulated_micro_usdt,
        "minimum_usdt": format_usdt(event.minimum_micro_usdt),
        "minimum_micro_usdt": event.minimum_micro_usdt,
    }


def _nothing(_: Told) -> dict[str, Any]:
    return {}


def _at(event: DepositHeld | DepositBelowMinimum | DepositOrphaned) -> int:
    return event.at_ms


_KINDS: Final[dict[str, _Kind]] = {
    "deposit_detected": _Kind(
        "deposit.detected", msgspec.json.Decoder(DepositDetected), lambda event: event.detected_at_ms, _nothing
    ),
    "deposit_credited": _Kind(
        "deposit.credited", msgspec.json.Decoder(DepositCredited), lambda event: event.credited_at_ms, _credited
    ),
    "deposit_held": _Kind(
        "deposit.held", msgspec.json.Decoder(DepositHeld), _at, lambda event: {"reason": event.reason}
    ),
    "deposit_below_minimum": _Kind("deposit.below_minimum", msgspec.json.Decoder(DepositBelowMinimum), _at, _below),
    "deposit_orphaned": _Kind("deposit.orphaned", msgspec.json.Decoder(DepositOrphaned), _at, _nothing),
}
