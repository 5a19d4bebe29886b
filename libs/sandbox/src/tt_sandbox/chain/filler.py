"""Unrelated transactions that fill blocks to real size: a quarter are USDT transfers, the rest plain TRX.

They are made anew from the height whenever a block is told, and stored nowhere. Their addresses are a fixed set, so that who looks for
others need not look here; it is large enough for blocks in a row to have other parties, as on a real chain.
"""

from functools import cache
from typing import Final

from tt_sandbox.chain import usdt
from tt_sandbox.chain.addresses import made_up
from tt_sandbox.chain.transactions import Call, Outcome, Transaction, contract_call, trx_call

ADDRESS_COUNT: Final = 8_192
USDT_EVERY: Final = 4
# From one block to the next. A multiple of USDT_EVERY, so that who pays in USDT does so in every block.
STEP: Final = 400
# Clear of the numbers of scripted transactions.
FIRST_SEQUENCE: Final = 1_000_000_000


@cache
def addresses() -> tuple[bytes, ...]:
    """Everyone who pays or is paid in filler."""
    return tuple(made_up(f"passer-by {number}") for number in range(ADDRESS_COUNT))


@cache
def known() -> frozenset[bytes]:
    """The same, to look up."""
    return frozenset(addresses())


def transactions(usdt_contract: bytes, height: int, count: int) -> list[Transaction]:
    """The filler of one block."""
    made: list[Transaction] = []
    for index in range(count):
        call, logs = _pattern(usdt_contract, (height * STEP + index) % ADDRESS_COUNT, index % USDT_EVERY == 0)
        result = usdt.word(0) if logs else b""
        made.append(Transaction(call, height, FIRST_SEQUENCE + index, Outcome.SUCCESS, logs, result))
    return made


@cache
def _pattern(usdt_contract: bytes, number: int, is_usdt: bool) -> tuple[Call, tuple[usdt.Log, ...]]:
    sender, recipient = addresses()[number], addresses()[(number * 7 + 1) % ADDRESS_COUNT]
    amount = 1_000_000 + number * 1_000
    if not is_usdt:
        return trx_call(sender, recipient, amount), ()
    call = contract_call(sender, usdt_contract, usdt.transfer_call(recipient, amount))
    return call, (usdt.transfer_log(usdt_contract, sender, recipient, amount),)
