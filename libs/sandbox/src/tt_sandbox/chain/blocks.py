"""Blocks as nodes tell them: IDs that begin with the height and link to the block before, header, body, infos.

Invariant: an ID is a function of height, branch and transactions, so that any block can be told without those before it. It is not the
hash of the header, and signatures are made up: a client of a node doesn't check them either. The root of the transactions is real.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Final

from tt_sandbox.chain.addresses import made_up, to_hex
from tt_sandbox.chain.transactions import Transaction, signature

VERSION: Final = 34
WITNESSES: Final = 27
NO_ROOT: Final = "0" * 64
NO_PARENT: Final = "0" * 64


@dataclass(frozen=True)
class Block:
    """One block on one branch. The bytes are made once, when first asked for."""

    height: int
    timestamp_ms: int
    parent_id: str
    block_id: str
    transactions: tuple[Transaction, ...]

    @cached_property
    def body(self) -> bytes:
        """As `getblockbynum` tells it; no key `transactions` where there are none."""
        return self.body_without(None)

    @cached_property
    def root(self) -> str:
        """`txTrieRoot`: 64 hex digits; zeros for no transactions, as on the real chain."""
        leaves = [sha256(transaction.wire).digest() for transaction in self.transactions]
        return _merkle_root(leaves).hex() if leaves else NO_ROOT

    @cached_property
    def info_list(self) -> list[bytes]:
        """The `TransactionInfo` of each transaction, in order."""
        return [transaction.info(self.height, self.timestamp_ms) for transaction in self.transactions]

    @cached_property
    def infos(self) -> bytes:
        """As `gettransactioninfobyblocknum` tells it."""
        return b"[%s]" % b",".join(self.info_list)

    @cached_property
    def by_txid(self) -> dict[str, int]:
        """Where each transaction stands."""
        return {transaction.txid: index for index, transaction in enumerate(self.transactions)}

    def body_without(self, left_out: int | None) -> bytes:
        """The body, with one transaction missing that the header knows."""
        told = [item.body for index, item in enumerate(self.transactions) if index != left_out]
        tail = b',"transactions":[%s]}' % b",".join(told) if told else b"}"
        return self._header() + tail

    def _header(self) -> bytes:
        return (
            b'{"blockID":"%s","block_header":{"raw_data":{"number":%d,"txTrieRoot":"%s","witness_address":"%s","parentHash":"%s",'
            b'"version":%d,"timestamp":%d},"witness_signature":"%s"}'
            % (
                self.block_id.encode(),
                self.height,
                self.root.encode(),
                _witness(self.height % WITNESSES),
                self.parent_id.encode(),
                VERSION,
                self.timestamp_ms,
                signature(self.block_id.encode()).encode(),
            )
        )


def block_id(height: int, branch: str, transactions: tuple[Transaction, ...]) -> str:
    """64 hex digits, the first 16 of which are the height."""
    txids = "".join(transaction.txid for transaction in transactions)
    digest = sha256(txids.encode()).hexdigest() if txids else NO_ROOT
    return f"{height:016x}{sha256(f'{branch} {height} {digest}'.encode()).hexdigest()[:48]}"


def _merkle_root(leaves: list[bytes]) -> bytes:
    """Of at least one: the larger half, a power of two, goes left; so an odd one stands alone until it meets a pair."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(_merkle_root(leaves[:half]) + _merkle_root(leaves[half:])).digest()


@lru_cache(maxsize=WITNESSES)
def _witness(number: int) -> bytes:
    return to_hex(made_up(f"witness {number}")).encode()
