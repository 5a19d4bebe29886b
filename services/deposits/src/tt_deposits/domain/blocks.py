"""The proof that body and infos of a block are whole, and what of them may concern deposits.

A block is whole when its transactions make the root that its header states, and the infos speak of the same transactions; nodes that are
not synchronised answer with empty or partial lists and no error, and their bodies and infos may lack the same ones. Only logs of
transactions that succeeded count: some failures keep theirs (java-tron, VMActuator). The contract's address is the only test of what is
USDT: anyone can write the same log.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from tt_deposits.domain.node_answers import Body, Info, Log, Movement
from tt_deposits.domain.records import BlockRef, Transfer
from tt_deposits.domain.transactions_root import transactions_root

BLOCK_ID_BYTES: Final = 32
WORD_BYTES: Final = 32
ADDRESS_BYTES: Final = 20
TRANSFER_TOPIC: Final = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
TRANSFER_TOPICS: Final = 3
SUCCESS: Final = "SUCCESS"
FAILED: Final = "FAILED"
TRX_CONTRACT: Final = "TransferContract"
TRC10_CONTRACT: Final = "TransferAssetContract"
CREATE_CONTRACT: Final = "AccountCreateContract"
DEPRECATE: Final = "Deprecate"
EVENTS: Final = {
    "42e160154868087d6bfdc0ca23d96a1c1cfa32f1b72ba9ba27b69b98a0d819dc": "AddedBlackList",
    "d7e9ec6e6ecd65492dce6bf513cd6867560d49544421d0783ddf06e76c24470c": "RemovedBlackList",
    "61e6e66b0d6339b2980aecc6ccc0039736791f0ccde9ed512e789a7fbdd698c6": "DestroyedBlackFunds",
    "6985a02210a168e66602d3235cb6db0e70f92b3ba4d376a33c0f3d9434bff625": "Pause",
    "7805862f689e2f13df9f062ff482ad3ad112aca9e0847911ed832e158c525b33": "Unpause",
    "cc358699805e9a8b7f77b522628c7cb9abd07d9efb86b6fb616af1609036a99e": DEPRECATE,
}
"""topic0 of the USDT contract's other events: keccak256 of, say, `AddedBlackList(address)`."""

_movements: Final = msgspec.json.Decoder(Movement)


class Incomplete(Exception):
    """What a node told of a block is not the whole of it. Says what is missing; ask again, or another node."""


class ContractEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One of EVENTS; `subject` is the address it is about, None for Pause and Unpause."""

    txid: bytes
    log_index: int
    kind: str
    subject: bytes | None


class OtherAsset(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not USDT came to `recipient`. `log_index` of -1: the transaction itself."""

    txid: bytes
    log_index: int
    kind: Literal["trx", "token"]
    contract: bytes | None
    recipient: bytes
    amount: int


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A whole block, of what may concern deposits. `activated`: addresses that were sent TRX or TRC-10, or were created."""

    ref: BlockRef
    parent_id: bytes
    transfers: tuple[Transfer, ...]
    events: tuple[ContractEvent, ...]
    others: tuple[OtherAsset, ...]
    activated: tuple[bytes, ...]

    def parties(self) -> set[bytes]:
        """Every address that something was sent to, or USDT from, or that the contract's owner named."""
        named = {transfer.recipient for transfer in self.transfers}
        named.update(transfer.sender for transfer in self.transfers)
        named.update(other.recipient for other in self.others)
        named.update(event.subject for event in self.events if event.subject is not None)
        named.update(self.activated)
        return named


def ref_of(body: Body, height: int) -> BlockRef:
    """What names the block. Raises Incomplete where it is another, or its id doesn't begin with its height."""
    block_id = _hash(body.block_id)
    if body.height != height or int.from_bytes(block_id[:8], "big") != height:
        raise Incomplete("another block")
    return BlockRef(height=height, block_id=block_id, time_ms=body.time_ms)


def whole_block(
    height: int, body: Body | None, infos: Sequence[Info], contract: bytes, *, check_root: bool = True
) -> Block:
    """What a node told of one block, proven complete. `contract`: the 20 bytes of USDT's. Raises Incomplete.

    Without `check_root` a transaction that body and infos both lack goes unnoticed.
    """
    if body is None:
        raise Incomplete("no such block")
    ref = ref_of(body, height)
    if not body.transactions and body.header.raw_data.transactions_root.strip("0"):
        raise Incomplete("a block that is not empty, without its transactions")
    told = {transaction.txid for transaction in body.transactions}
    by_txid = {info.id: info for info in infos}
    if told != by_txid.keys() or len(told) != len(body.transactions) or len(by_txid) != len(infos):
        raise Incomplete(f"{len(told)} transactions, {len(by_txid)} infos")
    if check_root:
        _check_root(body)
    if any(info.height != height for info in infos):
        raise Incomplete("infos of another block")
    others, activated = _plain(body, by_txid)
    transfers: list[Transfer] = []
    events: list[ContractEvent] = []
    for txid, index, log in _valid_logs(infos):
        emitter = _bytes(log.address, ADDRESS_BYTES, "a log's address")
        if emitter == contract:
            _usdt_log(txid, index, log, transfers, events)
        elif (moved := _transfer(txid, index, log)) is not None:
            others.append(
                OtherAsset(
                    txid=txid,
                    log_index=index,
                    kind="token",
                    contract=emitter,
                    recipient=moved.recipient,
                    amount=moved.amount_micro_usdt,
                )
            )
    return Block(
        ref=ref,
        parent_id=_hash(body.header.raw_data.parent_hash),
        transfers=tuple(transfers),
        events=tuple(events),
        others=tuple(others),
        activated=tuple(activated),
    )


def _check_root(body: Body) -> None:
    try:
        root = transactions_root(body.transactions)
    except ValueError as error:
        raise Incomplete(f"transactions that can't be checked: {error}") from None
    if root != _hash(body.header.raw_data.transactions_root):
        raise Incomplete("transactions that are not those of the header")


def _valid_logs(infos: Sequence[Info]) -> Iterator[tuple[bytes, int, Log]]:
    """Of calls that succeeded; the index counts the logs of one transaction."""
    for info in infos:
        if info.log and info.receipt.result == SUCCESS and info.result != FAILED:
            txid = _hash(info.id)
            for index, log in enumerate(info.log):
                yield txid, index, log


def _usdt_log(txid: bytes, index: int, log: Log, transfers: list[Transfer], events: list[ContractEvent]) -> None:
    if (moved := _transfer(txid, index, log)) is not None:
        transfers.append(moved)
    elif log.topics and (kind := EVENTS.get(log.topics[0].lower())) is not None:
        # Indexed or not is the contract's choice; either way the address is the first word after the topic.
        words = [*log.topics[1:], log.data[: 2 * WORD_BYTES]]
        subject = _bytes(words[0], WORD_BYTES, "an event's address")[-ADDRESS_BYTES:] if words[0] else None
        events.append(ContractEvent(txid=txid, log_index=index, kind=kind, subject=subject))


def _transfer(txid: bytes, index: int, log: Log) -> Transfer | None:
    """None for any other log, and for a transfer of nothing, which is how addresses are poisoned."""
    topics = log.topics
    if len(topics) != TRANSFER_TOPICS or topics[0].lower() != TRANSFER_TOPIC or len(log.data) != 2 * WORD_BYTES:
        return None
    amount = int.from_bytes(_bytes(log.data, WORD_BYTES, "an amount"), "big")
    if amount == 0:
        return None
    return Transfer(
        txid=txid,
        log_index=index,
        sender=_bytes(topics[1], WORD_BYTES, "a sender")[-ADDRESS_BYTES:],
        recipient=_bytes(topics[2], WORD_BYTES, "a recipient")[-ADDRESS_BYTES:],
        amount_micro_usdt=amount,
    )


def _plain(body: Body, infos: dict[str, Info]) -> tuple[list[OtherAsset], list[bytes]]:
    """What came without a contract's call: TRX, TRC-10 tokens, and accounts that were created."""
    others: list[OtherAsset] = []
    activated: list[bytes] = []
    for transaction in body.transactions:
        for contract in transaction.raw_data.contract:
            if contract.type not in (TRX_CONTRACT, TRC10_CONTRACT, CREATE_CONTRACT):
                continue
            if infos[transaction.txid].result == FAILED:
                continue
            try:
                moved = _movements.decode(contract.parameter.value)
                recipient = bytes.fromhex(moved.to_address or moved.account_address)[-ADDRESS_BYTES:]
            except (msgspec.MsgspecError, ValueError):
                raise Incomplete(f"an unreadable {contract.type}") from None
            activated.append(recipient)
            if contract.type != CREATE_CONTRACT:
                kind = "trx" if contract.type == TRX_CONTRACT else "token"
                others.append(
                    OtherAsset(
                        txid=_hash(transaction.txid),
                        log_index=-1,
                        kind=kind,
                        contract=None,
                        recipient=recipient,
                        amount=moved.amount,
                    )
                )
    return others, activated


def _hash(text: str) -> bytes:
    return _bytes(text, BLOCK_ID_BYTES, "an id")


def _bytes(text: str, size_bytes: int, what: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != size_bytes:
        raise Incomplete(f"{what} is not {size_bytes} bytes in hex")
    return value
