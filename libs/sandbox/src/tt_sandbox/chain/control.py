"""The tests' own door, /sandbox/...: transactions and blocks to be made, reorganisations, faults, and the chain's own record."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import Field

from tt_common.clock import now_ms
from tt_sandbox.chain.addresses import to_base58
from tt_sandbox.chain.faults import ALL_NODES, FaultAsked, FaultBoard
from tt_sandbox.chain.ledger import Entry, Ledger, Refused
from tt_sandbox.chain.scripts import Script, Strict
from tt_sandbox.chain.timeline import TooMuch

BLOCKS_MAX: Final = 100_000
FILLER_MAX: Final = 2_000
PAGE_MAX: Final = 1_000


class BlocksAsked(Strict):
    """So many blocks, each with so many unrelated transactions."""

    count: int = Field(default=1, ge=1, le=BLOCKS_MAX)
    transactions: int = Field(default=0, ge=0, le=FILLER_MAX)


class ReorganiseAsked(Strict):
    """The last `depth` blocks become others; their transactions are dropped, or wait for the next block."""

    depth: int = Field(ge=1)
    transactions: Literal["drop", "move"] = "drop"


def control(ledger: Ledger, board: FaultBoard, nodes: tuple[str, ...]) -> APIRouter:
    """The routes below /sandbox."""
    router = APIRouter(prefix="/sandbox", tags=["sandbox"])

    @router.get("/chain")
    async def chain() -> dict[str, object]:
        head = ledger.head(now_ms())
        solid = max(0, head - ledger.solid_lag)
        contract = to_base58(ledger.usdt_contract)
        return {"head": head, "solid": solid, "solid_lag": ledger.solid_lag, "usdt_contract": contract, "nodes": nodes}

    @router.post("/transfers")
    async def transfer(script: Script) -> dict[str, object]:
        try:
            entry = ledger.add(script, now_ms())
        except (Refused, TooMuch) as refused:
            raise HTTPException(409, str(refused)) from None
        return {"txid": entry.transaction.txid, "block": entry.height}

    @router.get("/transfers")
    async def transfers(since: Annotated[int, Query(ge=0)] = 0) -> dict[str, object]:
        head = ledger.head(now_ms())
        page = ledger.entries()[since : since + PAGE_MAX]
        return {"transactions": [_record(entry, head, ledger) for entry in page], "more": len(page) == PAGE_MAX}

    @router.post("/blocks")
    async def blocks(asked: BlocksAsked | None = None) -> dict[str, object]:
        asked = asked or BlocksAsked()
        try:
            return {"head": ledger.make_blocks(asked.count, asked.transactions, now_ms())}
        except (Refused, TooMuch) as refused:
            raise HTTPException(409, str(refused)) from None

    @router.post("/reorganise")
    async def reorganise(asked: ReorganiseAsked) -> dict[str, object]:
        try:
            touched = ledger.reorganise(asked.depth, asked.transactions == "move", now_ms())
        except Refused as refused:
            raise HTTPException(409, str(refused)) from None
        return {"transactions": [{"txid": entry.transaction.txid, "block": entry.height} for entry in touched]}

    @router.get("/faults")
    async def faults() -> list[dict[str, object]]:
        return board.as_json()

    @router.post("/faults")
    async def set_fault(asked: FaultAsked) -> list[dict[str, object]]:
        if asked.node not in (*nodes, ALL_NODES):
            raise HTTPException(422, f"no such node: {asked.node}")
        try:
            board.set(asked, ledger.head(now_ms()))
        except ValueError as refused:
            raise HTTPException(409, str(refused)) from None
        return board.as_json()

    @router.delete("/faults")
    async def clear_faults(node: str | None = None, kind: str | None = None) -> list[dict[str, object]]:
        board.clear(node, kind)
        return board.as_json()

    return router


def _record(entry: Entry, head: int, ledger: Ledger) -> dict[str, object]:
    """A transaction as it was asked for, and what became of it. `movements` are what USDT really moved."""
    height = entry.height
    if height is None:
        state = "dropped"
    elif height > head:
        state = "waiting"
    else:
        state = "solid" if height <= head - ledger.solid_lag else "in_block"
    return {
        "sequence": entry.sequence,
        "txid": entry.transaction.txid,
        "block": height,
        "state": state,
        "script": entry.script.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "movements": [
            {"from": to_base58(sender), "to": to_base58(recipient), "amount_micro_usdt": amount}
            for sender, recipient, amount in entry.usdt
        ],
    }
