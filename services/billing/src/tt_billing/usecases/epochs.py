"""The bookkeeping of boot epochs: beats ask how far an epoch is settled, a close says that it is over."""

from tt_billing.usecases.context import Context
from tt_billing.usecases.sweep_grants import end_grants_of_closed_epochs
from tt_common.contracts.grants import Ack, CloseEpoch, EpochBeat, EpochBeatReply


async def beat(context: Context, request: EpochBeat) -> EpochBeatReply:
    """The contiguous watermark of what is settled or quarantined."""
    async with context.database.begin() as unit:
        await unit.note_epoch(request.boot_epoch, request.edge_id, request.last_seq, context.now_ms())
        return EpochBeatReply(watermark=await unit.advance_watermark(request.boot_epoch))


async def close(context: Context, request: CloseEpoch) -> Ack:
    """Remember the close, and end at once the grants whose events are in; the sweeper ends the rest."""
    async with context.database.begin() as unit:
        await unit.close_epoch(
            request.boot_epoch,
            request.edge_id,
            request.last_seq,
            request.cost_nanousd,
            context.now_ms(),
        )
        await unit.advance_watermark(request.boot_epoch)
    await end_grants_of_closed_epochs(context)
    return Ack()
