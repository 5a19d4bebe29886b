"""Transfers, addresses and orders as the tests of the desk need them."""

from typing import Any

from tt_deposits.domain.intake import Arrival, arrival_of
from tt_deposits.domain.orders import RechargeOrder
from tt_deposits.domain.records import Address, BlockRef, Deposit, Rules, Transfer

NETWORK = "sandbox"
USDT = 1_000_000
MINIMUM = 1 * USDT
LIMIT = 1_000 * USDT
RULES = Rules(network=NETWORK, minimum_micro_usdt=MINIMUM, review_above_micro_usdt=LIMIT, order_ttl_s=3600)
NOW_MS = 1_800_000_000_000


def block_at(height: int) -> BlockRef:
    return BlockRef(height=height, block_id=height.to_bytes(8, "big") + bytes(24), time_ms=height * 3000)


def address_of(index: int, account_id: str | None, *, blacklisted: bool = False) -> Address:
    return Address(index=index, address=index.to_bytes(20, "big"), account_id=account_id, blacklisted=blacklisted)


def transfer_of(number: int, address: Address, amount_micro_usdt: int, log_index: int = 0) -> Transfer:
    return Transfer(
        txid=number.to_bytes(32, "big"),
        log_index=log_index,
        sender=b"\x07" * 20,
        recipient=address.address,
        amount_micro_usdt=amount_micro_usdt,
    )


def arrival(number: int, address: Address, amount_micro_usdt: int, height: int = 100) -> Arrival:
    return arrival_of(NETWORK, block_at(height), transfer_of(number, address, amount_micro_usdt), address)


def order(order_id: str, amount_micro_usdt: int | None = None, **fields: Any) -> RechargeOrder:
    """Open, of account `acc_1`, in time for every block of these tests."""
    values = {"account_id": "acc_1", "created_at_ms": NOW_MS, "expires_at_ms": 2 * NOW_MS} | fields
    return RechargeOrder(order_id=order_id, amount_micro_usdt=amount_micro_usdt, **values)


def deposit_of(made: Arrival, **fields: Any) -> Deposit:
    """A row, confirmed."""
    values = {"state": "crediting", "confirmed_at_ms": NOW_MS, "account_id": made.address.account_id} | fields
    return Deposit(
        deposit_id=made.deposit_id,
        network=NETWORK,
        transfer=made.transfer,
        block=made.block,
        address_index=made.address.index,
        **values,
    )
