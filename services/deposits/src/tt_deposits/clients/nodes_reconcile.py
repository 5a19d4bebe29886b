"""What reconciliation and sweep export ask of a node, and the scanner doesn't: logs by address, one transaction, balances, fees.

Logs come by JSON-RPC (`eth_getLogs`), which java-tron has apart from its block calls and switched off by default. They don't tell whether
the transaction succeeded; `transfers_in` does. Source: tronprotocol/documentation-en, docs/api/json-rpc and docs/api/http.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from tt_deposits.clients.nodes import TronNode
from tt_deposits.domain.node_answers import Info
from tt_deposits.domain.sums import Moved
from tt_deposits.usecases.desk_ports import ChainAccount
from tt_deposits.usecases.ports import NodeFailed

TRANSFER_TOPIC: Final = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
TOPICS: Final = 3
WORD_DIGITS: Final = 64
ADDRESS_DIGITS: Final = 40
ENERGY_FEE: Final = "getEnergyFee"
NOTHING: Final = "nothing"
"""How the client calls `{}`."""

AnswerT = TypeVar("AnswerT")


class _Log(msgspec.Struct, rename={"txid": "transactionHash", "height": "blockNumber"}):
    address: str
    topics: tuple[str, ...]
    data: str
    txid: str
    height: str
    removed: bool = False


class _RpcError(msgspec.Struct):
    message: str = ""


class _Logs(msgspec.Struct):
    result: list[_Log] | None = None
    error: _RpcError | None = None


class _Account(msgspec.Struct):
    address: str
    balance: int = 0


class _Parameter(msgspec.Struct):
    key: str
    value: int = 0


class _Parameters(msgspec.Struct, rename={"parameters": "chainParameter"}):
    parameters: list[_Parameter]


_logs: Final = msgspec.json.Decoder(_Logs)
_info: Final = msgspec.json.Decoder(Info)
_account: Final = msgspec.json.Decoder(_Account)
_parameters: Final = msgspec.json.Decoder(_Parameters)


class NodeWitness:
    """See usecases.desk_ports.Witness. `contract`: the 20 bytes of USDT's."""

    def __init__(self, node: TronNode, contract: bytes) -> None:
        self._node = node
        self._contract = contract

    @property
    def name(self) -> str:
        return self._node.name

    async def solid_height(self) -> int:
        return (await self._node.newest(solid=True)).height

    async def transfers_to(self, addresses: Sequence[bytes], first: int, last: int) -> list[Moved]:
        return await self._transfers([None, _words(addresses)], first, last)

    async def transfers_from(self, addresses: Sequence[bytes], first: int, last: int) -> list[Moved]:
        return await self._transfers([_words(addresses)], first, last)

    async def transfers_in(self, txid: bytes) -> list[Moved]:
        request = {"value": txid.hex(), "visible": False}
        info = await _or_nothing(self._node.wallet("gettransactioninfobyid", request, _info, solid=True))
        if info is None:
            return []
        if info.id != txid.hex():
            raise self._unreadable("another transaction")
        if info.receipt.result != "SUCCESS" or info.result == "FAILED":
            return []
        found = [self._moved(info.id, log.address, log.topics, log.data) for log in info.log]
        return [moved for moved in found if moved is not None]

    async def usdt_balance(self, address: bytes) -> int:
        return await self._node.usdt_balance(self._contract, address)

    async def account(self, address: bytes) -> ChainAccount:
        request = {"address": f"41{address.hex()}", "visible": False}
        account = await _or_nothing(self._node.wallet("getaccount", request, _account, solid=True))
        return ChainAccount(0, False) if account is None else ChainAccount(account.balance, True)

    async def energy_fee_sun(self) -> int:
        answer = await self._node.wallet("getchainparameters", {}, _parameters, solid=False)
        for parameter in answer.parameters:
            if parameter.key == ENERGY_FEE:
                return parameter.value
        raise self._unreadable("no price of energy among the chain's parameters")

    async def _transfers(self, parties: list[Any], first: int, last: int) -> list[Moved]:
        wanted = {
            "address": f"0x{self._contract.hex()}",
            "topics": [f"0x{TRANSFER_TOPIC}", *parties],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        answer = await self._node.rpc({"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [wanted]}, _logs)
        if answer.error is not None or answer.result is None:
            words = answer.error.message if answer.error is not None else "no result"
            raise NodeFailed(self.name, "rpc", "".join(filter(str.isprintable, words[:160])))
        found: list[Moved] = []
        for log in answer.result:
            moved = self._moved(log.txid, log.address, log.topics, log.data)
            if log.removed or not first <= self._number(log.height) <= last:
                raise self._unreadable("logs of other blocks")
            if moved is not None:
                found.append(moved)
        return found

    def _moved(self, txid: str, address: str, topics: Sequence[str], data: str) -> Moved | None:
        """None for what is no transfer of USDT, or one of nothing."""
        try:
            words = [self._hex(word, WORD_DIGITS) for word in topics]
            if self._hex(address, ADDRESS_DIGITS) != self._contract or len(words) != TOPICS:
                return None
            if words[0].hex() != TRANSFER_TOPIC or len(data.removeprefix("0x")) != WORD_DIGITS:
                return None
            amount = int.from_bytes(self._hex(data, WORD_DIGITS), "big")
            moved = Moved(self._hex(txid, WORD_DIGITS), words[1][-20:], words[2][-20:], amount)
        except ValueError:
            raise self._unreadable("a log") from None
        return moved if amount else None

    def _number(self, text: str) -> int:
        try:
            return int(text, 16)
        except ValueError:
            raise self._unreadable("a block number") from None

    def _unreadable(self, what: str) -> NodeFailed:
        return NodeFailed(self.name, "unreadable", what)

    @staticmethod
    def _hex(text: str, digits: int) -> bytes:
        text = text.removeprefix("0x")
        if len(text) != digits:
            raise ValueError("not so many digits")
        return bytes.fromhex(text)


async def _or_nothing(answer: Awaitable[AnswerT]) -> AnswerT | None:
    try:
        return await answer
    except NodeFailed as error:
        if error.code == NOTHING:
            return None
        raise


def _words(addresses: Sequence[bytes]) -> list[str]:
    return [f"0x{address.hex().rjust(WORD_DIGITS, '0')}" for address in addresses]


def make_witnesses(nodes: Sequence[TronNode], contract: bytes) -> list[NodeWitness]:
    """The nodes that the scanner doesn't prefer first: what they say is independent of what it has read."""
    return [NodeWitness(node, contract) for node in (*nodes[1:], *nodes[:1])]
