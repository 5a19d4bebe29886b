"""Blocks and execution infos in the shape that nodes tell them, of what matters. What else they hold is skipped when read.

Shapes are those of java-tron's HTTP API with `visible: false` (tronprotocol/documentation-en, docs/api/http).
"""

import msgspec


class HeaderData(
    msgspec.Struct,
    frozen=True,
    rename={"parent_hash": "parentHash", "timestamp_ms": "timestamp", "transactions_root": "txTrieRoot"},
):
    """What a block says of itself."""

    parent_hash: str
    transactions_root: str
    """Zeros where there are no transactions (java-tron, BlockCapsule)."""
    timestamp_ms: int = 0
    """The block of height 0 may have none."""
    number: int = 0


class Header(msgspec.Struct, frozen=True):
    raw_data: HeaderData


class Parameter(msgspec.Struct, frozen=True):
    value: msgspec.Raw = msgspec.Raw(b"{}")


class Contract(msgspec.Struct, frozen=True):
    type: str
    parameter: Parameter


class TransactionData(msgspec.Struct, frozen=True):
    contract: tuple[Contract, ...]


class Outcome(msgspec.Struct, frozen=True, rename={"code": "ret", "contract_result": "contractRet"}):
    """How a transaction ended, as it stands in the block."""

    fee: int = 0
    code: str = ""
    contract_result: str = ""


class Transaction(msgspec.Struct, frozen=True, rename={"txid": "txID"}):
    """`raw_data` in words, and in hex as it was signed; its SHA-256 is the id."""

    txid: str
    raw_data: TransactionData
    raw_data_hex: str = ""
    signature: tuple[str, ...] = ()
    ret: tuple[Outcome, ...] = ()


class Body(msgspec.Struct, frozen=True, rename={"block_id": "blockID", "header": "block_header"}):
    """`getblockbynum` and `getnowblock`, of what matters. An empty block has no transactions."""

    block_id: str
    header: Header
    transactions: tuple[Transaction, ...] = ()

    @property
    def height(self) -> int:
        return self.header.raw_data.number

    @property
    def time_ms(self) -> int:
        return self.header.raw_data.timestamp_ms


class Log(msgspec.Struct, frozen=True):
    """`address` is 40 hex digits, without 41."""

    address: str
    topics: tuple[str, ...] = ()
    data: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """How a contract's call ended."""

    result: str = ""
    """Empty for what calls no contract."""


class Info(msgspec.Struct, frozen=True, rename={"height": "blockNumber"}):
    """One element of `gettransactioninfobyblocknum`, of what matters."""

    id: str
    height: int = 0
    receipt: Receipt = Receipt()
    log: tuple[Log, ...] = ()
    result: str = ""


class Movement(msgspec.Struct, frozen=True):
    """The value of a transfer of TRX or TRC-10, or of a created account. Addresses are 42 hex digits."""

    to_address: str = ""
    account_address: str = ""
    amount: int = 0
