"""Transactions as a node tells them: raw data in protobuf, whose SHA-256 is the txID, and the JSON of body and execution info.

A transaction is the same whatever block it ends up in; only `info` needs to know the block.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

import orjson

from tt_sandbox.chain import protobuf
from tt_sandbox.chain.addresses import PREFIX, to_hex
from tt_sandbox.chain.usdt import Log

TYPE_URL: Final = "type.googleapis.com/protocol."
TRANSFER_CONTRACT: Final = 1
TRIGGER_SMART_CONTRACT: Final = 31
FEE_LIMIT_SUN: Final = 100_000_000
ENERGY_FEE_SUN: Final = 100
BANDWIDTH_FEE_SUN: Final = 1_000
TRX_BANDWIDTH: Final = 267
CALL_BANDWIDTH: Final = 345
LIFETIME_MS: Final = 60_000
# Raw data is dated by height, not by the clock, so that the same commands make the same txIDs.
RAW_EPOCH_MS: Final = 1_600_000_000_000
RAW_BLOCK_MS: Final = 3_000


class Outcome(StrEnum):
    """`receipt.result` of a contract call."""

    SUCCESS = "SUCCESS"
    REVERT = "REVERT"
    OUT_OF_ENERGY = "OUT_OF_ENERGY"
    OUT_OF_TIME = "OUT_OF_TIME"
    JVM_STACK_OVER_FLOW = "JVM_STACK_OVER_FLOW"


# REVERT and ordinary exceptions clear the logs of a call; these don't (VMActuator of java-tron).
LOGS_STAY: Final = frozenset({Outcome.SUCCESS, Outcome.OUT_OF_TIME, Outcome.JVM_STACK_OVER_FLOW})
# `ret` of a transaction in its block: contractRet by the numbers of core/Tron.proto.
_RET: Final = {
    outcome: protobuf.number(3, code)
    for outcome, code in {
        Outcome.SUCCESS: 1,
        Outcome.REVERT: 2,
        Outcome.OUT_OF_ENERGY: 10,
        Outcome.OUT_OF_TIME: 11,
        Outcome.JVM_STACK_OVER_FLOW: 12,
    }.items()
}
_FEE_LIMIT: Final = b'"fee_limit":%d,' % FEE_LIMIT_SUN
_RAW_FEE_LIMIT: Final = protobuf.number(18, FEE_LIMIT_SUN)
_REASONS: Final = {
    Outcome.REVERT: "REVERT opcode executed",
    Outcome.OUT_OF_ENERGY: "Not enough energy for 'SSTORE' operation executing: curInvokeEnergyLimit[1], curOpEnergy[2], usedEnergy[0]",
    Outcome.OUT_OF_TIME: "CPU timeout for 'SSTORE' operation executing",
    Outcome.JVM_STACK_OVER_FLOW: "StackOverflowError:  exceed default JVM stack size!",
}


@dataclass(frozen=True, slots=True)
class Call:
    """The one contract of a transaction, in JSON and on the wire (field 11 of the raw data)."""

    json: bytes
    wire: bytes
    contract: bytes | None
    """The 20 bytes of the contract that is called; None for a plain TRX transfer."""


class Transaction:
    """One transaction: its ID in hex, its JSON and its protobuf in a block, its logs."""

    __slots__ = ("_info_head", "_info_tail", "body", "logs", "outcome", "txid", "wire")

    def __init__(
        self, call: Call, height: int, sequence: int, outcome: Outcome, logs: tuple[Log, ...], result: bytes = b""
    ) -> None:
        """Made when the chain is below `height`; `sequence` makes it unlike all others. `result` is what the call returned."""
        self.txid, self.body, self.wire = _sealed(call, height, sequence, outcome)
        self.logs = logs
        self.outcome = outcome
        fee, self._info_tail = _receipt(call.contract, outcome, logs, result)
        self._info_head = b'{"id":"%s","fee":%d,"blockNumber":' % (self.txid.encode(), fee)

    @property
    def succeeded(self) -> bool:
        return self.outcome is Outcome.SUCCESS

    def info(self, height: int, timestamp_ms: int) -> bytes:
        """The JSON of its `TransactionInfo` in that block."""
        return b'%s%d,"blockTimeStamp":%d%s' % (self._info_head, height, timestamp_ms, self._info_tail)


def trx_call(sender: bytes, recipient: bytes, amount_sun: int) -> Call:
    """A plain transfer of TRX (1 TRX is 1,000,000 sun)."""
    wire = protobuf.text(1, PREFIX + sender) + protobuf.text(2, PREFIX + recipient) + protobuf.number(3, amount_sun)
    value = {"amount": amount_sun, "owner_address": to_hex(sender), "to_address": to_hex(recipient)}
    return _call(TRANSFER_CONTRACT, "TransferContract", value, wire, None)


def contract_call(sender: bytes, contract: bytes, data: bytes) -> Call:
    """A call of a smart contract."""
    wire = protobuf.text(1, PREFIX + sender) + protobuf.text(2, PREFIX + contract) + protobuf.text(4, data)
    value = {"data": data.hex(), "owner_address": to_hex(sender), "contract_address": to_hex(contract)}
    return _call(TRIGGER_SMART_CONTRACT, "TriggerSmartContract", value, wire, contract)


def signature(message: bytes) -> str:
    """130 hex digits where a signature stands. Nothing here is signed: it is made of `message`."""
    first = sha256(b"signed " + message).digest()
    return (first + sha256(first).digest()).hex() + "00"


def _call(number: int, name: str, value: Mapping[str, object], wire: bytes, contract: bytes | None) -> Call:
    parameter = protobuf.text(1, (TYPE_URL + name).encode()) + protobuf.text(2, wire)
    said = {"parameter": {"value": value, "type_url": TYPE_URL + name}, "type": name}
    return Call(
        orjson.dumps(said), protobuf.text(11, protobuf.number(1, number) + protobuf.text(2, parameter)), contract
    )


def _sealed(call: Call, height: int, sequence: int, outcome: Outcome) -> tuple[str, bytes, bytes]:
    """The txID in hex, the JSON in a block, and the protobuf."""
    before, after, ref_bytes, ref_hash, timestamp_ms = _reference(height)
    expiration_ms = timestamp_ms + LIFETIME_MS + sequence
    raw_limit, limit = (_RAW_FEE_LIMIT, _FEE_LIMIT) if call.contract is not None else (b"", b"")
    raw = before + protobuf.number(8, expiration_ms) + call.wire + after + raw_limit
    txid = sha256(raw).hexdigest()
    signed = signature(raw)
    wire = protobuf.text(1, raw) + protobuf.text(2, bytes.fromhex(signed)) + protobuf.text(5, _RET[outcome])
    body = (
        b'{"ret":[{"contractRet":"%s"}],"signature":["%s"],"txID":"%s","raw_data":{"contract":[%s],"ref_block_bytes":"%s",'
        b'"ref_block_hash":"%s","expiration":%d,%s"timestamp":%d},"raw_data_hex":"%s"}'
        % (
            outcome.encode(),
            signed.encode(),
            txid.encode(),
            call.json,
            ref_bytes,
            ref_hash,
            expiration_ms,
            limit,
            timestamp_ms,
            raw.hex().encode(),
        )
    )
    return txid, body, wire


@lru_cache(maxsize=64)
def _reference(height: int) -> tuple[bytes, bytes, bytes, bytes, int]:
    """Begin and end of the raw data, the two reference fields in hex, the timestamp: the same for all transactions of a block."""
    number = (height & 0xFFFF).to_bytes(2, "big")
    digest = sha256(b"reference %d" % height).digest()[:8]
    timestamp_ms = RAW_EPOCH_MS + height * RAW_BLOCK_MS
    before = protobuf.text(1, number) + protobuf.text(4, digest)
    return before, protobuf.number(14, timestamp_ms), number.hex().encode(), digest.hex().encode(), timestamp_ms


def _receipt(contract: bytes | None, outcome: Outcome, logs: tuple[Log, ...], result: bytes) -> tuple[int, bytes]:
    """The fee in sun, and the JSON of the info from `contractResult` on."""
    if contract is None:
        fee = TRX_BANDWIDTH * BANDWIDTH_FEE_SUN
        return fee, b',"contractResult":[""],"receipt":{"net_fee":%d}}' % fee
    energy = 64_285 if outcome is Outcome.SUCCESS else 29_650
    fee = energy * ENERGY_FEE_SUN
    info: dict[str, object] = {"contractResult": [result.hex()], "contract_address": to_hex(contract)}
    info["receipt"] = {
        "energy_fee": fee,
        "energy_usage_total": energy,
        "net_usage": CALL_BANDWIDTH,
        "result": outcome,
    }
    if logs:
        info["log"] = [log.as_json() for log in logs]
    if outcome is not Outcome.SUCCESS:
        info |= {"result": "FAILED", "resMessage": _REASONS[outcome].encode().hex()}
    return fee, b"," + orjson.dumps(info)[1:]
