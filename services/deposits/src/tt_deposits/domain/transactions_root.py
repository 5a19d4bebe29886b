"""The root over a block's transactions, worked out anew from what a node tells of them, to be compared with the header's.

Nodes have left the same transaction out of body and infos, which then agree; the root is of all of them. It is a binary tree of
SHA-256 over each transaction as it stands in the block, in protobuf, its outcome included; where a level has an odd number, the last
one goes up as it is (java-tron, BlockCapsule and MerkleTree; protocol, core/Tron.proto).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final

from tt_deposits.domain.node_answers import Outcome, Transaction

RAW_DATA: Final = b"\x0a"
SIGNATURE: Final = b"\x12"
RET: Final = b"\x2a"
"""Tags of the transaction's fields 1, 2 and 5, each with bytes of a stated length."""
FEE: Final = b"\x08"
CODE: Final = b"\x10"
CONTRACT_RESULT: Final = b"\x18"
"""Tags of an outcome's fields 1, 2 and 3, each a number; 0 is left out."""
CODES: Final = {"": 0, "SUCESS": 0, "FAILED": 1}
CONTRACT_RESULTS: Final = {
    name: number
    for number, name in enumerate(
        (
            "DEFAULT",
            "SUCCESS",
            "REVERT",
            "BAD_JUMP_DESTINATION",
            "OUT_OF_MEMORY",
            "PRECOMPILED_CONTRACT",
            "STACK_TOO_SMALL",
            "STACK_TOO_LARGE",
            "ILLEGAL_OPERATION",
            "STACK_OVERFLOW",
            "OUT_OF_ENERGY",
            "OUT_OF_TIME",
            "JVM_STACK_OVER_FLOW",
            "UNKNOWN",
            "TRANSFER_FAILED",
            "INVALID_CODE",
        )
    )
} | {"": 0}
NO_TRANSACTIONS: Final = bytes(32)


def transactions_root(transactions: Sequence[Transaction]) -> bytes:
    """32 bytes. Raises ValueError for an id that is not its transaction's, and for what is no hex or an unknown outcome."""
    level = [_leaf(transaction) for transaction in transactions]
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [sha256(left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0] if level else NO_TRANSACTIONS


def _leaf(transaction: Transaction) -> bytes:
    raw = bytes.fromhex(transaction.raw_data_hex)
    if sha256(raw).hexdigest() != transaction.txid.lower():
        raise ValueError("a transaction with another's id")
    parts = [RAW_DATA, _varint(len(raw)), raw]
    for signature in map(bytes.fromhex, transaction.signature):
        parts += [SIGNATURE, _varint(len(signature)), signature]
    parts += map(_ret, transaction.ret)
    return sha256(b"".join(parts)).digest()


@lru_cache(maxsize=1024)
def _ret(outcome: Outcome) -> bytes:
    try:
        numbers = (outcome.fee, CODES[outcome.code], CONTRACT_RESULTS[outcome.contract_result])
    except KeyError:
        raise ValueError("an unknown outcome") from None
    wire = b"".join(_fields(zip((FEE, CODE, CONTRACT_RESULT), numbers, strict=True)))
    return RET + _varint(len(wire)) + wire


def _fields(values: Iterable[tuple[bytes, int]]) -> Iterable[bytes]:
    return (tag + _varint(number) for tag, number in values if number)


@lru_cache(maxsize=4096)
def _varint(number: int) -> bytes:
    if number < 0:
        raise ValueError("a negative number")
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
