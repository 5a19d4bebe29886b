"""How far the chain is read, how fast, and what stands in the way; any process of the service can tell."""

from typing import Final

from tt_common.contracts.deposits import GetScanner, ScannerState
from tt_deposits.domain.records import Cursor
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.ports import Heads

HEADS_AGE_S: Final = 5.0
MS_PER_S: Final = 1000


async def scanner_state(context: Context, request: GetScanner) -> ScannerState:
    """Asks the nodes where nothing was heard of them for a while."""
    heads = await context.nodes.heads(HEADS_AGE_S)
    async with context.database.begin() as unit:
        cursor = await unit.read_cursor(context.rules.network)
        halted = await unit.read_halt(context.rules.network)
        rescans = await unit.list_rescans(request.rescans_max)
        addresses = await unit.count_addresses_by_use()
        unsupported = await unit.count_unsupported()
    behind = blocks_behind(cursor, heads)
    return ScannerState(
        network=context.rules.network,
        cursor_height=cursor.block.height if cursor else None,
        cursor_time_ms=cursor.block.time_ms if cursor else None,
        solid_height=heads.solid.height if heads.solid else None,
        head_height=heads.head.height if heads.head else None,
        head_time_ms=heads.head.time_ms if heads.head else None,
        blocks_behind=behind,
        blocks_per_s=round(context.progress.blocks_per_s(), 3),
        eta_s=context.progress.eta_s(behind),
        delayed=halted is not None or _is_late(context, cursor),
        halted_reason=halted.reason if halted else "",
        halted_height=halted.height if halted else None,
        halted_details=halted.details if halted else {},
        nodes=context.nodes.states(),
        rescans=tuple(rescans),
        addresses_assigned=addresses.assigned,
        addresses_spare=addresses.spare,
        xpub_fingerprint=context.key.fingerprint,
        unsupported_trx=unsupported.get("trx", 0),
        unsupported_tokens=unsupported.get("token", 0),
    )


def blocks_behind(cursor: Cursor | None, heads: Heads) -> int:
    """Solid blocks that are not in the database yet."""
    if cursor is None or heads.solid is None:
        return 0
    return max(0, heads.solid.height - cursor.block.height)


def _is_late(context: Context, cursor: Cursor | None) -> bool:
    """The cursor's block is older than a solid one should be: nodes, chain or scanner are behind."""
    age_ms = 0 if cursor is None else context.now_ms() - cursor.block.time_ms
    return cursor is None or age_ms > context.watch.solid_lag_max_s * MS_PER_S
