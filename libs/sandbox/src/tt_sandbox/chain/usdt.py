"""What the USDT contract writes: calldata, Transfer logs and its other events, as its verified source declares them.

Addresses are 20 bytes; amounts are integers of 6 decimals, up to 2**256 - 1.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tt_sandbox.chain.addresses import keccak256

USDT: Final = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
UINT256_MAX: Final = 2**256 - 1
WORD_BYTES: Final = 32
TRANSFER_TOPIC: Final = keccak256(b"Transfer(address,address,uint256)")
BALANCE_OF: Final = keccak256(b"balanceOf(address)")[:4]
TRANSFER: Final = keccak256(b"transfer(address,uint256)")[:4]
BATCH_TRANSFER: Final = keccak256(b"batchTransfer(address[],uint256[])")[:4]


class EventName(StrEnum):
    """Events of the contract's owner."""

    ADDED_BLACK_LIST = "AddedBlackList"
    REMOVED_BLACK_LIST = "RemovedBlackList"
    DESTROYED_BLACK_FUNDS = "DestroyedBlackFunds"
    PAUSE = "Pause"
    UNPAUSE = "Unpause"
    DEPRECATE = "Deprecate"


# The call that makes the event, and what the event declares. An address is indexed but for Deprecate's.
_CALLS: Final = {
    EventName.ADDED_BLACK_LIST: (b"addBlackList(address)", b"AddedBlackList(address)"),
    EventName.REMOVED_BLACK_LIST: (b"removeBlackList(address)", b"RemovedBlackList(address)"),
    EventName.DESTROYED_BLACK_FUNDS: (b"destroyBlackFunds(address)", b"DestroyedBlackFunds(address,uint256)"),
    EventName.PAUSE: (b"pause()", b"Pause()"),
    EventName.UNPAUSE: (b"unpause()", b"Unpause()"),
    EventName.DEPRECATE: (b"deprecate(address)", b"Deprecate(address)"),
}
WITH_ADDRESS: Final = frozenset(EventName) - {EventName.PAUSE, EventName.UNPAUSE}


@dataclass(frozen=True, slots=True)
class Log:
    """One log of a contract: its 20 bytes, up to four topics of 32 bytes, data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes

    def as_json(self) -> dict[str, object]:
        """As `TransactionInfo.log` has it: the address in 40 hex digits, without 41."""
        said: dict[str, object] = {"address": self.address.hex(), "topics": [topic.hex() for topic in self.topics]}
        return said | {"data": self.data.hex()} if self.data else said


def word(value: bytes | int) -> bytes:
    """An address or a number as one ABI word."""
    return value.to_bytes(WORD_BYTES, "big") if isinstance(value, int) else value.rjust(WORD_BYTES, b"\0")


def transfer_log(contract: bytes, sender: bytes, recipient: bytes, amount: int) -> Log:
    """`Transfer(address indexed from, address indexed to, uint256 value)`."""
    return Log(contract, (TRANSFER_TOPIC, word(sender), word(recipient)), word(amount))


def transfer_call(recipient: bytes, amount: int) -> bytes:
    """Calldata of `transfer`."""
    return TRANSFER + word(recipient) + word(amount)


def batch_call(transfers: list[tuple[bytes, int]]) -> bytes:
    """Calldata of a pay-out contract that makes several transfers."""
    count = len(transfers)
    heads = word(2 * WORD_BYTES) + word((3 + count) * WORD_BYTES)
    recipients = word(count) + b"".join(word(recipient) for recipient, _ in transfers)
    return BATCH_TRANSFER + heads + recipients + word(count) + b"".join(word(amount) for _, amount in transfers)


def event(contract: bytes, name: EventName, address: bytes | None, amount: int) -> tuple[bytes, Log]:
    """The owner's calldata and the log it leads to. `amount` is what DestroyedBlackFunds destroys; others ignore it."""
    call, signature = _CALLS[name]
    topic = keccak256(signature)
    selector = keccak256(call)[:4]
    if address is None:
        return selector, Log(contract, (topic,), b"")
    if name is EventName.DEPRECATE:
        return selector + word(address), Log(contract, (topic,), word(address))
    data = word(amount) if name is EventName.DESTROYED_BLACK_FUNDS else b""
    return selector + word(address), Log(contract, (topic, word(address)), data)
