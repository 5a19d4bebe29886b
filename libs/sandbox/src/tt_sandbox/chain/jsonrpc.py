"""The JSON-RPC of a node's solid port: `eth_blockNumber` and `eth_getLogs`, one call a request.

Limits and messages are those of the official documentation (tronprotocol/documentation-en, docs/api/json-rpc). Errors are HTTP 200.
"""

from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from tt_sandbox.chain import filler
from tt_sandbox.chain.blocks import Block
from tt_sandbox.chain.faults import FaultKind
from tt_sandbox.chain.usdt import WORD_BYTES, Log
from tt_sandbox.chain.view import View

BLOCKS_MAX: Final = 5_000
TOPICS_MAX: Final = 4
TOPIC_VALUES_MAX: Final = 1_000
ADDRESSES_MAX: Final = 1_000
RESULTS_MAX: Final = 10_000
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
NO_METHOD: Final = -32601
INVALID_PARAMS: Final = -32602
TOO_MANY: Final = -32005


class RpcError(Exception):
    """A JSON-RPC error with its code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Filter:
    """Which logs are asked for. None stands for any."""

    first: int
    last: int
    addresses: frozenset[bytes] | None
    topics: tuple[frozenset[bytes] | None, ...]

    def fits(self, log: Log) -> bool:
        if self.addresses is not None and log.address not in self.addresses:
            return False
        return len(self.topics) <= len(log.topics) and all(
            asked is None or topic in asked for asked, topic in zip(self.topics, log.topics, strict=False)
        )

    def may_fit_filler(self, usdt_contract: bytes) -> bool:
        """False where only other contracts are asked for, or parties none of whom takes part in unrelated transactions."""
        if self.addresses is not None and usdt_contract not in self.addresses:
            return False
        return all(asked is None or any(value[12:] in filler.known() for value in asked) for asked in self.topics[1:3])


def read(raw: bytes) -> tuple[Any, str, list[Any]]:
    """Id, method and parameters of a call. Raises RpcError."""
    try:
        call: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise RpcError(PARSE_ERROR, "JSON parse error") from None
    if not isinstance(call, dict):
        raise RpcError(INVALID_REQUEST, "invalid request")
    fields = cast("dict[str, Any]", call)
    method, params = fields.get("method"), fields.get("params", [])
    if not isinstance(method, str) or not isinstance(params, list):
        raise RpcError(INVALID_REQUEST, "invalid request")
    return fields.get("id"), method, cast("list[Any]", params)


def answer(method: str, params: list[Any], view: View) -> Any:
    """The result of a call. Raises RpcError."""
    if method == "eth_blockNumber":
        return hex(view.solid)
    if method != "eth_getLogs":
        raise RpcError(NO_METHOD, f"the method {method} does not exist/is not available")
    if not params or not isinstance(params[0], dict):
        raise RpcError(INVALID_PARAMS, "invalid params")
    asked = _filter(cast("dict[str, Any]", params[0]), view)
    return [] if view.fault(FaultKind.LOGS_MISSING) is not None else _logs(asked, view)


def result(call_id: Any, value: Any) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": call_id, "result": value})


def error(call_id: Any, refused: RpcError) -> bytes:
    return orjson.dumps(
        {"jsonrpc": "2.0", "id": call_id, "error": {"code": refused.code, "message": str(refused), "data": "{}"}}
    )


def _logs(asked: Filter, view: View) -> list[dict[str, object]]:
    first, last = asked.first, min(asked.last, view.solid)
    heights = set(view.ledger.scripted_between(first, last))
    if asked.may_fit_filler(view.ledger.usdt_contract):
        heights |= view.ledger.filled_between(first, last)
    found: list[dict[str, object]] = []
    for height in sorted(heights):
        found.extend(_logs_of(view.ledger.block(height, view.twist), asked))
        if len(found) > RESULTS_MAX:
            raise RpcError(TOO_MANY, f"query returned more than {RESULTS_MAX} results")
    return found


def _logs_of(block: Block, asked: Filter) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    log_index = 0
    for index, transaction in enumerate(block.transactions):
        for log in transaction.logs:
            if asked.fits(log):
                found.append(
                    {
                        "address": f"0x{log.address.hex()}",
                        "blockHash": f"0x{block.block_id}",
                        "blockNumber": hex(block.height),
                        "blockTimestamp": hex(block.timestamp_ms // 1000),
                        "data": f"0x{log.data.hex()}",
                        "logIndex": hex(log_index),
                        "removed": False,
                        "topics": [f"0x{topic.hex()}" for topic in log.topics],
                        "transactionHash": f"0x{transaction.txid}",
                        "transactionIndex": hex(index),
                    }
                )
            log_index += 1
    return found


def _filter(fields: dict[str, Any], view: View) -> Filter:
    first = _height(fields.get("fromBlock", "latest"), view)
    last = _height(fields.get("toBlock", "latest"), view)
    if first > last:
        raise RpcError(INVALID_PARAMS, "please verify: fromBlock <= toBlock")
    if last - first > BLOCKS_MAX:
        raise RpcError(INVALID_PARAMS, f"exceed max block range: {BLOCKS_MAX}")
    topics: Any = fields.get("topics") or []
    if not isinstance(topics, list) or len(cast("list[Any]", topics)) > TOPICS_MAX:
        raise RpcError(INVALID_PARAMS, f"topics size should be <= {TOPICS_MAX}")
    return Filter(
        first, last, _addresses(fields.get("address")), tuple(_topic(item) for item in cast("list[Any]", topics))
    )


def _height(value: Any, view: View) -> int:
    if value in ("pending", "safe"):
        raise RpcError(INVALID_PARAMS, f"TAG {value} not supported")
    if value in ("latest", "finalized", None, ""):
        return view.solid
    if value == "earliest":
        return 0
    try:
        height = int(value, 16) if value.startswith("0x") else int(value)
    except (AttributeError, ValueError):
        raise RpcError(INVALID_PARAMS, "invalid block number") from None
    if height < 0:
        raise RpcError(INVALID_PARAMS, "invalid block number")
    return height


def _addresses(value: Any) -> frozenset[bytes] | None:
    if value is None:
        return None
    values = cast("list[Any]", value if isinstance(value, list) else [value])
    if len(values) > ADDRESSES_MAX:
        raise RpcError(INVALID_PARAMS, f"exceed max addresses: {ADDRESSES_MAX}")
    return frozenset(_hex(item, 20, f"invalid address at index {index}: {item}") for index, item in enumerate(values))


def _topic(value: Any) -> frozenset[bytes] | None:
    if value is None:
        return None
    values = cast("list[Any]", value if isinstance(value, list) else [value])
    if len(values) > TOPIC_VALUES_MAX:
        raise RpcError(INVALID_PARAMS, f"exceed max topics: {TOPIC_VALUES_MAX}")
    return frozenset(_hex(item, WORD_BYTES, f"invalid topic(s): {item}") for item in values)


def _hex(value: Any, size_bytes: int, message: str) -> bytes:
    try:
        raw = bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise RpcError(INVALID_PARAMS, message) from None
    if len(raw) != size_bytes:
        raise RpcError(INVALID_PARAMS, message)
    return raw
