"""TRON nodes over HTTP: one client a node, strict about what it takes for an answer, patient with a node that gives none.

java-tron says errors with status 200, in JSON or in plain text, so only what has the expected shape is an answer. A node that failed
is left alone for a while that grows with each failure; Retry-After is honoured. No URL and no key is ever in an error or a log.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import httpx
import msgspec

from tt_common.clock import monotonic_s, now_ms
from tt_common.contracts.deposits import NodeState
from tt_deposits.domain.blocks import BLOCK_ID_BYTES
from tt_deposits.domain.node_answers import Body, Info
from tt_deposits.domain.records import BlockRef
from tt_deposits.settings import NodeSettings
from tt_deposits.usecases.metrics import DepositsMetrics
from tt_deposits.usecases.ports import NodeFailed

ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
"""A block of TRON has at most 2 MB of transactions; its JSON is several times that."""
CONNECTIONS_MAX: Final = 16
BACKOFF_S: Final = 0.25
BACKOFF_S_MAX: Final = 30.0
RETRY_AFTER_S_MAX: Final = 120.0
KEY_HEADER: Final = "TRON-PRO-API-KEY"
LITE: Final = b"lite fullnode"
DETAIL_MAX: Final = 160
OK: Final = 200
BALANCE_OF: Final = "balanceOf(address)"
NOBODY: Final = "410000000000000000000000000000000000000000"

AnswerT = TypeVar("AnswerT")


class _ErrorAnswer(msgspec.Struct, rename={"text": "Error"}):
    text: str


class _CallResult(msgspec.Struct):
    result: bool = False


class _CallAnswer(msgspec.Struct, rename={"words": "constant_result"}):
    result: _CallResult
    words: tuple[str, ...] = ()


_bodies: Final = msgspec.json.Decoder(Body)
_infos: Final = msgspec.json.Decoder(list[Info])
_calls: Final = msgspec.json.Decoder(_CallAnswer)
_errors: Final = msgspec.json.Decoder(_ErrorAnswer)


class TronNode:
    """See usecases.ports.Node. `close` when done."""

    def __init__(self, settings: NodeSettings, key: str, timeout_s: float, metrics: DepositsMetrics) -> None:
        self.name = settings.name
        self.head: BlockRef | None = None
        self.solid: BlockRef | None = None
        self.head_heard_s = self.solid_heard_s = -1e9
        self._full = f"{settings.url.rstrip('/')}/wallet/"
        self._solid = f"{(settings.solid_url or settings.url).rstrip('/')}/walletsolidity/"
        self._jsonrpc = settings.jsonrpc_url or f"{settings.url.rstrip('/')}/jsonrpc"
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._client = httpx.AsyncClient(
            headers={KEY_HEADER: key} if key else None,
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
            trust_env=False,
        )
        self._random = random.Random()
        self._failures = 0
        self._failed_s = -1e9
        self._quiet_until_s = 0.0
        self._error = ""
        self._asked_at_ms: int | None = None

    @property
    def quiet(self) -> bool:
        """Whether it is left alone now."""
        return monotonic_s() < self._quiet_until_s

    @property
    def failures(self) -> int:
        """In a row, up to now."""
        return self._failures

    @property
    def state(self) -> NodeState:
        return NodeState(
            name=self.name,
            head_height=self.head.height if self.head else None,
            solid_height=self.solid.height if self.solid else None,
            error=self._error,
            asked_at_ms=self._asked_at_ms,
        )

    async def newest(self, *, solid: bool, timeout_s: float | None = None) -> Body:
        body = await self.wallet("getnowblock", {"visible": False}, _bodies, solid=solid, timeout_s=timeout_s)
        ref = self.block_ref(body)
        if solid:
            self.solid, self.solid_heard_s = ref, monotonic_s()
        else:
            self.head, self.head_heard_s = ref, monotonic_s()
        return body

    async def body(self, height: int, *, solid: bool, timeout_s: float | None = None) -> Body | None:
        request = {"num": height, "visible": False}
        try:
            return await self.wallet("getblockbynum", request, _bodies, solid=solid, timeout_s=timeout_s)
        except Nothing:
            return None

    async def infos(self, height: int, *, solid: bool) -> list[Info]:
        request = {"num": height, "visible": False}
        try:
            return await self.wallet("gettransactioninfobyblocknum", request, _infos, solid=solid)
        except Nothing:
            return []

    async def usdt_balance(self, contract: bytes, address: bytes) -> int:
        request = {
            "owner_address": NOBODY,
            "contract_address": f"41{contract.hex()}",
            "function_selector": BALANCE_OF,
            "parameter": address.hex().rjust(64, "0"),
            "visible": False,
        }
        answer = await self.wallet("triggerconstantcontract", request, _calls, solid=True)
        if not answer.result.result or len(answer.words) != 1 or len(answer.words[0]) != 64:
            raise self._failed("unreadable", "balanceOf gave no balance")
        try:
            return int.from_bytes(bytes.fromhex(answer.words[0]), "big")
        except ValueError:
            raise self._failed("unreadable", "balanceOf gave no balance") from None

    def block_ref(self, body: Body) -> BlockRef:
        """What names the block. Raises NodeFailed for an id that is none."""
        try:
            block_id = bytes.fromhex(body.block_id)
        except ValueError:
            block_id = b""
        if len(block_id) != BLOCK_ID_BYTES or int.from_bytes(block_id[:8], "big") != body.height:
            raise self._failed("unreadable", "a block's id doesn't begin with its height")
        return BlockRef(height=body.height, block_id=block_id, time_ms=body.time_ms)

    async def wallet(
        self,
        method: str,
        request: Mapping[str, Any],
        decoder: msgspec.json.Decoder[AnswerT],
        *,
        solid: bool,
        timeout_s: float | None = None,
    ) -> AnswerT:
        """POST to /wallet or /walletsolidity. Raises NodeFailed; `{}` is Nothing, a kind of it."""
        return await self.post(f"{self._solid if solid else self._full}{method}", request, decoder, timeout_s)

    async def rpc(self, request: Mapping[str, Any], decoder: msgspec.json.Decoder[AnswerT]) -> AnswerT:
        """POST to the node's JSON-RPC. Raises NodeFailed; what is an error in JSON-RPC is the decoder's to know."""
        return await self.post(self._jsonrpc, request, decoder)

    async def post(
        self,
        url: str,
        request: Mapping[str, Any],
        decoder: msgspec.json.Decoder[AnswerT],
        timeout_s: float | None = None,
    ) -> AnswerT:
        """The decoded answer. Raises NodeFailed, at once where the node is left alone."""
        if self.quiet:
            raise NodeFailed(self.name, "waiting")
        started_s = monotonic_s()
        self._asked_at_ms = now_ms()
        try:
            async with asyncio.timeout(min(self._timeout_s, timeout_s or self._timeout_s)):
                raw = await self._read(url, request)
        except (TimeoutError, httpx.TimeoutException):
            raise self._failed("timeout") from None
        except httpx.RemoteProtocolError:
            raise self._failed("cut") from None
        except (httpx.HTTPError, OSError) as error:
            raise self._failed("unreachable", type(error).__name__) from None
        if raw.strip() == b"{}":
            self._succeeded(started_s)
            raise Nothing(self.name)
        try:
            answer = decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._refusal(raw, error) from None
        self._succeeded(started_s)
        return answer

    async def close(self) -> None:
        await self._client.aclose()

    async def _read(self, url: str, request: Mapping[str, Any]) -> bytes:
        async with self._client.stream("POST", url, json=dict(request)) as response:
            if response.status_code != OK:
                raise self._failed("status", str(response.status_code), _retry_after_s(response))
            parts: list[bytes] = []
            size_bytes = 0
            async for part in response.aiter_bytes():
                size_bytes += len(part)
                if size_bytes > ANSWER_BYTES_MAX:
                    raise self._failed("too_large")
                parts.append(part)
            return b"".join(parts)

    def _refusal(self, raw: bytes, error: Exception) -> NodeFailed:
        if LITE in raw[:1024]:
            return self._failed("lite", "a lite node keeps no history: openHistoryQueryWhenLiteFN")
        try:
            said = _errors.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._failed("unreadable", str(error))
        return self._failed("error", said.text)

    def _failed(self, code: str, detail: str = "", retry_after_s: float = 0.0) -> NodeFailed:
        """Counts the failure, and leaves the node alone for a while."""
        self._failures += 1
        self._failed_s = monotonic_s()
        longest_s = min(BACKOFF_S_MAX, BACKOFF_S * 2.0 ** min(self._failures - 1, 20))
        wait_s = max(longest_s * self._random.uniform(0.5, 1.0), retry_after_s)
        self._quiet_until_s = max(self._quiet_until_s, self._failed_s + wait_s)
        failed = NodeFailed(self.name, code, "".join(filter(str.isprintable, detail[:DETAIL_MAX])))
        self._error = str(failed)
        self._metrics.node_failures.labels(self.name, code).inc()
        return failed

    def _succeeded(self, started_s: float) -> None:
        # An answer to what was asked before the last failure says nothing of how the node is now.
        if started_s >= self._failed_s:
            self._failures = 0
            self._error = ""


class Nothing(NodeFailed):
    """`{}`: the node has no such thing, or doesn't know of it."""

    def __init__(self, node: str) -> None:
        super().__init__(node, "nothing")


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), RETRY_AFTER_S_MAX) if text.isascii() and text.isdigit() else 0.0


def make_nodes(
    settings: Sequence[NodeSettings], keys: Mapping[str, str], timeout_s: float, metrics: DepositsMetrics
) -> list[TronNode]:
    """A client for each, in their order. RuntimeError where a variable that should hold a key is not set."""
    nodes: list[TronNode] = []
    for node in settings:
        key = "" if node.key_env is None else keys.get(node.key_env, "")
        if node.key_env is not None and not key:
            raise RuntimeError(f"{node.key_env}, the key of the node {node.name}, is not set")
        nodes.append(TronNode(node, key, timeout_s, metrics))
    return nodes
