"""Confirmed deposits for tests."""

import hashlib

from tt_common.contracts.deposit_events import ChainTransfer, DepositConfirmed, Entry
from tt_common.ids import derived_event_id


def confirmed(
    deposit_id: str = "dep_1",
    entry: Entry = "credit",
    micro_usdt: int = 25_000_000,
    account_id: str | None = None,
    **fields: object,
) -> DepositConfirmed:
    """As the deposits service asks for an entry; the transfer belongs to the deposit's id. `fields` replace fields of the event."""
    transfer = ChainTransfer(
        network="mainnet",
        txid=hashlib.sha256(deposit_id.encode()).hexdigest(),
        log_index=0,
        from_address="TSeJkUh4Qv67VNFwY8LaAxERygNdy6NQZK",
        to_address="TUEZSdKsoDHQMeZwihtdoBiN46zxhGWYdH",
        amount_micro_usdt=micro_usdt,
        block_height=78_861_100,
        block_time_ms=1_767_268_740_000,
    )
    values: dict[str, object] = {
        "id": derived_event_id(deposit_id, entry),
        "deposit_id": deposit_id,
        "account_id": account_id or ("house" if entry == "suspend" else "acc_1"),
        "entry": entry,
        "amount_nanousd": micro_usdt * 1000,
        "transfer": transfer,
        "confirmed_at_ms": 1_767_268_800_000,
    }
    return DepositConfirmed(**{**values, **fields})  # pyright: ignore[reportArgumentType]
