"""What solid blocks have for us, into the database: deposits, sweeps, other assets, and what the contract's owner did to our addresses.

Idempotent: the scanner and a re-scan may bring the same block.
"""

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from tt_deposits.domain.blocks import DEPRECATE, Block
from tt_deposits.domain.records import Address, Outgoing
from tt_deposits.usecases.accept_deposit import accept
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.halt import MustHalt, halt_in
from tt_deposits.usecases.ports import Unit

log = logging.getLogger(__name__)

BLACKLISTED: Final = "AddedBlackList"
FORGIVEN: Final = "RemovedBlackList"

Ours = dict[bytes, Address]


async def keep_blocks(context: Context, unit: Unit, blocks: Sequence[Block]) -> int:
    """In the caller's transaction. How many transfers were not known. Halts where the contract was replaced."""
    parties: set[bytes] = set()
    for block in blocks:
        parties |= block.parties()
    ours = await unit.lock_addresses(parties)
    found = 0
    for block in blocks:
        if block.events:
            await _keep_events(context, unit, block, ours)
        if ours:
            found += await _keep_movements(context, unit, block, ours)
    return found


async def _keep_movements(context: Context, unit: Unit, block: Block, ours: Ours) -> int:
    sent = [Outgoing(transfer=t, address=ours[t.sender]) for t in block.transfers if t.sender in ours]
    if sent:
        await unit.add_outgoing(sent, block.ref)
    others = [(asset, ours[asset.recipient]) for asset in block.others if asset.recipient in ours]
    if others:
        await unit.add_unsupported(others, block.ref)
    activated = {ours[address].index for address in block.activated if address in ours}
    if activated:
        await unit.set_activated(activated, block.ref.time_ms)
    arrivals = [(transfer, ours[transfer.recipient]) for transfer in block.transfers if transfer.recipient in ours]
    if not arrivals:
        return 0
    return await accept(unit, context.rules, block.ref, arrivals, context.now_ms())


async def _keep_events(context: Context, unit: Unit, block: Block, ours: Ours) -> None:
    """Those about other people's addresses are theirs alone."""
    for event in block.events:
        address = None if event.subject is None else ours.get(event.subject)
        whole_contract = event.subject is None or event.kind == DEPRECATE
        if not (whole_contract or address) or not await unit.add_contract_event(event, block.ref):
            continue
        fields = {"event": event.kind, "height": block.ref.height, "txid": event.txid.hex()}
        if address is None:
            log.error("the USDT contract's owner did something to all of it", extra=fields)
        else:
            log.error("the USDT contract's owner did something to our address", extra=fields | {"index": address.index})
            if event.kind in (BLACKLISTED, FORGIVEN):
                blacklisted = event.kind == BLACKLISTED
                await unit.set_blacklisted(address.index, block.ref.time_ms if blacklisted else None)
                ours[address.address] = msgspec.structs.replace(address, blacklisted=blacklisted)
        if event.kind == DEPRECATE:
            new = "" if event.subject is None else event.subject.hex()
            await halt_in(context, unit, MustHalt("contract_deprecated", block.ref.height, new_contract=new))
